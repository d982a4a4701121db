//! Conditions change when their status does; a pod ends by its phase.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use orch_core::object::Document;
use serde_json::json;

use super::deletion_grace;
use super::status::{is_active, is_available, is_ready, is_terminal, set_condition};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ready(status: &str) -> PodCondition {
    PodCondition {
        type_: "Ready".to_owned(),
        status: status.to_owned(),
        ..PodCondition::default()
    }
}

#[test]
fn the_time_of_a_transition_is_kept_until_the_status_changes() {
    let mut status = PodStatus::default();
    let since = |status: &PodStatus| {
        status.conditions.as_ref().unwrap()[0]
            .last_transition_time
            .clone()
            .unwrap()
            .0
    };
    assert!(set_condition(&mut status, ready("False"), at(1)));
    assert!(
        !set_condition(&mut status, ready("False"), at(2)),
        "nothing changed"
    );
    assert_eq!(since(&status), at(1));
    let because = PodCondition {
        reason: Some("Because".to_owned()),
        ..ready("False")
    };
    assert!(set_condition(&mut status, because, at(3)), "a new reason");
    assert_eq!(since(&status), at(1));
    assert!(set_condition(&mut status, ready("True"), at(4)));
    assert_eq!(since(&status), at(4));
}

#[test]
fn a_pod_is_available_once_it_was_ready_long_enough() {
    let mut pod = Pod::default();
    assert!(!is_ready(&pod) && !is_available(&pod, 0, at(100)));
    set_condition(pod.status.get_or_insert_default(), ready("True"), at(10));
    assert!(is_ready(&pod) && is_available(&pod, 0, at(10)));
    assert!(!is_available(&pod, 5, at(14)));
    assert!(is_available(&pod, 5, at(15)));
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
