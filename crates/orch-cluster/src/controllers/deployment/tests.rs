//! The Deployment's decisions, case by case.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use serde_json::{Value, json};

use super::*;

pub(super) fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A Deployment `web` of 10 with image `image`, changed by `patch` of its spec.
pub(super) fn deployment(image: &str, patch: Value) -> Deployment {
    let mut spec = json!({
        "replicas": 10, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
                     "spec": {"containers": [{"name": "c", "image": image}]}}});
    for (key, value) in patch.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 2},
        "spec": spec}))
    .unwrap()
}

/// A set as the Deployment made it, `age` seconds ago, with `size` asked for and `available` there.
fn set(image: &str, revision: i64, size: i32, available: i32) -> ReplicaSet {
    let made = new_set::new_set(&deployment(image, json!({})), size, Default::default());
    let mut value = serde_json::to_value(made).unwrap();
    value["metadata"]["uid"] = json!(format!("uid-{image}"));
    value["metadata"]["generation"] = json!(1);
    value["metadata"]["creationTimestamp"] = json!(later(revision - 1000).to_string());
    value["metadata"]["annotations"] = json!({
        "deployment.kubernetes.io/revision": revision.to_string(),
        "deployment.kubernetes.io/desired-replicas": "10",
        "deployment.kubernetes.io/max-replicas": "13"});
    value["status"] = json!({"replicas": size, "readyReplicas": available,
        "availableReplicas": available, "observedGeneration": 1});
    serde_json::from_value(value).unwrap()
}

pub(super) fn run(deployment: &Deployment, sets: &[ReplicaSet], at: Timestamp) -> Plan {
    let selector = crate::controllers::selector_of(&deployment.spec.selector).unwrap();
    let sets: Vec<_> = sets.iter().cloned().map(Arc::new).collect();
    decide(deployment, &selector, &sets, |_| false, at)
}

/// The sizes a plan asks for: `image=size`, in the order of its changes.
fn sizes(plan: &Plan) -> Vec<String> {
    let image = |set: &ReplicaSet| {
        let template = set.spec.template.as_ref().unwrap();
        template.spec.as_ref().unwrap().containers[0]
            .image
            .clone()
            .unwrap()
    };
    let sizes = plan.changes.iter().filter_map(|change| match change {
        Change::Create(set) => Some(format!("+{}={}", image(set), set.spec.replicas.unwrap())),
        Change::Update(update) => update
            .replicas
            .map(|size| format!("{}={size}", image(&update.set))),
        Change::Delete(set) => Some(format!("-{}", image(set))),
    });
    sizes.collect()
}

fn condition<'a>(plan: &'a Plan, type_: &str) -> &'a DeploymentCondition {
    let mut conditions = plan.status.conditions.iter().flatten();
    conditions
        .find(|condition| condition.type_.as_deref() == Some(type_))
        .unwrap()
}

fn reason<'a>(plan: &'a Plan, type_: &str) -> &'a str {
    condition(plan, type_).reason.as_deref().unwrap()
}

