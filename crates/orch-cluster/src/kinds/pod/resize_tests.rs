//! Who may give the containers of a pod that runs what.

use orch_core::client::{KindRules, Wanted};
use serde_json::{Value, json};

use crate::kinds::find;
use crate::kinds::testkit::{document, raw};

/// A pod of a sidecar, an init container and two others, as it is stored.
fn pod() -> Value {
    let container =
        |name: &str, resources: Value| json!({"name": name, "image": "i", "resources": resources});
    let mut sidecar = container("sidecar", json!({"requests": {"cpu": "100m"}}));
    sidecar["restartPolicy"] = json!("Always");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "nodeName": "n1",
            "initContainers": [container("init", json!({"requests": {"cpu": "1"}})), sidecar],
            "containers": [
                container("web", json!({
                    "requests": {"cpu": "500m", "memory": "64Mi", "example.com/card": "1"},
                    "limits": {"cpu": "1", "memory": "128Mi", "example.com/card": "1"},
                })),
                container("plain", json!({})),
            ],
        },
    })
}

/// The spec that a change of a pod leads to, or what is wrong with it; none if nothing changes.
fn resized(old: &Value, change: impl FnOnce(&mut Value)) -> Result<Option<Value>, Vec<String>> {
    let mut new = old.clone();
    change(&mut new);
    let (new, old) = (raw(new), document(&raw(old.clone())));
    let write = find("pod")
        .unwrap()
        .subresource("resize", Wanted::Whole(&new), &old);
    match write.unwrap() {
        Ok(fields) => Ok(fields.into_iter().next().map(|(field, json)| {
            assert_eq!(field, "spec");
            serde_json::from_slice(&json).unwrap()
        })),
        Err(errors) => Err(errors.into_iter().map(|error| error.to_string()).collect()),
    }
}

#[test]
fn what_containers_and_sidecars_may_use_is_written_and_nothing_else() {
    let spec = resized(&pod(), |pod| {
        pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
        pod["spec"]["containers"][0]["resources"]["requests"]["memory"] = json!("32Mi");
        pod["spec"]["containers"][0]["image"] = json!("another");
        pod["spec"]["containers"][1]["resources"] = json!({"limits": {"memory": "1Gi"}});
        pod["spec"]["initContainers"][1]["resources"]["requests"]["cpu"] = json!("200m");
        pod["spec"]["nodeName"] = json!("n2");
        pod["metadata"]["labels"] = json!({"a": "b"});
    });
    let spec = spec.unwrap().unwrap();
    let mut expected = pod()["spec"].take();
    expected["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
    expected["containers"][0]["resources"]["requests"]["memory"] = json!("32Mi");
    // What may be used and is not asked for is asked for.
    expected["containers"][1]["resources"] =
        json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}});
    expected["initContainers"][1]["resources"]["requests"]["cpu"] = json!("200m");
    assert_eq!(spec, expected);
}

#[test]
fn who_changes_nothing_writes_nothing() {
    assert_eq!(resized(&pod(), |_| {}), Ok(None));
    let same = |pod: &mut Value| pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("1000m");
    assert_eq!(resized(&pod(), same), Ok(None));
    let other = |pod: &mut Value| pod["spec"]["containers"][0]["image"] = json!("another");
    assert_eq!(resized(&pod(), other), Ok(None));
}

