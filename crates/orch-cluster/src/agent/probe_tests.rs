//! Tests of probes, in turns of one check.

use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::observed::{Health, Unhealthy, add};
use super::probe::{Check, Outcome, ProbeKind, Probes, port};
use crate::agent::testkit::Model;

fn model(probes: &str) -> Model {
    let spec = format!(r#"{{"containers": [{{"name": "c", "image": "i", {probes}}}]}}"#);
    let mut model = Model::running(&spec);
    // Reported ready before there were probes, it would count as adopted.
    model.status = Default::default();
    model
}

/// Lets `outcomes` come, one per due check, and notes the health of the container after each.
fn play(model: &mut Model, probes: &mut Probes, outcomes: &[(ProbeKind, bool)]) -> Vec<Health> {
    let mut seen = Vec::new();
    for (kind, success) in outcomes {
        probes.sync(&model.view());
        let key = loop {
            model.now = probes.next_at().expect("a probe waits");
            let due = probes.due(model.now);
            let key = due
                .iter()
                .find(|(key, ..)| key.kind == *kind)
                .map(|(key, ..)| key.clone());
            for (other, ..) in due.iter().filter(|(other, ..)| key.as_ref() != Some(other)) {
                probes.record(other, &Outcome::Unknown(String::new()), model.now);
            }
            if let Some(key) = key {
                break key;
            }
        };
        let outcome = if *success {
            Outcome::Success
        } else {
            Outcome::Failure("no".into())
        };
        probes.record(&key, &outcome, model.now);
        seen.push(probes.health().into_values().next().unwrap());
    }
    seen
}

#[test]
fn readiness_follows_its_thresholds() {
    let mut model = model(
        r#""readinessProbe": {"tcpSocket": {"port": 80}, "successThreshold": 2, "failureThreshold": 2}"#,
    );
    let outcomes = [true, true, false, true, false, false, true, true];
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|success| (ProbeKind::Readiness, success))
        .collect();
    let ready: Vec<_> = play(&mut model, &mut Probes::default(), &outcomes)
        .into_iter()
        .map(|health| health.ready.unwrap())
        .collect();
    assert_eq!(ready, [false, true, true, true, true, false, false, true]);
}

#[test]
fn liveness_waits_for_startup_and_fails_for_good() {
    let mut model = model(
        r#""startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 1},
           "livenessProbe": {"tcpSocket": {"port": 80}, "failureThreshold": 2, "terminationGracePeriodSeconds": 3}"#,
    );
    let mut probes = Probes::default();
    use ProbeKind::{Liveness, Startup};
    let seen = play(
        &mut model,
        &mut probes,
        &[
            (Startup, false),
            (Startup, true),
            (Liveness, false),
            (Liveness, false),
        ],
    );
    assert_eq!(
        seen.iter().map(|health| health.started).collect::<Vec<_>>(),
        [Some(false), Some(true), Some(true), Some(true)]
    );
    assert!(seen[2].failed.is_none());
    let failed = Unhealthy {
        probe: "liveness",
        grace: Some(Duration::from_secs(3)),
    };
    assert_eq!(seen[3].failed, Some(failed));
    assert_eq!(
        probes.next_at(),
        None,
        "nothing more is asked of a container that is to be killed"
    );
}

#[test]
fn the_first_check_waits_for_the_initial_delay_and_later_ones_keep_the_period() {
    let mut model = model(
        r#""readinessProbe": {"tcpSocket": {"port": 80}, "initialDelaySeconds": 7, "periodSeconds": 5}"#,
    );
    let mut probes = Probes::default();
    probes.sync(&model.view());
    let start = model.now;
    let mut at = Vec::new();
    for _ in 0..3 {
        model.now = probes.next_at().unwrap();
        at.push(model.now.duration_since(start).as_secs());
        for (key, ..) in probes.due(model.now) {
            probes.record(
                &key,
                &Outcome::Success,
                add(model.now, Duration::from_millis(300)),
            );
        }
    }
    assert_eq!(at, [7, 12, 17]);
}

#[test]
fn an_adopted_container_stays_ready_until_its_probe_says_otherwise() {
    let mut model = model(
        r#""startupProbe": {"tcpSocket": {"port": 80}}, "readinessProbe": {"tcpSocket": {"port": 80}, "failureThreshold": 1}"#,
    );
    let mut probes = Probes::default();
    play(
        &mut model,
        &mut probes,
        &[(ProbeKind::Startup, true), (ProbeKind::Readiness, true)],
    );
    model.observed.health = probes.health();
    model.report();
    let mut adopted = Probes::default();
    adopted.sync(&model.view());
    let health = adopted.health().into_values().next().unwrap();
    assert_eq!((health.started, health.ready), (Some(true), Some(true)));
    let seen = play(&mut model, &mut adopted, &[(ProbeKind::Readiness, false)]);
    assert_eq!(seen[0].ready, Some(false));
}

#[test]
fn a_named_port_is_looked_up() {
    let container: v1::Container =
        serde_json::from_str(r#"{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}"#).unwrap();
    let cases = [("web", Some(8080)), ("81", Some(81)), ("none", None)];
    for (name, number) in cases {
        assert_eq!(port(&IntOrString::String(name.into()), &container).ok(), number);
    }
    assert!(port(&IntOrString::Int(70_000), &container).is_err());
}

#[test]
fn a_probe_that_cannot_be_made_leaves_the_container_unready_and_alive() {
    let port = r#"{"httpGet": {"port": "nowhere"}}"#;
    let mut model = model(&format!(
        r#""startupProbe": {port}, "readinessProbe": {port}, "livenessProbe": {port}"#
    ));
    let mut probes = Probes::default();
    for _ in 0..10 {
        probes.sync(&model.view());
        model.now = probes.next_at().unwrap();
        for (key, _, check, _) in probes.due(model.now) {
            let Check::Impossible(why) = check else {
                panic!("{check:?}")
            };
            assert!(why.contains("nowhere"), "{why}");
            probes.record(&key, &Outcome::Unknown(why), model.now);
        }
    }
    let health = probes.health().into_values().next().unwrap();
    assert_eq!((health.started, health.ready), (Some(false), Some(false)));
    assert_eq!(health.failed, None);
}