#[test]
fn a_roll_goes_step_by_step() {
    let rolling = |surge: Value, unavailable: Value| {
        json!({"strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}})
    };
    let quarter = || rolling(json!("25%"), json!("25%"));
    // (case, spec, old size and available, new size and available, changes)
    type Case = (
        &'static str,
        Value,
        Option<(i32, i32)>,
        Option<(i32, i32)>,
        &'static [&'static str],
    );
    let table: [Case; 13] = [
        ("the first set is made whole", quarter(), None, None, &["+b=10"]),
        (
            "the new set gets the surge",
            quarter(),
            Some((10, 10)),
            None,
            &["+b=3"],
        ),
        (
            "old ones go as far as they may be missed",
            quarter(),
            Some((10, 10)),
            Some((3, 0)),
            &["a=8"],
        ),
        (
            "new ones fill the room",
            quarter(),
            Some((8, 8)),
            Some((3, 0)),
            &["b=5"],
        ),
        (
            "while none becomes available all stands still",
            quarter(),
            Some((8, 8)),
            Some((5, 0)),
            &[],
        ),
        (
            "each available one lets an old one go",
            quarter(),
            Some((8, 8)),
            Some((5, 2)),
            &["a=6"],
        ),
        (
            "the last old ones go",
            quarter(),
            Some((1, 1)),
            Some((10, 9)),
            &["a=0"],
        ),
        ("all is done", quarter(), Some((0, 0)), Some((10, 10)), &[]),
        (
            "without surge old ones go first",
            rolling(json!(0), json!(2)),
            Some((10, 10)),
            None,
            &["+b=0"],
        ),
        (
            "without surge, then",
            rolling(json!(0), json!(2)),
            Some((10, 10)),
            Some((0, 0)),
            &["a=8"],
        ),
        (
            "broken old pods go at once",
            quarter(),
            Some((10, 4)),
            Some((3, 0)),
            &["a=8"],
        ),
        (
            "none may be missed: old ones wait",
            rolling(json!(1), json!(0)),
            Some((10, 10)),
            Some((1, 0)),
            &[],
        ),
        (
            "Recreate: old ones go first",
            json!({"strategy": {"type": "Recreate"}}),
            Some((10, 10)),
            None,
            &["a=0"],
        ),
    ];
    for (case, spec, old, new, expected) in table {
        let deployment = deployment("b", spec);
        let old = old.map(|(size, available)| set("a", 1, size, available));
        let new = new.map(|(size, available)| set("b", 2, size, available));
        let sets: Vec<_> = old.into_iter().chain(new).collect();
        assert_eq!(sizes(&run(&deployment, &sets, now())), expected, "{case}");
    }
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let deployment = deployment("b", json!({"strategy": {"type": "Recreate"}}));
    let selector = crate::controllers::selector_of(&deployment.spec.selector).unwrap();
    let old = [Arc::new(set("a", 1, 0, 0))];
    let waiting = decide(&deployment, &selector, &old, |uid| uid == "uid-a", now());
    assert_eq!(sizes(&waiting), [""; 0]);
    let free = decide(&deployment, &selector, &old, |_| false, now());
    assert_eq!(sizes(&free), ["+b=10"]);
}

#[test]
fn a_new_set_is_the_deployments_own_and_bears_its_hash() {
    let mut deployment = deployment("b", json!({"minReadySeconds": 5}));
    deployment.metadata.annotations =
        Some([("kubernetes.io/change-cause".to_owned(), "why".to_owned())].into());
    let plan = run(&deployment, &[set("a", 4, 0, 0)], now());
    let [Change::Create(set)] = &plan.changes[..] else {
        panic!("{plan:?}")
    };
    let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
    assert_eq!(set.metadata.name, Some(format!("web-{hash}")));
    let spec = &set.spec;
    assert_eq!(
        spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"],
        hash
    );
    let template = spec.template.as_ref().unwrap().metadata.as_ref().unwrap();
    assert_eq!(template.labels.as_ref().unwrap()["pod-template-hash"], hash);
    assert_eq!(spec.min_ready_seconds, Some(5));
    let owner = &set.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.uid.as_str(), owner.controller, owner.block_owner_deletion),
        ("d", Some(true), Some(true))
    );
    let annotations = set.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "5");
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "13");
    assert_eq!(annotations["kubernetes.io/change-cause"], "why");
    assert_eq!(plan.revision.as_deref(), Some("5"));
    assert_eq!(reason(&plan, "Progressing"), "NewReplicaSetCreated");
}

#[test]
fn a_name_that_is_taken_is_ours_or_a_collision() {
    let mut wanted = deployment("b", json!({}));
    let [Change::Create(ours)] = &run(&wanted, &[], now()).changes[..] else {
        panic!()
    };
    assert_eq!(name_taken(&wanted, ours), NameTaken::Ours);
    let mut foreign = ours.clone();
    foreign.metadata.owner_references = None;
    assert_eq!(name_taken(&wanted, &foreign), NameTaken::Collision(1));
    assert_eq!(name_taken(&wanted, &set("a", 1, 0, 0)), NameTaken::Collision(1));
    wanted.status = Some(serde_json::from_value(json!({"collisionCount": 1})).unwrap());
    let [Change::Create(next)] = &run(&wanted, &[], now()).changes[..] else {
        panic!()
    };
    assert_ne!(next.metadata.name, ours.metadata.name);
}

