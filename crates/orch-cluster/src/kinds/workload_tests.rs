//! Deployments and ReplicaSets get Kubernetes' defaults, and its words when they are wrong.

use orch_core::client::KindRules;
use serde_json::{Value, json};

use super::find_kind;
use super::testkit::{created, document, raw, with};

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
        "status": {"replicas": 7},
    })
}

#[test]
fn a_deployment_gets_what_kubernetes_gives_it() {
    let deployment = created("apps/v1", deployment()).unwrap();
    let spec = &deployment["spec"];
    assert_eq!(spec["replicas"], 1);
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["progressDeadlineSeconds"], 600);
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
    assert!(deployment.get("status").is_none(), "nobody sends a status");
}

#[test]
fn what_a_deployment_may_not_be_is_said_in_kubernetes_words() {
    for (path, value, expected) in [
        (
            "/spec/replicas",
            json!(-1),
            vec!["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (
            "/spec/selector",
            json!({"matchLabels": {"app": "other"}}),
            vec![
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template \
                 `labels`",
            ],
        ),
        (
            "/spec/selector",
            Value::Null,
            vec![
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template \
                 `labels`",
            ],
        ),
        (
            "/spec/selector",
            json!({"matchLabels": {}}),
            vec![
                "spec.selector: Invalid value: {\"matchLabels\":{}}: empty selector is invalid for deployment",
            ],
        ),
        (
            "/spec/strategy",
            json!({"type": "Recreate", "rollingUpdate": {}}),
            vec![
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ],
        ),
        (
            "/spec/strategy",
            json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
            vec![
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ],
        ),
        (
            "/spec/strategy",
            json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
            vec![
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ],
        ),
        (
            "/spec/progressDeadlineSeconds",
            json!(0),
            vec!["spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds"],
        ),
        (
            "/spec/template/spec/restartPolicy",
            json!("Never"),
            vec![
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ],
        ),
        (
            "/spec/template/spec/containers",
            json!([{"name": "web"}]),
            vec!["spec.template.spec.containers[0].image: Required value"],
        ),
        (
            "/spec/replicas",
            json!("three"),
            vec!["spec.replicas: Invalid value: expected an integer, got \"three\""],
        ),
    ] {
        let errors = created("apps/v1", with(deployment(), path, value.clone())).unwrap_err();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{path} {value}");
    }
}

#[test]
fn selectors_of_workloads_stay() {
    for (api_version, kind) in [("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet")] {
        let object = with(deployment(), "/kind", json!(kind));
        let object = raw(created(api_version, object).unwrap());
        let mut new = Value::Object(object.clone());
        new["spec"]["selector"] = json!({"matchLabels": {"app": "web", "tier": "1"}});
        new["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "tier": "1"});
        let kind = find_kind(api_version, kind).unwrap();
        let errors = kind.validate_update(&document(&raw(new)), &document(&object));
        assert!(errors.to_string().ends_with("field is immutable"), "{errors}");
        assert_eq!(errors.len(), 1);
        let object = document(&object);
        assert!(kind.validate_update(&object, &object).is_empty());
    }
}

#[test]
fn what_is_allowed_but_surely_not_meant_is_warned_of() {
    let containers = json!([{
        "name": "web", "image": "nginx", "env": [{"name": "A"}, {"name": "B"}, {"name": "A"}],
        "ports": [{"containerPort": 80}, {"containerPort": 81}, {"containerPort": 80}],
        "resources": {"limits": {"cpu": "100m", "memory": "100m"}, "requests": {"memory": "1000m"}},
    }]);
    let object = raw(with(deployment(), "/spec/template/spec/containers", containers));
    let at = "spec.template.spec.containers[0]";
    assert_eq!(
        find_kind("apps/v1", "Deployment").unwrap().warnings(&object),
        [
            format!("{at}.env[2]: hides previous definition of \"A\", which may be dropped when using apply"),
            format!("{at}.ports[2]: duplicate port definition with {at}.ports[0]"),
            format!(
                "{at}.resources.limits[memory]: fractional byte value \"100m\" is invalid, must be an integer"
            ),
        ]
    );
    assert!(
        find_kind("apps/v1", "Deployment")
            .unwrap()
            .warnings(&raw(deployment()))
            .is_empty()
    );
}
