//! Tests of decisions by clocks that are wrong, or are set.

use std::time::Duration;

use jiff::SignedDuration;
use orch_core::runtime::ContainerState;

use super::decide::Action;
use super::observed::{add, until};
use super::probe::Probes;
use super::restart::{Next, next};
use super::testkit::Model;

/// A model whose one container has ended three times: the next start waits.
fn crashing() -> Model {
    let mut model = Model::running(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
    for _ in 0..3 {
        model.end_named("c", 1);
        model.settle_over_time(3);
    }
    model.end_named("c", 1);
    model
}

/// How long the next start waits.
fn wait(model: &Model) -> Duration {
    let view = model.view();
    let (role, spec) = view.specs().next().unwrap();
    match next(&view, role, spec) {
        Next::Start { at, .. } => at.map_or(Duration::ZERO, |at| until(at, model.now)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_crashed_container_waits_as_long_whatever_the_runtimes_clock_says() {
    let mut model = crashing();
    model.observed.note(&model.pod, model.now);
    let right = wait(&model);
    assert!(right > Duration::from_secs(10), "{right:?}");
    let ended = model.observed.containers.len() - 1;
    for (ahead, waits) in [
        (1, right),
        (3600, right),
        (-4, right - Duration::from_secs(4)),
        (-3600, Duration::ZERO),
    ] {
        let mut model = crashing();
        let ContainerState::Exited {
            finished_at,
            started_at,
            ..
        } = &mut model.observed.containers[ended].state
        else {
            panic!("it has ended");
        };
        *finished_at += SignedDuration::from_secs(ahead);
        *started_at = Some(*finished_at);
        model.observed.note(&model.pod, model.now);
        assert_eq!(wait(&model), waits, "{ahead} s ahead");
    }
}

#[test]
fn what_is_waited_for_takes_as_long_though_the_clock_is_set() {
    for by in [-900, 900].map(SignedDuration::from_secs) {
        let mut model = crashing();
        model.observed.note(&model.pod, model.now);
        let before = wait(&model);
        model.now += by;
        model.observed.shift(by);
        // Set forward, the end of the container seems long ago, and it may start.
        let waits = if by.is_positive() { Duration::ZERO } else { before };
        assert_eq!(wait(&model), waits, "{by:#}");
    }
}

#[test]
fn a_stop_under_way_keeps_its_time_though_the_clock_is_set() {
    for by in [-900, 900].map(SignedDuration::from_secs) {
        let mut model = Model::running(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
        model.delete(30);
        let stop = model.decide().actions;
        let [Action::StopContainer { id, grace, .. }] = &stop[..] else {
            panic!("{stop:?}");
        };
        assert_eq!(grace.as_secs(), 30);
        let ends = add(model.now, *grace);
        model.observed.busy.stopping.insert(id.clone(), ends);
        model.now += by;
        model.observed.shift(by);
        assert_eq!(model.decide().actions, [], "{by:#}: it is not stopped anew");
    }
}

#[test]
fn no_pod_has_longer_to_end_than_it_was_given() {
    let mut model = Model::running(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
    // Deleted by a machine whose clock is an hour ahead.
    model.now += SignedDuration::from_hours(1);
    model.delete(30);
    model.now -= SignedDuration::from_hours(1);
    model.observed.deletion = None;
    model.observed.note(&model.pod, model.now);
    let stop = model.decide().actions;
    assert!(
        matches!(&stop[..], [Action::StopContainer { grace, .. }] if grace.as_secs() == 30),
        "{stop:?}"
    );
}

#[test]
fn a_check_comes_as_soon_though_the_clock_is_set() {
    let spec = r#"{"containers": [{"name": "c", "image": "i",
        "readinessProbe": {"tcpSocket": {"port": 80}, "initialDelaySeconds": 7}}]}"#;
    let (mut model, mut probes) = (Model::running(spec), Probes::default());
    probes.sync(&model.view());
    let before = until(probes.next_at().unwrap(), model.now);
    assert_eq!(before.as_secs(), 7);
    for by in [-900, 900].map(SignedDuration::from_secs) {
        model.now += by;
        probes.shift(by);
        assert_eq!(until(probes.next_at().unwrap(), model.now), before, "{by:#}");
    }
    // Taken up by an agent whose clock was set back since the container has started.
    model.now -= SignedDuration::from_hours(1);
    let mut probes = Probes::default();
    probes.sync(&model.view());
    assert_eq!(until(probes.next_at().unwrap(), model.now), before);
}