#[test]
fn a_rollback_makes_the_old_set_the_newest_revision() {
    let deployment = deployment("a", json!({}));
    let plan = run(&deployment, &[set("a", 1, 0, 0), set("b", 2, 10, 10)], now());
    let Change::Update(update) = &plan.changes[0] else {
        panic!("{plan:?}")
    };
    assert_eq!(update.annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(
        update.annotations["deployment.kubernetes.io/revision-history"],
        "1"
    );
    assert_eq!(update.replicas, Some(3));
    assert_eq!(plan.revision.as_deref(), Some("3"));
}

#[test]
fn undo_finds_the_template_of_an_earlier_revision() {
    let present = deployment("c", json!({}));
    let sets: Vec<_> = [set("a", 1, 0, 0), set("b", 2, 0, 0), set("c", 3, 10, 10)]
        .map(Arc::new)
        .into();
    let image = |to| {
        let template = rollback_to(&present, &sets, to).map_err(|error| error.to_string())?;
        assert!(
            !template
                .metadata
                .unwrap()
                .labels
                .unwrap()
                .contains_key("pod-template-hash")
        );
        Ok(template.spec.unwrap().containers[0].image.clone().unwrap())
    };
    assert_eq!(image(RollbackTo::Previous), Ok("b".to_owned()));
    assert_eq!(image(RollbackTo::Revision(1)), Ok("a".to_owned()));
    let message: Result<String, String> = image(RollbackTo::Revision(9));
    assert_eq!(
        message.unwrap_err(),
        r#"deployment "web": revision 9 not found; kept are [1, 2, 3]"#
    );
    let unchanged = rollback_to(&present, &sets, RollbackTo::Revision(3));
    assert!(matches!(
        unchanged,
        Err(RollbackError::Unchanged { revision: 3, .. })
    ));
    let none = rollback_to(&present, &sets[2..], RollbackTo::Previous);
    assert!(matches!(none, Err(RollbackError::NoHistory { .. })));
    let paused = deployment("c", json!({"paused": true}));
    assert!(matches!(
        rollback_to(&paused, &sets, RollbackTo::Previous),
        Err(RollbackError::Paused { .. })
    ));
}

#[test]
fn a_resize_in_the_middle_of_a_roll_is_shared() {
    // (wanted, old, new) -> changes; both noted 10 wanted and 13 at most
    let table: [(i32, i32, i32, &[&str]); 4] = [
        (20, 8, 5, &["a=15", "b=10"]),
        (5, 8, 5, &["a=4", "b=3"]),
        (0, 8, 5, &["a=0", "b=0"]),
        (11, 8, 5, &["a=9"]),
    ];
    for (wanted, old, new, expected) in table {
        let deployment = deployment("b", json!({"replicas": wanted}));
        let plan = run(&deployment, &[set("a", 1, old, old), set("b", 2, new, 0)], now());
        assert_eq!(sizes(&plan), expected, "to {wanted}");
    }
    let plain = deployment("b", json!({"replicas": 4}));
    assert_eq!(
        sizes(&run(&plain, &[set("a", 1, 0, 0), set("b", 2, 10, 10)], now())),
        ["b=4"]
    );
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let paused = deployment("b", json!({"paused": true, "replicas": 4}));
    let plan = run(&paused, &[set("a", 1, 10, 10)], now());
    assert_eq!(sizes(&plan), ["a=4"]);
    assert_eq!(
        (
            reason(&plan, "Progressing"),
            plan.revision.as_deref(),
            plan.again_in
        ),
        ("DeploymentPaused", None, None)
    );
    let mut resumed = deployment("b", json!({}));
    resumed.status = Some(plan.status);
    let plan = run(&resumed, &[set("a", 1, 10, 10)], later(5));
    assert_eq!(
        (sizes(&plan), reason(&plan, "Progressing")),
        (vec!["+b=3".to_owned()], "NewReplicaSetCreated")
    );
}

#[test]
fn progress_is_noted_and_its_absence_has_a_deadline() {
    let mut roll = deployment("b", json!({"progressDeadlineSeconds": 60}));
    let old = set("a", 1, 8, 8);
    let created = run(&roll, std::slice::from_ref(&old), now());
    assert_eq!(created.again_in.unwrap().as_secs(), 60);
    roll.status = Some(created.status);
    let moved = run(&roll, &[old.clone(), set("b", 2, 5, 0)], later(10));
    assert_eq!(reason(&moved, "Progressing"), "ReplicaSetUpdated");
    roll.status = Some(moved.status.clone());
    let still = run(&roll, &[old.clone(), set("b", 2, 5, 0)], later(40));
    assert_eq!(
        (&still.status, still.again_in.unwrap().as_secs()),
        (&moved.status, 30)
    );
    let stuck = run(&roll, &[old.clone(), set("b", 2, 5, 0)], later(70));
    assert_eq!(
        (reason(&stuck, "Progressing"), stuck.again_in),
        ("ProgressDeadlineExceeded", None)
    );
    assert_eq!(condition(&stuck, "Progressing").status.as_deref(), Some("False"));
    roll.status = Some(stuck.status);
    let done = run(&roll, &[set("a", 1, 0, 0), set("b", 2, 10, 10)], later(500));
    assert_eq!(
        (reason(&done, "Progressing"), done.again_in),
        ("NewReplicaSetAvailable", None)
    );
    roll.status = Some(done.status.clone());
    let hurt = run(&roll, &[set("a", 1, 0, 0), set("b", 2, 10, 7)], later(5000));
    assert_eq!(
        (reason(&hurt, "Progressing"), reason(&hurt, "Available")),
        ("NewReplicaSetAvailable", "MinimumReplicasUnavailable")
    );
}

#[test]
fn the_status_adds_the_sets_up_and_takes_over_their_failure() {
    let mut failing = set("b", 2, 5, 2);
    failing.status.as_mut().unwrap().conditions = Some(
        serde_json::from_value(
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "quota"}]),
        )
        .unwrap(),
    );
    let plan = run(&deployment("b", json!({})), &[set("a", 1, 8, 6), failing], now());
    let status = &plan.status;
    assert_eq!(
        (status.replicas, status.updated_replicas, status.ready_replicas),
        (Some(13), Some(5), Some(8))
    );
    assert_eq!(
        (status.available_replicas, status.unavailable_replicas),
        (Some(8), Some(5))
    );
    assert_eq!(status.observed_generation, Some(2));
    let failure = condition(&plan, "ReplicaFailure");
    assert_eq!(
        (failure.reason.as_deref(), failure.message.as_deref()),
        (Some("FailedCreate"), Some("quota"))
    );
    assert_eq!(reason(&plan, "Available"), "MinimumReplicasAvailable");
}

