//! The ReplicaSet's decisions, case by case and at random.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use proptest::prelude::*;
use serde_json::json;

use super::decide::BURST;
use super::reconcile::shows_the_same;
use super::*;
use crate::controllers::pod_view::{Phase, PodView};
use orch_core::object::Selector;

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Option<Timestamp> {
    Some(now() - SignedDuration::from_secs(seconds))
}

fn set(replicas: i32) -> ReplicaSet {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "rs", "generation": 4},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web", "tier": "front"}}}},
    }))
    .unwrap()
}

fn selector(set: &ReplicaSet) -> Selector {
    crate::controllers::selector_of(&set.spec.selector).unwrap()
}

/// A pod of the set that runs and is ready.
fn pod(name: &str) -> PodView {
    PodView {
        name: name.into(),
        uid: name.into(),
        labels: [("app", "web"), ("tier", "front")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        controller_uid: Some("rs".into()),
        created: ago(1000),
        node: Some("n0".into()),
        phase: Phase::Running,
        ready: true,
        ready_changed: ago(900),
        ..PodView::default()
    }
}

fn names(pods: &[Arc<PodView>]) -> Vec<&str> {
    pods.iter().map(|pod| &*pod.name).collect()
}

#[test]
fn pods_are_created_deleted_adopted_and_released() {
    type Edit = fn(&mut PodView);
    let own: Edit = |_| {};
    let orphan: Edit = |pod| pod.controller_uid = None;
    let foreign: Edit = |pod| pod.controller_uid = Some("other".into());
    let strayed: Edit = |pod| drop(pod.labels.insert("app".into(), "db".into()));
    let failed: Edit = |pod| pod.phase = Phase::Failed;
    let going: Edit = |pod| pod.deleting = Some(now());
    // (what there is, wanted, created, deleted, adopted, released)
    let table: [(&str, &[Edit], i32, usize, usize, usize, usize); 11] = [
        ("nothing", &[], 3, 3, 0, 0, 0),
        ("enough", &[own, own], 2, 0, 0, 0, 0),
        ("too many", &[own, own, own], 1, 0, 2, 0, 0),
        ("an orphan is a replica", &[own, orphan], 2, 0, 0, 1, 0),
        (
            "an orphan too many is adopted, then one goes",
            &[own, orphan],
            1,
            0,
            1,
            1,
            0,
        ),
        ("another's pod is no replica", &[foreign, foreign], 1, 1, 0, 0, 0),
        (
            "a strayed pod is let go and replaced",
            &[own, strayed],
            2,
            1,
            0,
            0,
            1,
        ),
        ("a failed pod is replaced", &[own, failed], 2, 1, 0, 0, 0),
        (
            "a failed orphan is left alone",
            &[|pod| (pod.controller_uid, pod.phase) = (None, Phase::Failed)],
            1,
            1,
            0,
            0,
            0,
        ),
        ("a pod on its way out is replaced", &[own, going], 2, 1, 0, 0, 0),
        ("down to nothing", &[own, own], 0, 0, 2, 0, 0),
    ];
    for (case, edits, wanted, create, delete, adopt, release) in table {
        let pods: Vec<_> = edits
            .iter()
            .enumerate()
            .map(|(i, edit)| {
                let mut pod = pod(&format!("p{i}"));
                edit(&mut pod);
                Arc::new(pod)
            })
            .collect();
        let set = set(wanted);
        let plan = decide(&set, &selector(&set), &pods);
        let got = (plan.create, plan.delete, plan.adopt.len(), plan.release.len());
        assert_eq!(got, (create, delete, adopt, release), "{case}");
    }
}

#[test]
fn a_set_that_is_being_deleted_does_nothing() {
    let mut set = set(3);
    set.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now()));
    let orphan = PodView {
        controller_uid: None,
        ..pod("o")
    };
    let plan = decide(&set, &selector(&set), &[Arc::new(pod("a")), Arc::new(orphan)]);
    assert_eq!(
        (plan.create, plan.delete, plan.adopt.len(), names(&plan.claimed)),
        (0, 0, 0, vec!["a"])
    );
}

