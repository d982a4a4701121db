//! When containers are given other resources, and how that is told.

use k8s_openapi::api::core::v1::ResourceRequirements;
use orch_core::runtime::Resources;
use serde_json::json;

use super::decide::{Action, StopReason};
use super::resize::{Wait, as_given, limits, raised};
use super::testkit::Model;

const SPEC: &str = r#"{"containers": [
    {"name": "a", "image": "i", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "64Mi"}},
     "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]},
    {"name": "b", "image": "i"}
]}"#;

/// A pod that runs, whose first container is to have these.
fn wanting(resources: serde_json::Value) -> Model {
    let mut model = Model::running(SPEC);
    let Model {
        observed,
        pod,
        status,
        ..
    } = &mut model;
    observed.note_given(pod, status);
    let spec = model.pod.spec.as_mut().unwrap();
    spec.containers[0].resources = serde_json::from_value(resources).unwrap();
    model
}

fn more_cpu() -> serde_json::Value {
    json!({"requests": {"cpu": "1500m"}, "limits": {"cpu": "2", "memory": "64Mi"}})
}

fn more_memory() -> serde_json::Value {
    json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "128Mi"}})
}

fn condition(model: &Model, type_: &str) -> Option<(String, String)> {
    let conditions = model.status.conditions.iter().flatten();
    let mut of_type = conditions.filter(|condition| condition.type_ == type_);
    of_type.next().map(|condition| {
        (
            condition.status.clone(),
            condition.reason.clone().unwrap_or_default(),
        )
    })
}

#[test]
fn a_container_is_given_more_while_it_runs() {
    let mut model = wanting(more_cpu());
    let id = model.observed.containers[0].id.clone();
    assert_eq!(model.decide().actions, [Action::Resize(vec![id.clone()])]);
    model.report();
    assert_eq!(
        condition(&model, "PodResizeInProgress"),
        Some(("True".to_owned(), String::new()))
    );
    let told = model.view().reported("a").unwrap().clone();
    // It has what it had, and what it is to have is kept for it.
    assert_eq!(told.resources.unwrap().requests.unwrap()["cpu"].0, "1");
    assert_eq!(told.allocated_resources.unwrap()["cpu"].0, "1500m");
    model.observed.busy.resize = true;
    assert_eq!(model.decide().actions, []);
    model.observed.busy.resize = false;
    model.settle();
    assert_eq!(model.observed.containers.len(), 2);
    assert_eq!(condition(&model, "PodResizeInProgress"), None);
    let told = model.view().reported("a").unwrap();
    assert_eq!(
        told.resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0,
        "1500m"
    );
    assert_eq!(model.view().reported("b").unwrap().resources, None);
}

#[test]
fn what_needs_a_restart_is_stopped_and_starts_at_once() {
    let mut model = wanting(more_memory());
    let [Action::StopContainer { name, reason, .. }] = &model.decide().actions[..] else {
        panic!("{:?}", model.decide().actions);
    };
    assert_eq!((name.as_str(), *reason), ("a", StopReason::Resized));
    let before = model.now;
    model.settle();
    let (pod, status) = (model.pod.clone(), model.status.clone());
    model.observed.note_given(&pod, &status);
    let view = model.view();
    let latest = view.latest("a").unwrap();
    assert_eq!((latest.attempt, model.now), (1, before));
    assert!(latest.state.is_running());
    let given = model.observed.given[&latest.id].limits.clone().unwrap();
    assert_eq!(given["memory"].0, "128Mi");
    model.settle();
    assert_eq!(condition(&model, "PodResizeInProgress"), None);
}

#[test]
fn who_waits_keeps_what_it_has() {
    for resources in [more_cpu(), more_memory()] {
        let mut model = wanting(resources);
        model.observed.wait = Some(Wait {
            reason: "Deferred",
            message: "others have it".to_owned(),
        });
        assert_eq!(model.decide().actions, []);
        model.report();
        assert_eq!(
            condition(&model, "PodResizePending"),
            Some(("True".to_owned(), "Deferred".to_owned()))
        );
        let told = model.view().reported("a").unwrap();
        assert_eq!(told.allocated_resources.as_ref().unwrap()["cpu"].0, "1");
        // It wants what it has again.
        let spec = model.pod.spec.as_mut().unwrap();
        spec.containers[0].resources = serde_json::from_value(
            json!({"requests": {"cpu": "1000m"}, "limits": {"cpu": "2000m", "memory": "64Mi"}}),
        )
        .unwrap();
        model.report();
        assert_eq!(condition(&model, "PodResizePending"), None);
    }
}

#[test]
fn an_agent_that_is_replaced_knows_what_containers_have() {
    let mut model = wanting(more_cpu());
    model.settle();
    model.report();
    // What was reported counts before what it was made with.
    model.observed.given.clear();
    let (pod, status) = (model.pod.clone(), model.status.clone());
    model.observed.note_given(&pod, &status);
    assert_eq!(model.decide().actions, []);
    // Where nothing was, that counts.
    model.observed.given.clear();
    model.observed.note_given(&pod, &Default::default());
    let id = model.observed.containers[0].id.clone();
    assert_eq!(model.decide().actions, [Action::Resize(vec![id])]);
    let spec = as_given(&model.pod, &model.observed);
    let given: ResourceRequirements = spec.containers[0].resources.clone().unwrap();
    assert_eq!(given.requests.unwrap()["cpu"].0, "1");
}

#[test]
fn limits_are_those_of_the_kubelet_and_a_pods_group_is_raised_first() {
    let model = wanting(more_cpu());
    let spec = &model.pod.spec.as_ref().unwrap().containers[0];
    let given = limits(spec);
    let expected = Resources {
        cpu_shares: Some(1536),
        cpu_limit_millis: Some(2000),
        memory_limit_bytes: Some(64 << 20),
        ..Resources::default()
    };
    assert_eq!(given, expected);
    let less = Resources {
        cpu_shares: Some(2),
        cpu_limit_millis: Some(3000),
        memory_limit_bytes: None,
        ..Resources::default()
    };
    for (from, to) in [(&less, &expected), (&expected, &less)] {
        let raised = raised(from, to);
        assert_eq!(raised.cpu_shares, Some(1536));
        assert_eq!(raised.cpu_limit_millis, Some(3000));
        assert_eq!(raised.memory_limit_bytes, None);
    }
}