#[test]
fn where_no_set_could_be_made_none_of_the_pods_counts_as_updated() {
    let mut rolled = deployment("a", json!({}));
    rolled.status = Some(run(&rolled, &[set("a", 1, 10, 10)], now()).status);
    let mut rolling = deployment("b", json!({}));
    rolling.metadata.generation = Some(3);
    rolling.status = rolled.status.clone();
    let status = creation_failed(&rolling, "quota", now());
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(
        (status.updated_replicas, status.available_replicas),
        (None, Some(10))
    );
    let progressing = status
        .conditions
        .iter()
        .flatten()
        .find(|own| own.type_.as_deref() == Some("Progressing"));
    let progressing = progressing.unwrap();
    assert_eq!(
        (progressing.status.as_deref(), progressing.reason.as_deref()),
        (Some("False"), Some("FailedCreate"))
    );
}

#[test]
fn old_sets_beyond_the_limit_go_when_the_roll_is_complete() {
    let limited = deployment("d", json!({"revisionHistoryLimit": 1}));
    let old = [set("a", 1, 0, 0), set("b", 2, 0, 0), set("c", 3, 0, 0)];
    let complete: Vec<_> = old.iter().cloned().chain([set("d", 4, 10, 10)]).collect();
    assert_eq!(sizes(&run(&limited, &complete, now())), ["-a", "-b"]);
    let rolling: Vec<_> = old.iter().cloned().chain([set("d", 4, 10, 9)]).collect();
    assert_eq!(sizes(&run(&limited, &rolling, now())), [""; 0]);
    let mut unsettled = complete;
    unsettled[0].metadata.generation = Some(7);
    assert_eq!(sizes(&run(&limited, &unsettled, now())), ["-b"]);
}

#[test]
fn sets_are_adopted_and_released_by_labels() {
    let (mut orphan, mut strayed, mut foreign) = (set("b", 1, 10, 10), set("a", 1, 0, 0), set("c", 1, 0, 0));
    orphan.metadata.owner_references = None;
    strayed.metadata.labels = None;
    foreign.metadata.owner_references.as_mut().unwrap()[0].uid = "other".to_owned();
    let plan = run(&deployment("b", json!({})), &[orphan, strayed, foreign], now());
    let uids = |sets: &[Arc<ReplicaSet>]| {
        sets.iter()
            .map(|set| set.metadata.uid.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (uids(&plan.adopt), uids(&plan.release)),
        (vec!["uid-b".to_owned()], vec!["uid-a".to_owned()])
    );
    assert_eq!(sizes(&plan), [""; 0]);
}
