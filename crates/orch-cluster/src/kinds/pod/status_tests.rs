//! A pod serves by its condition, and ends by its phase.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use orch_core::object::Document;
use serde_json::json;

use super::deletion_grace;
use super::status::{is_active, is_ready, is_terminal};

#[test]
fn a_pod_is_ready_when_its_condition_says_so() {
    for (status, expected) in [("True", true), ("False", false), ("Unknown", false)] {
        let mut pod = Pod::default();
        assert!(!is_ready(&pod));
        pod.status.get_or_insert_default().conditions = Some(vec![PodCondition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            ..PodCondition::default()
        }]);
        assert_eq!(is_ready(&pod), expected, "{status}");
    }
}

#[test]
fn a_pod_that_ended_or_is_being_deleted_is_not_active() {
    let mut pod = Pod::default();
    assert!(is_active(&pod));
    pod.status.get_or_insert_default().phase = Some("Failed".to_owned());
    assert!(is_terminal(&pod) && !is_active(&pod));
}

#[test]
fn only_a_pod_that_runs_on_a_node_gets_time_to_end() {
    for (expected, requested, node, phase) in [
        (30, None, "n", "Running"),
        (5, Some(5), "n", "Running"),
        (0, Some(0), "n", "Running"),
        (0, Some(5), "", "Pending"),
        (0, None, "n", "Succeeded"),
        (0, Some(9), "n", "Failed"),
    ] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30}, "status": {"phase": phase},
        });
        let pod = Document::from_raw(pod.as_object().unwrap()).unwrap();
        assert_eq!(
            deletion_grace(&pod, requested),
            expected,
            "{requested:?} {node} {phase}"
        );
    }
}
