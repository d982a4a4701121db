//! Tests of how pods end, case by case.

use std::time::Duration;

use super::decide::{Action, End, end_of};
use super::observed::add;
use super::testkit::Model;

fn model(policy: &str, containers: &str) -> Model {
    Model::running(&format!(
        r#"{{"restartPolicy": "{policy}", "containers": {containers}}}"#
    ))
}

#[test]
fn deletion_stops_releases_the_network_reports_removes_and_deletes_in_that_order() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    model.delete(7);
    let stop = model.decide().actions;
    assert!(
        matches!(&stop[..], [Action::StopContainer { grace, .. }] if grace.as_secs() == 7),
        "{stop:?}"
    );
    model.apply(&stop[0]);
    model.report();
    assert_eq!(
        model.status.phase.as_deref(),
        Some("Running"),
        "whoever waits for its ports waits for the network"
    );
    let release = model.decide().actions;
    assert!(matches!(&release[..], [Action::StopSandbox(_)]), "{release:?}");
    model.apply(&release[0]);
    model.observed.reported = false;
    assert_eq!(
        model.decide().actions,
        [],
        "the end is reported before the evidence goes"
    );
    model.report();
    assert_eq!(model.status.phase.as_deref(), Some("Failed"));
    let remove = model.decide().actions;
    assert!(matches!(&remove[..], [Action::RemoveSandbox(_)]), "{remove:?}");
    model.apply(&remove[0]);
    model.report();
    assert_eq!(model.word("c"), "Error", "what is removed stays in the report");
    assert_eq!(model.decide().actions, [Action::DeletePod]);
}

#[test]
fn no_pod_that_is_told_to_end_is_over_while_it_holds_its_network() {
    // (the pod, what its container ends with, its phase before and after its network is released)
    let cases = [
        (
            r#"{"containers": [{"name": "c", "image": "i"}]}"#,
            0,
            "Running",
            "Succeeded",
        ),
        (
            r#"{"containers": [{"name": "c", "image": "i"}]}"#,
            137,
            "Running",
            "Failed",
        ),
        (
            r#"{"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}"#,
            143,
            "Running",
            "Failed",
        ),
    ];
    for (spec, code, before, after) in cases {
        let mut model = Model::running(spec);
        model.delete(5);
        model.end_named("c", code);
        model.report();
        assert_eq!(model.status.phase.as_deref(), Some(before), "{spec}");
        let sandbox = model.observed.sandboxes[0].id.clone();
        assert_eq!(model.decide().actions, [Action::StopSandbox(sandbox.clone())]);
        // While that is under way nothing else is done.
        model.observed.busy.sandboxes.insert(sandbox.clone());
        assert_eq!(model.decide().actions, []);
        model.observed.busy.sandboxes.clear();
        model.apply(&Action::StopSandbox(sandbox));
        model.report();
        assert_eq!(model.status.phase.as_deref(), Some(after), "{spec}");
        model.settle();
        assert!(model.deleted);
    }
    // Nobody waits for one whose object is gone.
    let mut gone = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    gone.observed.gone = true;
    gone.end_named("c", 143);
    assert!(matches!(&gone.decide().actions[..], [Action::RemoveSandbox(_)]));
}

#[test]
fn whatever_time_is_left_a_container_is_asked_before_it_is_killed() {
    let mut model = Model::running(
        r#"{"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}],
            "containers": [{"name": "c", "image": "i"}]}"#,
    );
    let grace = |model: &Model| match &model.decide().actions[..] {
        [Action::StopContainer { name, grace, .. }] => (name.clone(), grace.as_secs()),
        other => panic!("{other:?}"),
    };
    model.delete(10);
    assert_eq!(grace(&model), ("c".to_owned(), 10));
    model.now = add(model.now, Duration::from_secs(11));
    assert_eq!(grace(&model), ("c".to_owned(), 2), "no agent ran meanwhile");
    model.end_named("c", 143);
    assert_eq!(grace(&model), ("s".to_owned(), 2));
    let s = model.view().latest("s").unwrap().id.clone();
    let by = add(model.now, Duration::from_secs(2));
    model.observed.busy.stopping.insert(s, by);
    for _ in 0..5 {
        model.now = add(model.now, Duration::from_secs(1));
        assert_eq!(model.decide().actions, [], "it is asked once");
    }
}

#[test]
fn a_second_delete_with_less_grace_shortens_a_stop_under_way() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    let id = model.observed.containers[0].id.clone();
    model.delete(30);
    model
        .observed
        .busy
        .stopping
        .insert(id, add(model.now, Duration::from_secs(30)));
    assert_eq!(model.decide().actions, []);
    model.delete(5);
    assert!(
        matches!(&model.decide().actions[..], [Action::StopContainer { grace, .. }] if grace.as_secs() == 5)
    );
}

#[test]
fn a_pod_that_finalizers_hold_is_not_deleted_again() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    model.delete(0);
    model.settle();
    assert!(!model.deleted && model.observed.sandboxes.is_empty());
    assert_eq!(model.decide().actions, []);
}

#[test]
fn an_object_that_is_gone_takes_its_containers_with_it() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    model.observed.gone = true;
    assert!(
        matches!(&model.decide().actions[..], [Action::StopContainer { grace, .. }] if grace.as_secs() == 2)
    );
    model.settle();
    assert!(model.observed.sandboxes.is_empty() && !model.deleted);
}

#[test]
fn the_deadline_ends_a_pod_and_is_waited_for() {
    let mut model =
        Model::running(r#"{"activeDeadlineSeconds": 60, "containers": [{"name": "c", "image": "i"}]}"#);
    let wake = model.settle().expect("it waits for the deadline");
    assert_eq!(
        wake,
        add(
            model.status.start_time.as_ref().unwrap().0,
            Duration::from_secs(60)
        )
    );
    model.now = wake;
    assert_eq!(end_of(&model.view()), Some(End::Deadline));
    model.settle();
    let status = &model.status;
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was active on the node longer than the specified deadline (activeDeadlineSeconds: 60)")
    );
}

#[test]
fn no_phase_is_final_while_a_container_runs() {
    let sidecar = r#""initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}]"#;
    let mut finished = Model::running(&format!(
        r#"{{"restartPolicy": "Never", {sidecar}, "containers": [{{"name": "c", "image": "i"}}]}}"#
    ));
    finished.end_named("c", 0);
    let mut late =
        Model::running(r#"{"activeDeadlineSeconds": 60, "containers": [{"name": "s", "image": "i"}]}"#);
    late.now = add(late.now, Duration::from_secs(60));
    for (mut model, phase, reason) in [
        (finished, "Succeeded", None),
        (late, "Failed", Some("DeadlineExceeded")),
    ] {
        model.report();
        assert_eq!(model.status.phase.as_deref(), Some("Running"));
        assert_eq!(model.status.reason, None);
        let stop = model.decide().actions;
        assert!(matches!(&stop[..], [Action::StopContainer { grace, .. }] if grace.as_secs() == 30));
        model.apply(&stop[0]);
        model.report();
        assert_eq!(model.status.phase.as_deref(), Some(phase));
        assert_eq!(model.status.reason.as_deref(), reason);
    }
}
