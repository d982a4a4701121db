//! What pods ask for in all.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use super::resources::{effective_limits, effective_requests, qos_class, qos_class_of};

#[test]
fn the_class_follows_from_requests_and_limits() {
    let both = |cpu: &str| json!({"limits": {"cpu": cpu, "memory": "1Gi"}, "requests": {"cpu": cpu, "memory": "1Gi"}});
    for (class, spec) in [
        ("BestEffort", json!({"containers": [{}]})),
        (
            "BestEffort",
            json!({"containers": [{"resources": {"requests": {"cpu": "0"}}}]}),
        ),
        (
            "BestEffort",
            json!({"containers": [{"resources": {"limits": {"example.com/gpu": "1"}}}]}),
        ),
        ("Guaranteed", json!({"containers": [{"resources": both("1")}]})),
        (
            "Guaranteed",
            json!({"containers": [{"resources": {
            "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}}]}),
        ),
        ("Burstable", json!({"containers": [{"resources": both("1")}, {}]})),
        (
            "Burstable",
            json!({"containers": [{"resources": both("1")}], "initContainers": [{}]}),
        ),
        (
            "Burstable",
            json!({"containers": [{"resources": {"requests": {"memory": "1Gi"}}}]}),
        ),
        (
            "Burstable",
            json!({"containers": [{"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}]}),
        ),
        ("Guaranteed", json!({"containers": [{}], "resources": both("2")})),
    ] {
        assert_eq!(qos_class_of(spec.as_object().unwrap()).as_str(), class, "{spec}");
        assert_eq!(qos_class(&typed(spec.clone())).as_str(), class, "{spec}");
    }
}

fn typed(spec: Value) -> PodSpec {
    serde_json::from_value(spec).unwrap()
}

fn asks(cpu: &str) -> Value {
    json!({"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}})
}

#[test]
fn init_containers_count_by_the_largest_and_sidecars_by_their_sum() {
    let sidecar = |cpu: &str| {
        let mut container = asks(cpu);
        container["restartPolicy"] = json!("Always");
        container
    };
    for (expected, spec) in [
        ("3", json!({"containers": [asks("1"), asks("2")]})),
        (
            "3",
            json!({"containers": [asks("1"), asks("2")], "initContainers": [asks("3"), asks("1")]}),
        ),
        (
            "5",
            json!({"containers": [asks("1")], "initContainers": [asks("5"), asks("4")]}),
        ),
        (
            "3",
            json!({"containers": [asks("1")], "initContainers": [sidecar("2"), asks("1")]}),
        ),
        (
            "6",
            json!({"containers": [asks("1")], "initContainers": [sidecar("2"), asks("4")]}),
        ),
        (
            "4",
            json!({"containers": [asks("1")], "initContainers": [asks("4"), sidecar("2")]}),
        ),
        (
            "1500m",
            json!({"containers": [asks("1")], "overhead": {"cpu": "500m"}}),
        ),
        (
            "9",
            json!({"containers": [asks("1")], "resources": {"requests": {"cpu": "9"}, "limits": {"cpu": "9"}}}),
        ),
    ] {
        assert_eq!(
            effective_requests(&typed(spec.clone()))["cpu"].to_string(),
            expected,
            "{spec}"
        );
        assert_eq!(
            effective_limits(&typed(spec.clone()))["cpu"].to_string(),
            expected,
            "{spec}"
        );
    }
    assert!(effective_requests(&typed(json!({"containers": [{"name": "c"}]}))).is_empty());
}