#[test]
fn a_burst_is_bounded() {
    let set = set(5 * i32::try_from(BURST).unwrap());
    assert_eq!(decide(&set, &selector(&set), &[]).create, BURST);
}

#[test]
fn the_less_useful_pod_goes_first() {
    type Edit = fn(&mut PodView);
    // Each pair differs in one point; the first must go. Later points would say the opposite.
    let table: [(&str, Edit, Edit); 9] = [
        ("unassigned", |p| (p.node, p.deletion_cost) = (None, 9), |_| {}),
        (
            "pending",
            |p| (p.phase, p.deletion_cost) = (Phase::Pending, 9),
            |p| p.phase = Phase::Unknown,
        ),
        (
            "unknown",
            |p| (p.phase, p.deletion_cost) = (Phase::Unknown, 9),
            |_| {},
        ),
        ("not ready", |p| (p.ready, p.deletion_cost) = (false, 9), |_| {}),
        ("cheaper", |p| p.deletion_cost = -1, |p| p.restarts = 7),
        (
            "doubled up",
            |p| p.node = Some("crowded".into()),
            |p| p.ready_changed = ago(1),
        ),
        (
            "ready for a shorter time",
            |p| p.ready_changed = ago(10),
            |p| p.restarts = 9,
        ),
        ("restarted more", |p| p.restarts = 3, |p| p.created = ago(1)),
        ("younger", |p| p.created = ago(10), |_| {}),
    ];
    for (case, first, second) in table {
        let (mut a, mut b) = (pod("goes"), pod("a-stays"));
        first(&mut a);
        second(&mut b);
        let crowd = Arc::new(PodView {
            node: Some("crowded".into()),
            ..pod("crowd")
        });
        let own = [Arc::new(b), Arc::new(a)];
        let siblings = [own[0].clone(), own[1].clone(), crowd.clone(), crowd];
        assert_eq!(names(&victims(&own, &siblings, 1, now())), ["goes"], "{case}");
    }
}

#[test]
fn ages_of_one_magnitude_are_equal_and_the_uid_decides() {
    let a = PodView {
        created: ago(700),
        ..pod("b")
    };
    let b = PodView {
        created: ago(900),
        ..pod("a")
    };
    let own = [Arc::new(a), Arc::new(b)];
    assert_eq!(names(&victims(&own, &own, 1, now())), ["a"]);
}

#[test]
fn the_status_counts_what_is_active() {
    let mut set = set(5);
    set.spec.min_ready_seconds = Some(30);
    let mut unlabelled = pod("unlabelled");
    unlabelled.labels.remove("tier");
    let pods = [
        pod("available"),
        unlabelled,
        PodView {
            ready_changed: ago(10),
            ..pod("just-ready")
        },
        PodView {
            ready: false,
            ..pod("unready")
        },
        PodView {
            deleting: Some(now()),
            ..pod("going")
        },
        PodView {
            phase: Phase::Failed,
            ready: false,
            ..pod("failed")
        },
    ]
    .map(Arc::new);
    let (status, next) = status(&set, &pods, Ok(()), now());
    assert_eq!(
        (
            status.replicas,
            status.fully_labeled_replicas,
            status.ready_replicas
        ),
        (4, Some(3), Some(3))
    );
    assert_eq!(
        (status.available_replicas, status.terminating_replicas),
        (Some(2), Some(1))
    );
    assert_eq!((status.observed_generation, status.conditions), (Some(4), None));
    assert_eq!(next.unwrap().as_secs(), 20);
}

#[test]
fn a_failure_becomes_a_condition_that_keeps_its_time_and_goes() {
    let mut set = set(1);
    let failure = Failure {
        reason: "FailedCreate",
        message: "quota".to_owned(),
    };
    let (first, _) = status(&set, &[], Err(&failure), now());
    let condition = &first.conditions.as_ref().unwrap()[0];
    assert_eq!(condition.reason.as_deref(), Some("FailedCreate"));
    set.status = Some(first.clone());
    let later = now() + SignedDuration::from_secs(60);
    let (second, _) = status(&set, &[], Err(&failure), later);
    assert_eq!(second, first, "nothing new, so nothing to write");
    let (healed, _) = status(&set, &[], Ok(()), later);
    assert_eq!(healed.conditions, None);
}

