//! Which quality of service pods get.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};

use super::resources::{qos_class, qos_class_of};

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
