//! What the status of budgets says, of made-up pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::scale::{Scale, scale};
use super::status::{failed, reckon};
use crate::controllers::pod_view::PodView;
use crate::disruption::budget::Counts;

fn pod(name: &str, controller: Option<&str>, ready: bool) -> Arc<PodView> {
    Arc::new(PodView {
        name: name.into(),
        controller_uid: controller.map(Into::into),
        ready,
        ..PodView::default()
    })
}

fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
    let budget = json!({"metadata": {"name": "web", "generation": 3}, "spec": spec, "status": status});
    serde_json::from_value(budget).unwrap()
}

fn now() -> Timestamp {
    "2030-01-01T00:02:00Z".parse().unwrap()
}

fn four() -> Result<Scale, String> {
    Ok(Scale {
        pods: 4,
        is_partial: false,
    })
}

#[test]
fn a_budget_counts_the_pods_that_there_are_to_be() {
    let pods: Vec<_> = (0..3).map(|n| pod(&n.to_string(), Some("rs"), n > 0)).collect();
    let counts = |expected, desired, current, allowed| Counts {
        expected,
        desired,
        current,
        allowed,
    };
    for (spec, expected) in [
        (json!({"minAvailable": 1}), counts(3, 1, 2, 1)),
        (json!({"minAvailable": 5}), counts(3, 5, 2, 0)),
        (json!({"minAvailable": "50%"}), counts(4, 2, 2, 0)),
        // A share is rounded up.
        (json!({"minAvailable": "26%"}), counts(4, 2, 2, 0)),
        (json!({"maxUnavailable": 3}), counts(4, 1, 2, 1)),
        (json!({"maxUnavailable": "51%"}), counts(4, 1, 2, 1)),
        (json!({"maxUnavailable": 9}), counts(4, 0, 2, 2)),
        (json!({}), counts(0, 0, 2, 0)),
    ] {
        let reckoned = reckon(&budget(spec.clone(), json!({})), &pods, four, now()).unwrap();
        assert_eq!(Counts::from(&reckoned.status), expected, "{spec}");
        let allowed = if expected.allowed > 0 { "True" } else { "False" };
        let conditions = reckoned.status.conditions.unwrap();
        assert_eq!(
            (&*conditions[0].status, conditions[0].observed_generation),
            (allowed, Some(3))
        );
    }
    let none = reckon(&budget(json!({"minAvailable": 0}), json!({})), &[], four, now()).unwrap();
    assert_eq!(Counts::from(&none.status), counts(0, 0, 0, 0));
}

#[test]
fn a_pod_whose_eviction_was_allowed_counts_as_gone_for_two_minutes() {
    let mut gone = PodView::clone(&pod("gone", Some("rs"), true));
    gone.deleting = Some(now());
    let pods = [
        pod("going", Some("rs"), true),
        pod("left", Some("rs"), true),
        pod("stays", Some("rs"), true),
        Arc::new(gone),
    ];
    let disrupted = json!({"disruptedPods": {
        "going": "2030-01-01T00:01:00Z", "left": "2030-01-01T00:00:00Z", "gone": "2030-01-01T00:01:59Z", "unknown": "2030-01-01T00:01:59Z",
    }});
    let budget = budget(json!({"minAvailable": 1}), disrupted);
    let reckoned = reckon(&budget, &pods, four, now()).unwrap();
    let names: Vec<_> = reckoned
        .status
        .disrupted_pods
        .iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["going"]);
    assert_eq!(Counts::from(&reckoned.status).current, 2);
    assert_eq!(reckoned.again_in, Some(Duration::from_secs(60)));
    let left: Vec<_> = reckoned.left.iter().map(|pod| &*pod.name).collect();
    assert_eq!(left, ["left"]);
}

#[test]
fn what_cannot_be_known_allows_nothing_and_says_since_when() {
    let why = || Err("found no controllers for pod \"a\"".to_owned());
    let unknown = budget(
        json!({"maxUnavailable": 1}),
        json!({"disruptionsAllowed": 2, "observedGeneration": 3}),
    );
    let refused = reckon(&unknown, &[], why, now()).unwrap_err();
    let mut stuck = unknown.clone();
    let status = failed(&unknown, refused.clone(), now());
    assert_eq!(Counts::from(&status).allowed, 0);
    let condition = &status.conditions.as_ref().unwrap()[0];
    assert_eq!(
        (&*condition.reason, &*condition.message),
        ("SyncFailed", refused.as_str())
    );
    stuck.status = Some(status.clone());
    let later = now() + Duration::from_secs(9);
    assert_eq!(failed(&stuck, refused, later), status, "nothing is written twice");
    let fine = reckon(
        &budget(
            json!({"minAvailable": 0}),
            json!({"conditions": status.conditions}),
        ),
        &[pod("a", None, true)],
        four,
        later,
    );
    let condition = &fine.unwrap().status.conditions.unwrap()[0];
    assert_eq!(
        (&*condition.status, condition.last_transition_time.0),
        ("True", later)
    );
}

#[test]
fn the_size_of_workloads_adds_up_each_once() {
    let set = |uid: &str, owner: Value, replicas: i32| -> Arc<ReplicaSet> {
        let meta = json!({"name": uid, "uid": uid, "ownerReferences": owner});
        let set = json!({"metadata": meta, "spec": {"replicas": replicas, "selector": {}}});
        Arc::new(serde_json::from_value(set).unwrap())
    };
    let owned = |kind: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "d", "controller": true}]);
    let deployment = json!({"metadata": {"name": "web", "uid": "d"}, "spec": {"replicas": 5, "selector": {}, "template": {}}});
    let deployments = [Arc::new(
        serde_json::from_value::<Deployment>(deployment).unwrap(),
    )];
    let sets = [
        set("old", owned("Deployment"), 1),
        set("new", owned("Deployment"), 4),
        set("alone", json!(null), 2),
        set("custom", owned("Rollout"), 3),
    ];
    let of = |controllers: &[Option<&str>]| {
        let pods: Vec<_> = controllers
            .iter()
            .map(|controller| pod("p", *controller, true))
            .collect();
        scale(&pods, &sets, &deployments).map(|scale| (scale.pods, scale.is_partial))
    };
    assert_eq!(of(&[]), Ok((0, false)));
    assert_eq!(of(&[Some("old"), Some("new"), Some("new")]), Ok((5, false)));
    assert_eq!(of(&[Some("alone"), Some("custom"), Some("new")]), Ok((10, false)));
    assert_eq!(of(&[Some("alone"), None]), Ok((2, true)));
    assert_eq!(
        of(&[Some("gone")]),
        Err("found no controllers for pod \"p\"".to_owned())
    );
    let pods = [pod("p", Some("new"), true)];
    assert!(scale(&pods, &sets, &[]).is_err(), "its Deployment is not there");
}
