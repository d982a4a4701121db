//! Defaults are Kubernetes' own, lose nothing, and change nothing the second time.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{default, default_template};

fn defaulted(mut pod: Value) -> Value {
    default(pod.as_object_mut().unwrap());
    pod
}

#[test]
fn a_minimal_pod_gets_what_kubernetes_gives_it() {
    let pod = defaulted(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    }));
    let toleration = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{
                "name": "web", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                toleration("node.kubernetes.io/not-ready"),
                toleration("node.kubernetes.io/unreachable"),
            ],
        })
    );
}

#[test]
fn a_template_gets_no_more_than_kubernetes_gives_it() {
    let mut template = json!({"spec": {"hostNetwork": true, "containers": [
        {"name": "a", "image": "a:1", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}},
    ]}});
    default_template(template.as_object_mut().unwrap());
    let spec = &template["spec"];
    for absent in [
        "enableServiceLinks",
        "tolerations",
        "priority",
        "preemptionPolicy",
    ] {
        assert!(spec.get(absent).is_none(), "{absent}");
    }
    assert_eq!(spec["restartPolicy"], "Always");
    let container = &spec["containers"][0];
    assert_eq!(
        container["ports"][0],
        json!({"containerPort": 80, "protocol": "TCP"})
    );
    assert!(container["resources"].get("requests").is_none());
}