#[test]
fn a_view_is_behind_as_long_as_it_lacks_a_pod_of_the_set_or_its_deletion_or_has_one_that_is_gone() {
    let (own, other) = (pod("own"), pod("other"));
    let going = PodView {
        deleting: Some(now()),
        ..own.clone()
    };
    let of_another = PodView {
        controller_uid: Some("another".into()),
        ..other.clone()
    };
    let starting = PodView {
        ready: false,
        ..own.clone()
    };
    let table: [(&str, &[&PodView], &[&PodView], bool); 7] = [
        ("nothing", &[], &[], true),
        (
            "the same in another order",
            &[&own, &other],
            &[&other, &own],
            true,
        ),
        ("one was made", &[&own], &[&own, &other], false),
        ("one is gone", &[&own, &other], &[&own], false),
        ("one is being deleted", &[&own], &[&going], false),
        (
            "what is another's does not count",
            &[&own],
            &[&own, &of_another],
            true,
        ),
        ("nor does how they are", &[&starting], &[&own], true),
    ];
    for (case, view, live, expected) in table {
        let shared =
            |pods: &[&PodView]| -> Vec<_> { pods.iter().map(|pod| Arc::new((*pod).clone())).collect() };
        let is_shown = shows_the_same(&set(3), &shared(view), &shared(live));
        assert_eq!(is_shown, expected, "{case}");
    }
}

fn any_pod() -> impl Strategy<Value = PodView> {
    let owner = prop_oneof![4 => Just(Some("rs")), 1 => Just(Some("other")), 1 => Just(None)];
    let phase = prop_oneof![
        Just(Phase::Pending),
        Just(Phase::Unknown),
        Just(Phase::Running),
        Just(Phase::Failed),
        Just(Phase::Succeeded)
    ];
    let node = prop::option::of(0..4u8);
    (
        owner,
        phase,
        node,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        -2..3i32,
        0..5000i64,
        any::<u32>(),
    )
        .prop_map(
            |(owner, phase, node, matches, deleting, ready, cost, age, uid)| PodView {
                controller_uid: owner.map(Into::into),
                labels: if matches {
                    pod("").labels
                } else {
                    Default::default()
                },
                phase,
                node: node.map(|n| format!("n{n}").into()),
                deleting: deleting.then(now),
                ready,
                ready_changed: ago(age),
                deletion_cost: cost,
                uid: uid.to_string().into(),
                ..pod("p")
            },
        )
}

proptest! {
    #[test]
    fn doing_what_is_decided_gives_exactly_what_is_wanted(
        wanted in 0..40i32,
        pods in prop::collection::vec(any_pod().prop_map(Arc::new), 0..60),
    ) {
        let set = set(wanted);
        let plan = decide(&set, &selector(&set), &pods);
        prop_assert!(plan.create == 0 || plan.delete == 0);
        for pod in plan.claimed.iter().chain(&plan.release).chain(&plan.adopt) {
            prop_assert!(pod.controller_uid.as_deref() != Some("other"), "another's pod was touched");
        }
        let gone = victims(&plan.claimed, &pods, plan.delete, now());
        prop_assert_eq!(gone.len(), plan.delete);
        prop_assert!(gone.iter().all(|pod| pod.is_active()));
        let active = plan.claimed.iter().filter(|pod| pod.is_active()).count();
        prop_assert_eq!(active + plan.create - gone.len(), usize::try_from(wanted).unwrap());
        // No pod that serves goes while one that is not even bound stays.
        let stays = |pod: &&Arc<PodView>| pod.is_active() && !gone.iter().any(|g| Arc::ptr_eq(g, pod));
        if gone.iter().any(|pod| pod.node.is_some()) {
            prop_assert!(plan.claimed.iter().filter(stays).all(|pod| pod.node.is_some()));
        }
    }
}