#[test]
fn what_cannot_be_given_anew_is_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change, &str); 10] = [
        (
            "another resource",
            |pod| {
                for list in ["requests", "limits"] {
                    pod["spec"]["containers"][0]["resources"][list]["example.com/card"] = json!("2");
                }
            },
            "spec.containers[0].resources: Forbidden: only cpu and memory resources are mutable",
        ),
        (
            "no limit more",
            |pod| pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = Value::Null,
            "spec.containers[0].resources: Invalid value: invalid type: null, expected Quantity",
        ),
        (
            "no requests more",
            |pod| {
                pod["spec"]["initContainers"][1]["resources"] = json!({});
            },
            "spec.initContainers[1].resources.requests: Forbidden: resource requests cannot be removed",
        ),
        (
            "limits without one that was there",
            |pod| {
                pod["spec"]["containers"][0]["resources"]["limits"] =
                    json!({"cpu": "1", "example.com/card": "1"});
            },
            "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
        ),
        (
            "more asked for than may be used",
            |pod| pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("3"),
            "spec.containers[0].resources.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 1",
        ),
        (
            "an amount that is none",
            |pod| pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("much"),
            "spec.containers[0].resources.limits",
        ),
        (
            "one that runs to its end",
            |pod| pod["spec"]["initContainers"][0]["resources"]["requests"]["cpu"] = json!("2"),
            "spec.initContainers[0].resources: Forbidden: only containers and sidecars can be resized, not init containers that run \
             to their end",
        ),
        (
            "another order",
            |pod| pod["spec"]["containers"].as_array_mut().unwrap().reverse(),
            "spec.containers: Forbidden: containers may not be renamed or reordered on resize",
        ),
        (
            "no containers",
            |pod| pod["spec"]["containers"] = Value::Null,
            "spec.containers: Forbidden: containers may not be renamed or reordered on resize",
        ),
        (
            "no object",
            |pod| pod["spec"]["containers"][1]["resources"] = json!(7),
            "spec.containers[1].resources",
        ),
    ];
    for (what, change, expected) in cases {
        let found = resized(&pod(), change).unwrap_err();
        assert!(found[0].starts_with(expected), "{what}: {found:?}");
    }
}

#[test]
fn a_pod_stays_in_its_class() {
    let mut guaranteed = pod();
    guaranteed["spec"]["initContainers"] = json!([]);
    let same = json!({"cpu": "1", "memory": "1Gi"});
    guaranteed["spec"]["containers"] =
        json!([{"name": "c", "image": "i", "resources": {"requests": same, "limits": same}}]);
    let of_both = |amount: &'static str| {
        move |pod: &mut Value| {
            for list in ["requests", "limits"] {
                pod["spec"]["containers"][0]["resources"][list]["cpu"] = json!(amount);
            }
        }
    };
    assert!(resized(&guaranteed, of_both("2")).unwrap().is_some());
    let more = |pod: &mut Value| pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = json!("2");
    assert_eq!(
        resized(&guaranteed, more),
        Err(vec![
            "spec: Invalid value: \"Burstable\": Pod QOS Class may not be changed as a result of resizing"
                .to_owned()
        ])
    );
    let mut mirrored = guaranteed;
    mirrored["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let found = resized(&mirrored, of_both("2")).unwrap_err();
    assert!(found[0].contains("static pods cannot be resized"), "{found:?}");
}

#[test]
fn policies_of_resizing_are_checked() {
    let check = |policies: Value, restart: &str, list: &str| {
        let mut pod = pod();
        pod["spec"]["restartPolicy"] = json!(restart);
        pod["spec"][list][0]["resizePolicy"] = policies;
        let kind = find("pod").unwrap();
        let mut object = raw(pod);
        kind.default(&mut object);
        let errors = kind.validate(&document(&object));
        let of_policies = errors.into_iter().map(|error| error.to_string());
        of_policies
            .filter(|error| error.contains("resizePolicy"))
            .collect::<Vec<_>>()
    };
    let policy = |name: &str, word: &str| json!({"resourceName": name, "restartPolicy": word});
    let none: [&str; 0] = [];
    let both = json!([policy("cpu", "NotRequired"), policy("memory", "RestartContainer")]);
    assert_eq!(check(both.clone(), "Always", "containers"), none);
    for (policies, restart, list, expected) in [
        (
            both.clone(),
            "Never",
            "containers",
            "spec.containers[0].resizePolicy[1].restartPolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when \
             `restartPolicy` is 'Never'",
        ),
        (
            both,
            "Always",
            "initContainers",
            "spec.initContainers[0].resizePolicy: Forbidden: must not be set for init containers",
        ),
        (
            json!([policy("disk", "NotRequired")]),
            "Always",
            "containers",
            "spec.containers[0].resizePolicy[0].resourceName: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\"",
        ),
        (
            json!([policy("cpu", "Sometimes")]),
            "Always",
            "containers",
            "spec.containers[0].resizePolicy[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: \
             \"NotRequired\", \"RestartContainer\"",
        ),
        (
            json!([policy("cpu", "NotRequired"), policy("cpu", "NotRequired")]),
            "Always",
            "containers",
            "spec.containers[0].resizePolicy[1]: Duplicate value: \"cpu\"",
        ),
    ] {
        assert_eq!(check(policies, restart, list), [expected]);
    }
}