#[test]
fn each_part_gets_its_defaults() {
    for (what, pod, path, expected) in [
        (
            "requests from limits, where none is given",
            json!({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 0.5}}}]}),
            "/containers/0/resources",
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "0.5", "memory": "1Gi"}}),
        ),
        (
            "the pod's requests from its containers', which run after the init containers and beside the sidecars",
            json!({
                "resources": {"limits": {"cpu": "8", "memory": "8Gi"}},
                "initContainers": [
                    {"resources": {"requests": {"cpu": "2500m"}}},
                    {"restartPolicy": "Always", "resources": {"requests": {"cpu": 1}}},
                ],
                "containers": [{"resources": {"requests": {"cpu": "700m"}}}, {"resources": {"limits": {"cpu": "500m"}}}],
            }),
            "/resources",
            json!({"limits": {"cpu": "8", "memory": "8Gi"}, "requests": {"cpu": "2500m", "memory": "8Gi"}}),
        ),
        (
            "the pod's requests, where it has some",
            json!({
                "resources": {"limits": {"cpu": "8", "memory": "1Gi"}, "requests": {"cpu": 2}},
                "containers": [{"resources": {"requests": {"cpu": "1", "memory": "500Mi", "ephemeral-storage": "1Gi"}}}],
            }),
            "/resources",
            json!({"limits": {"cpu": "8", "memory": "1Gi"}, "requests": {"cpu": "2", "memory": "500Mi"}}),
        ),
        (
            "nothing of the pod, where it has no limits",
            json!({"resources": {"requests": {"memory": "1Gi"}}, "containers": [{"resources": {"requests": {"cpu": "1"}}}]}),
            "/resources",
            json!({"requests": {"memory": "1Gi"}}),
        ),
        (
            "the pod's huge pages from its containers'",
            json!({
                "resources": {"requests": {"cpu": "1"}},
                "containers": [{"resources": {"limits": {"hugepages-2Mi": "4Mi"}}}, {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}],
            }),
            "/resources",
            json!({"requests": {"cpu": "1", "hugepages-2Mi": "6Mi"}, "limits": {"hugepages-2Mi": "6Mi"}}),
        ),
        (
            "a probe",
            json!({"containers": [{"livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 0}}]}),
            "/containers/0/livenessProbe",
            json!({
                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                "successThreshold": 1, "failureThreshold": 3,
            }),
        ),
        (
            "a hook",
            json!({"containers": [{"lifecycle": {"preStop": {"httpGet": {"port": "web"}}}}]}),
            "/containers/0/lifecycle/preStop/httpGet",
            json!({"port": "web", "path": "/", "scheme": "HTTP"}),
        ),
        (
            "a reference to a field",
            json!({"containers": [{"env": [{"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]}),
            "/containers/0/env/0/valueFrom/fieldRef/apiVersion",
            json!("v1"),
        ),
        (
            "host ports under host networking",
            json!({"hostNetwork": true, "containers": [{"ports": [{"containerPort": 80}]}]}),
            "/containers/0/ports/0",
            json!({"containerPort": 80, "hostPort": 80, "protocol": "TCP"}),
        ),
        (
            "a volume of no source",
            json!({"volumes": [{"name": "scratch", "hostPath": null}]}),
            "/volumes/0",
            json!({"name": "scratch", "hostPath": null, "emptyDir": {}}),
        ),
        (
            "the mode of files",
            json!({"volumes": [{"name": "s", "secret": {"secretName": "s"}}]}),
            "/volumes/0/secret/defaultMode",
            json!(420),
        ),
        (
            "a projected token",
            json!({"volumes": [{"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
            "/volumes/0/projected",
            json!({"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}),
        ),
        (
            "the old name of the service account",
            json!({"serviceAccount": "robot"}),
            "/serviceAccountName",
            json!("robot"),
        ),
        (
            "a negative grace period",
            json!({"terminationGracePeriodSeconds": -5}),
            "/terminationGracePeriodSeconds",
            json!(1),
        ),
        (
            "a critical pod",
            json!({"priorityClassName": "system-node-critical"}),
            "/priority",
            json!(2_000_001_000),
        ),
        (
            "no grace period at all",
            json!({"terminationGracePeriodSeconds": 0}),
            "/terminationGracePeriodSeconds",
            json!(0),
        ),
        (
            "tolerations of its own",
            json!({"tolerations": [{"operator": "Exists"}]}),
            "/tolerations",
            json!([{"operator": "Exists"}]),
        ),
    ] {
        let pod = defaulted(json!({"spec": pod}));
        assert_eq!(pod["spec"].pointer(path), Some(&expected), "{what}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_left_for_decoding_to_refuse() {
    for spec in [
        json!([1, 2]),
        json!({"containers": "none", "securityContext": 3, "tolerations": "all", "volumes": {"a": 1}}),
        json!({"containers": [7, {"resources": {"limits": [1], "requests": "x"}, "env": [{"valueFrom": 1}]}]}),
    ] {
        let before = json!({"spec": spec});
        let after = defaulted(before.clone());
        keeps(&before, &after).unwrap();
    }
}

/// Whether `after` still has all that `before` had, apart from what counts as unset.
fn keeps(before: &Value, after: &Value) -> Result<(), String> {
    let lost = || Err(format!("{before} became {after}"));
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before
            .iter()
            .try_for_each(|(key, value)| keeps(value, after.get(key).unwrap_or(&Value::Null))),
        (Value::Array(before), Value::Array(after)) if after.len() >= before.len() => before
            .iter()
            .zip(after)
            .try_for_each(|(before, after)| keeps(before, after)),
        (Value::Null, _) => Ok(()),
        (Value::String(text), Value::String(_)) if text.is_empty() => Ok(()),
        (Value::Number(number), Value::String(text)) if number.to_string() == *text => Ok(()),
        (Value::Number(number), Value::Number(_)) if number.as_i64().is_some_and(|number| number <= 0) => {
            Ok(())
        }
        (before, after) if before == after => Ok(()),
        _ => lost(),
    }
}

/// A JSON value of any type.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..400i64).prop_map(Value::from),
        "[a-zA-Z:/.]{0,8}".prop_map(Value::from),
        Just(json!({})),
        Just(json!([])),
    ]
}

/// An object with some of the fields, each mostly of its own sort and now and then of any.
fn object(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| {
            let value = prop_oneof![6 => value, 1 => anything().boxed()];
            proptest::option::of(value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
        })
        .collect();
    fields
        .prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
        .boxed()
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    proptest::collection::vec(item, 0..3)
        .prop_map(Value::from)
        .boxed()
}

fn word() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(""),
        Just("Always"),
        Just("Exists"),
        Just("NoExecute"),
        Just("nginx:latest")
    ]
    .prop_map(Value::from)
    .boxed()
}

fn number() -> BoxedStrategy<Value> {
    (-2..90i64).prop_map(Value::from).boxed()
}

fn pods() -> BoxedStrategy<Value> {
    let amounts = || object(vec![("cpu", number()), ("memory", word())]);
    let resources = object(vec![("limits", amounts()), ("requests", amounts())]);
    let handler = || object(vec![("path", word()), ("scheme", word()), ("port", number())]);
    let probe = object(vec![
        ("httpGet", handler()),
        ("periodSeconds", number()),
        ("grpc", object(vec![])),
    ]);
    let port = object(vec![
        ("containerPort", number()),
        ("hostPort", number()),
        ("protocol", word()),
    ]);
    let from = || object(vec![("fieldRef", object(vec![("apiVersion", word())]))]);
    let container = object(vec![
        ("name", word()),
        ("image", word()),
        ("imagePullPolicy", word()),
        ("resources", resources),
        ("livenessProbe", probe),
        ("ports", list(port)),
        ("env", list(object(vec![("valueFrom", from())]))),
        (
            "lifecycle",
            object(vec![("preStop", object(vec![("httpGet", handler())]))]),
        ),
    ]);
    let files = || {
        object(vec![
            ("defaultMode", number()),
            ("items", list(from())),
            ("sources", list(from())),
        ])
    };
    let volume = object(vec![
        ("name", word()),
        ("secret", files()),
        ("downwardAPI", files()),
        ("projected", files()),
        ("hostPath", object(vec![("type", word())])),
        ("ephemeral", object(vec![("volumeClaimTemplate", object(vec![]))])),
    ]);
    let toleration = object(vec![("key", word()), ("operator", word()), ("effect", word())]);
    let spec = object(vec![
        ("containers", list(container.clone())),
        ("initContainers", list(container)),
        ("volumes", list(volume)),
        ("tolerations", list(toleration)),
        ("hostNetwork", any::<bool>().prop_map(Value::from).boxed()),
        ("restartPolicy", word()),
        ("serviceAccount", word()),
        ("serviceAccountName", word()),
        ("terminationGracePeriodSeconds", number()),
        ("priorityClassName", word()),
        ("securityContext", object(vec![])),
    ]);
    object(vec![
        ("metadata", object(vec![("name", word())])),
        ("spec", spec),
        ("novel", anything().boxed()),
    ])
}

proptest! {
    #[test]
    fn filling_a_pod_twice_is_filling_it_once(pod in pods()) {
        if let Value::Object(mut once) = pod {
            default(&mut once);
            let mut twice = once.clone();
            default(&mut twice);
            prop_assert_eq!(Value::Object(once), Value::Object(twice));
        }
    }

    #[test]
    fn filling_a_pod_loses_nothing(pod in pods()) {
        let mut spoken = pod.clone();
        if let Value::Object(after) = &mut spoken {
            default(after);
        }
        // The old name of the service account follows the new one.
        let mut before = pod;
        if let Some(spec) = before.get_mut("spec").and_then(Value::as_object_mut)
            && spec.get("serviceAccountName").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
        {
            spec.remove("serviceAccount");
        }
        prop_assert_eq!(keeps(&before, &spoken), Ok(()));
    }
}
