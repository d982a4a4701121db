//! Autoscalers in autoscaling/v1.

use serde_json::{Value, json};

use super::v1::{from_stored, to_stored};
use crate::kinds::testkit::raw;

fn in_v1(stored: Value) -> Value {
    let mut autoscaler = raw(stored);
    from_stored(&mut autoscaler);
    Value::Object(autoscaler)
}

fn in_v2(sent: Value) -> Value {
    let mut autoscaler = raw(sent);
    to_stored(&mut autoscaler);
    Value::Object(autoscaler)
}

fn cpu(target: Value) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": target}})
}

#[test]
fn what_autoscale_sends_is_a_target_of_the_use_of_processor_time() {
    let sent = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 5, "targetCPUUtilizationPercentage": 50},
    });
    let stored = in_v2(sent.clone());
    assert_eq!(stored["apiVersion"], "autoscaling/v2");
    let target = json!({"type": "Utilization", "averageUtilization": 50});
    assert_eq!(
        stored["spec"],
        json!({"maxReplicas": 5, "metrics": [cpu(target)]})
    );
    assert_eq!(in_v1(stored), sent);
}

#[test]
fn every_metric_goes_into_an_annotation_and_comes_back() {
    let metric = json!({"name": "queue", "selector": {"matchLabels": {"a": "b"}}});
    let described = json!({"kind": "Ingress", "name": "front"});
    for (stored, flat) in [
        (
            json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}),
            json!({"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}),
        ),
        (
            json!({"type": "ContainerResource", "containerResource": {
                "name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 60},
            }}),
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app", "targetAverageUtilization": 60}}),
        ),
        (
            json!({"type": "Pods", "pods": {"metric": metric, "target": {"type": "AverageValue", "averageValue": "5"}}}),
            json!({"type": "Pods", "pods": {"metricName": "queue", "selector": metric["selector"], "targetAverageValue": "5"}}),
        ),
        (
            json!({"type": "Object", "object": {
                "metric": metric, "describedObject": described, "target": {"type": "Value", "value": "7"},
            }}),
            json!({"type": "Object", "object": {
                "metricName": "queue", "selector": metric["selector"], "target": described, "targetValue": "7",
            }}),
        ),
        (
            json!({"type": "Object", "object": {
                "metric": metric, "describedObject": described, "target": {"type": "AverageValue", "averageValue": "7"},
            }}),
            json!({"type": "Object", "object": {
                "metricName": "queue", "selector": metric["selector"], "target": described, "averageValue": "7", "targetValue": "0",
            }}),
        ),
        (
            json!({"type": "External", "external": {"metric": metric, "target": {"type": "AverageValue", "averageValue": "3"}}}),
            json!({"type": "External", "external": {
                "metricName": "queue", "metricSelector": metric["selector"], "targetAverageValue": "3",
            }}),
        ),
    ] {
        let whole = json!({"apiVersion": "autoscaling/v2", "metadata": {"name": "web"}, "spec": {"metrics": [stored]}});
        let shown = in_v1(whole.clone());
        let annotation = &shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"];
        let found: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
        assert_eq!(found, json!([flat]));
        assert_eq!(shown["spec"], json!({}));
        assert_eq!(in_v2(shown), whole);
    }
}

#[test]
fn behavior_conditions_and_current_metrics_come_back_too() {
    let whole = json!({
        "apiVersion": "autoscaling/v2", "metadata": {"name": "web", "annotations": {"note": "mine"}},
        "spec": {"behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}},
        "status": {
            "currentReplicas": 2,
            "conditions": [{"type": "AbleToScale", "status": "True"}],
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 42, "averageValue": "420m"}}},
            ],
        },
    });
    let shown = in_v1(whole.clone());
    let status = json!({"currentReplicas": 2, "currentCPUUtilizationPercentage": 42});
    assert_eq!((&shown["status"], &shown["spec"]), (&status, &json!({})));
    let behavior = r#"{"ScaleDown":{"Policies":[{"PeriodSeconds":15,"Type":"Pods","Value":1}]}}"#;
    let annotations = &shown["metadata"]["annotations"];
    let of = |name: &str| -> Value {
        let annotation = annotations[format!("autoscaling.alpha.kubernetes.io/{name}")].as_str();
        serde_json::from_str(annotation.unwrap()).unwrap()
    };
    assert_eq!(of("behavior"), serde_json::from_str::<Value>(behavior).unwrap());
    assert_eq!(
        of("current-metrics")[0]["resource"]["currentAverageValue"],
        "420m"
    );
    assert_eq!(in_v2(shown), whole);
}

#[test]
fn annotations_that_cannot_be_read_say_nothing_and_fields_of_v2_are_none_of_v1() {
    let stored = in_v2(json!({
        "metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "{", "note": "mine"}},
        "spec": {"metrics": [cpu(json!({"type": "AverageValue", "averageValue": "1"}))], "behavior": {}},
        "status": {"currentCPUUtilizationPercentage": 9, "conditions": []},
    }));
    assert_eq!(stored["metadata"], json!({"annotations": {"note": "mine"}}));
    assert_eq!(stored["spec"], json!({}));
    let current =
        json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 9}}}]);
    assert_eq!(stored["status"], json!({"currentMetrics": current}));
}
