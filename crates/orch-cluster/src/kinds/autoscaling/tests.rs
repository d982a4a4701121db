//! HorizontalPodAutoscalers: what is filled in, what is refused.

use serde_json::{Value, json};

use crate::kinds::testkit::{created, refuses, replaces, with};

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    })
}

#[test]
fn an_autoscaler_is_filled() {
    let made = created("autoscaling/v2", autoscaler()).unwrap();
    assert_eq!(made["spec"]["minReplicas"], 1);
    let target = json!({"type": "Utilization", "averageUtilization": 80});
    let metric = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    assert_eq!(made["spec"]["metrics"], metric);
    assert_eq!(made["spec"].get("behavior"), None);
    let slow = json!({"scaleDown": {"stabilizationWindowSeconds": 60, "tolerance": 0.5}});
    let made = created("autoscaling/v2", with(autoscaler(), "/spec/behavior", slow)).unwrap();
    let policy = |kind: &str, value: i32| json!({"type": kind, "value": value, "periodSeconds": 15});
    let expected = json!({
        "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [policy("Pods", 4), policy("Percent", 100)]},
        "scaleDown": {
            "stabilizationWindowSeconds": 60, "selectPolicy": "Max", "policies": [policy("Percent", 100)], "tolerance": "0.5",
        },
    });
    assert_eq!(made["spec"]["behavior"], expected);
}

#[test]
fn autoscalers_that_are_wrong_are_refused() {
    let resource =
        |target: Value| json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    let external = |target: Value| json!([{"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}]);
    let up = |rules: Value| json!({"scaleUp": rules});
    refuses(
        &autoscaler(),
        &[
            (
                "/spec/minReplicas",
                json!(0),
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            ),
            (
                "/spec/minReplicas",
                json!(6),
                "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`",
            ),
            (
                "/spec/scaleTargetRef",
                json!({"kind": "Deployment", "name": ""}),
                "spec.scaleTargetRef.name: Required value",
            ),
            (
                "/spec/metrics",
                resource(json!({"type": "Utilization"})),
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target \
                 utilization",
            ),
            (
                "/spec/metrics",
                resource(json!({"type": "AverageValue", "averageValue": "0"})),
                "spec.metrics[0].resource.target.averageValue: Invalid value: \"0\": must be positive",
            ),
            (
                "/spec/metrics",
                resource(json!({"type": "Half", "averageUtilization": 50})),
                "spec.metrics[0].resource.target.type: Invalid value: \"Half\": must be either Utilization, Value, or AverageValue",
            ),
            (
                "/spec/metrics",
                external(json!({"type": "Value", "value": 5, "averageValue": 5})),
                "spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
            ),
            (
                "/spec/metrics",
                json!([{"type": "Pods"}]),
                "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            ),
            (
                "/spec/metrics",
                json!([{"type": "Odd"}]),
                "spec.metrics[0].type: Unsupported value: \"Odd\": supported values: \"ContainerResource\", \"External\", \"Object\", \
                 \"Pods\", \"Resource\"",
            ),
            (
                "/spec/behavior",
                up(json!({"selectPolicy": "Some"})),
                "spec.behavior.scaleUp.selectPolicy: Unsupported value: \"Some\": supported values: \"Disabled\", \"Max\", \"Min\"",
            ),
            (
                "/spec/behavior",
                up(json!({"policies": []})),
                "spec.behavior.scaleUp.policies: Required value: must specify at least one Policy",
            ),
            (
                "/spec/behavior",
                up(json!({"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]})),
                "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
            ),
            (
                "/spec/behavior",
                up(json!({"stabilizationWindowSeconds": 3601})),
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            ),
        ],
    );
    replaces(
        &autoscaler(),
        &[
            ("/spec/maxReplicas", json!(9), ""),
            (
                "/spec/maxReplicas",
                json!(0),
                "spec.maxReplicas: Invalid value: 0: must be greater than 0; \
                 spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ),
        ],
    );
}
