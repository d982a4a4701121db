//! What may change of a pod, and what may not.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use orch_core::object::Document;
use serde_json::{Value, json};

use super::validate_tests::put;
use super::{default, validate_status, validate_update};

fn pod(changes: &[(&str, Value)]) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "1"},
        "spec": {
            "activeDeadlineSeconds": 100,
            "restartPolicy": "Never",
            "schedulingGates": [{"name": "quota"}, {"name": "licence"}],
            "containers": [{"name": "web", "image": "nginx:1"}],
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        },
    });
    for (path, value) in changes {
        put(&mut pod, path, value.clone());
    }
    default(pod.as_object_mut().unwrap());
    serde_json::from_value(pod).unwrap()
}

fn refusals(path: &str, value: Value) -> Vec<String> {
    let errors = validate_update(&pod(&[(path, value)]), &pod(&[]));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_few_things_may_change() {
    for (path, value) in [
        ("/spec/containers/0/image", json!("nginx:2")),
        ("/spec/activeDeadlineSeconds", json!(50)),
        ("/spec/schedulingGates", json!([{"name": "licence"}])),
        (
            "/spec/tolerations",
            json!([
                {"key": "b", "operator": "Exists"},
                {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9},
            ]),
        ),
        ("/metadata/labels", json!({"a": "b"})),
        ("/spec/hostAliases", json!([])),
    ] {
        assert_eq!(refusals(path, value), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn everything_else_is_refused() {
    for (path, value, refusal) in [
        (
            "/spec/containers/1",
            json!({"name": "b", "image": "b"}),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!(101),
            "spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value",
        ),
        (
            "/spec/activeDeadlineSeconds",
            Value::Null,
            "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
        ),
        (
            "/spec/tolerations",
            json!([]),
            "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
        ),
        (
            "/spec/schedulingGates/2",
            json!({"name": "more"}),
            "spec.schedulingGates[2]: Forbidden: only deletion is allowed, but found new scheduling gate 'more'",
        ),
    ] {
        assert_eq!(refusals(path, value), [refusal], "{path}");
    }
    let command = refusals("/spec/containers/0/command", json!(["sh"]));
    assert_eq!(command.len(), 1);
    assert!(
        command[0].starts_with("spec: Forbidden: pod updates may not change fields other than"),
        "{}",
        command[0]
    );
    assert!(
        command[0].ends_with("): spec.containers[0].command: null -> [\"sh\"]"),
        "{}",
        command[0]
    );
}

fn status_refusals(new: &Value, old: &Pod) -> String {
    let old = Document::from_object(old).unwrap();
    let new: PodStatus = serde_json::from_value(new.clone()).unwrap();
    validate_status(&new, &old).to_string()
}

#[test]
fn a_container_that_ended_for_good_stays_ended() {
    let status = |state: Value| json!({"containerStatuses": [{"name": "web", "state": state}]});
    let ended = status(json!({"terminated": {"exitCode": 0}}));
    let failed = status(json!({"terminated": {"exitCode": 1}}));
    let running = status(json!({"running": {}}));
    let refused =
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state";
    for (policy, old, new, expected) in [
        ("Never", &ended, &running, refused),
        ("Never", &failed, &running, refused),
        ("Never", &running, &ended, "[]"),
        ("OnFailure", &ended, &running, refused),
        ("OnFailure", &failed, &running, "[]"),
        ("Always", &ended, &running, "[]"),
    ] {
        let old = pod(&[("/spec/restartPolicy", json!(policy)), ("/status", old.clone())]);
        assert_eq!(status_refusals(new, &old), expected, "{policy}");
    }
}

#[test]
fn a_pod_has_one_address_of_each_family() {
    let old = pod(&[]);
    assert_eq!(
        status_refusals(&json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}), &old),
        "[]"
    );
    let two = status_refusals(&json!({"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}), &old);
    assert!(
        two.ends_with("may specify no more than one IP for each IP family"),
        "{two}"
    );
}
