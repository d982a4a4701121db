//! Tests of what is decided about a pod, case by case.

use std::time::Duration;

use orch_core::runtime::SandboxState;

use super::decide::{Action, StopReason};
use super::observed::{Failure, Health, Unhealthy, add};
use super::support::Refusal;
use super::testkit::Model;

const ONE: &str = r#"{"containers": [{"name": "c", "image": "i"}]}"#;

fn model(policy: &str, containers: &str) -> Model {
    Model::running(&format!(
        r#"{{"restartPolicy": "{policy}", "containers": {containers}}}"#
    ))
}

#[test]
fn a_new_pod_gets_a_sandbox_then_its_containers_in_order() {
    let mut model =
        Model::new(r#"{"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}"#);
    let mut seen = Vec::new();
    while let [action] = model.decide().actions.as_slice() {
        seen.push(
            format!("{action:?}")
                .split(", attempt")
                .next()
                .unwrap()
                .to_owned(),
        );
        model.apply(&action.clone());
    }
    assert_eq!(
        seen,
        [
            "RunSandbox { attempt: 0 }",
            "StartContainer { name: \"a\"",
            "StartContainer { name: \"b\""
        ]
    );
}

#[test]
fn nothing_is_done_twice_while_it_is_under_way() {
    let mut model = Model::new(ONE);
    model.observed.busy.sandbox = true;
    assert_eq!(model.decide().actions, []);
    model.observed.busy.sandbox = false;
    model.apply(&Action::RunSandbox { attempt: 0 });
    model.observed.busy.start = Some("c".into());
    assert_eq!(model.decide().actions, []);
}

#[test]
fn restarts_back_off_as_the_kubelets_do() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    let mut waits = Vec::new();
    for _ in 0..8 {
        model.now = add(model.now, Duration::from_secs(1));
        model.end_named("c", 1);
        let ended = model.now;
        model.settle_over_time(3);
        waits.push(model.now.duration_since(ended).as_secs());
        assert_eq!(model.word("c"), "Ready");
    }
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    model.now = add(model.now, Duration::from_secs(601));
    model.end_named("c", 1);
    assert_eq!(
        model.settle(),
        None,
        "after ten minutes of running the count starts anew"
    );
    assert_eq!(model.view().reported("c").unwrap().restart_count, 9);
}

#[test]
fn restart_policies_tell_success_from_failure() {
    let cases = [
        ("Always", 0, None),
        ("Always", 1, None),
        ("OnFailure", 0, Some("Succeeded")),
        ("OnFailure", 1, None),
        ("Never", 0, Some("Succeeded")),
        ("Never", 1, Some("Failed")),
    ];
    for (policy, code, phase) in cases {
        let mut model = model(policy, r#"[{"name": "c", "image": "i"}]"#);
        model.end_named("c", code);
        model.settle_over_time(5);
        let expected = phase.unwrap_or("Running");
        assert_eq!(
            model.status.phase.as_deref(),
            Some(expected),
            "{policy} after {code}"
        );
        let ready = model
            .observed
            .sandboxes
            .iter()
            .filter(|s| s.state == SandboxState::Ready);
        assert_eq!(
            ready.count(),
            usize::from(phase.is_none()),
            "a pod that is over gives its network back"
        );
    }
}

#[test]
fn init_containers_run_to_their_end_one_after_the_other() {
    let mut model = Model::running(
        r#"{"initContainers": [{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}],
            "containers": [{"name": "c", "image": "i"}]}"#,
    );
    let running = |model: &Model| {
        let containers = model
            .observed
            .containers
            .iter()
            .filter(|container| container.state.is_running());
        containers
            .map(|container| container.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(running(&model), ["i1"]);
    assert_eq!(
        (model.word("c"), model.status.phase.as_deref()),
        ("PodInitializing".into(), Some("Pending"))
    );
    model.end_named("i1", 3);
    model.settle();
    assert_eq!(running(&model), ["i1"], "a failed one is repeated");
    model.end_named("i1", 0);
    model.settle();
    assert_eq!(running(&model), ["i2"]);
    model.end_named("i2", 0);
    model.settle();
    assert_eq!(
        (running(&model), model.word("c")),
        (vec!["c".to_owned()], "Ready".into())
    );
    model.end_named("c", 1);
    model.settle();
    assert_eq!(
        running(&model),
        ["c"],
        "they do not run again for a restarted container"
    );
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let mut model = Model::running(
        r#"{"restartPolicy": "Never", "initContainers": [{"name": "i1", "image": "i"}],
            "containers": [{"name": "c", "image": "i"}]}"#,
    );
    model.end_named("i1", 1);
    model.settle();
    assert_eq!(model.status.phase.as_deref(), Some("Failed"));
}

#[test]
fn a_sidecar_starts_first_restarts_and_ends_last() {
    let mut model = Model::running(
        r#"{"restartPolicy": "Never", "initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}],
            "containers": [{"name": "c", "image": "i"}]}"#,
    );
    assert_eq!(
        (model.word("s"), model.word("c")),
        ("Ready".into(), "Ready".into())
    );
    model.end_named("s", 1);
    model.settle();
    assert_eq!(model.word("s"), "Ready");
    model.end_named("c", 0);
    let decision = model.decide();
    assert!(
        matches!(&decision.actions[..], [Action::StopContainer { name, .. }] if name == "s"),
        "{decision:?}"
    );
    model.settle();
    assert_eq!(model.status.phase.as_deref(), Some("Succeeded"));
}

#[test]
fn an_unhealthy_container_is_replaced_with_the_probes_grace() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    let id = model.observed.containers[0].id.clone();
    let failed = Unhealthy {
        probe: "liveness",
        grace: Some(Duration::from_secs(2)),
    };
    model.observed.health.insert(
        id.clone(),
        Health {
            failed: Some(failed),
            ..Health::default()
        },
    );
    let expected = Action::StopContainer {
        id,
        name: "c".into(),
        grace: Duration::from_secs(2),
        reason: StopReason::Unhealthy("liveness"),
    };
    assert_eq!(model.decide().actions, [expected]);
    model.settle();
    assert_eq!(model.view().reported("c").unwrap().restart_count, 1);
}

#[test]
fn a_container_stopped_for_its_health_starts_again_whatever_it_ended_with() {
    let cases = [
        ("Always", "Ready"),
        ("OnFailure", "Ready"),
        ("Never", "Completed"),
    ];
    for (policy, word) in cases {
        let mut model = model(policy, r#"[{"name": "c", "image": "i"}]"#);
        model.stop_code = 0;
        let failed = Some(Unhealthy {
            probe: "liveness",
            grace: None,
        });
        let health = Health {
            failed,
            ..Health::default()
        };
        let id = model.observed.containers[0].id.clone();
        model.observed.health.insert(id, health);
        model.settle_over_time(3);
        assert_eq!(model.word("c"), word, "{policy}");
        if policy == "OnFailure" {
            model.end_named("c", 0);
            model.settle();
            assert_eq!(
                model.status.phase.as_deref(),
                Some("Succeeded"),
                "its own end counts"
            );
        }
    }
}

#[test]
fn a_changed_image_is_run_under_every_policy() {
    for policy in ["Always", "OnFailure", "Never"] {
        for code in [0, 143] {
            let mut model = model(policy, r#"[{"name": "c", "image": "i"}]"#);
            model.stop_code = code;
            model.pod.spec.as_mut().unwrap().containers[0].image = Some("i2".into());
            model.settle();
            assert_eq!(model.word("c"), "Ready", "{policy} after {code}");
            assert_eq!(model.view().latest("c").unwrap().image, "i2");
        }
    }
}

#[test]
fn a_changed_image_replaces_the_container_at_once() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    for _ in 0..3 {
        model.end_named("c", 1);
        model.settle_over_time(2);
    }
    model.pod.spec.as_mut().unwrap().containers[0].image = Some("i2".into());
    model.settle();
    assert_eq!(
        model.word("c"),
        "Ready",
        "without waiting for the old one's backoff"
    );
    assert_eq!(model.view().latest("c").unwrap().image, "i2");
}

#[test]
fn a_lost_sandbox_is_replaced_and_counts_go_on() {
    let mut model = model(
        "Always",
        r#"[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]"#,
    );
    model.lose_sandboxes();
    model.settle_over_time(5);
    assert_eq!(
        (model.word("a"), model.word("b")),
        ("Ready".into(), "Ready".into())
    );
    assert_eq!(model.observed.sandboxes.len(), 1, "the old one is removed");
    assert_eq!(model.observed.sandboxes[0].attempt, 1);
    assert_eq!(model.view().reported("a").unwrap().restart_count, 1);
}

#[test]
fn what_has_lost_its_sandbox_is_not_ready_for_as_long_as_it_takes_to_end() {
    let mut model = model("Always", r#"[{"name": "a", "image": "i"}]"#);
    assert_eq!(model.word("a"), "Ready");
    model.observed.sandboxes[0].state = SandboxState::NotReady;
    model.report();
    assert_eq!(model.word("a"), "Running");
    let ready = |model: &Model| {
        let conditions = model.status.conditions.iter().flatten();
        conditions
            .filter(|condition| condition.type_ == "Ready")
            .all(|condition| condition.status == "True")
    };
    assert!(!ready(&model));
    let stop = model.decide().actions;
    assert!(
        matches!(
            &stop[..],
            [Action::StopContainer {
                reason: StopReason::SandboxLost,
                ..
            }]
        ),
        "{stop:?}"
    );
    model.settle();
    assert_eq!(model.word("a"), "Ready");
    assert!(ready(&model));
}

#[test]
fn a_sandbox_in_an_unknown_state_is_waited_for() {
    for policy in ["Always", "Never"] {
        let mut model = Model::running(&format!(
            r#"{{"restartPolicy": "{policy}", "initContainers": [{{"name": "s", "image": "i", "restartPolicy": "Always"}}],
                "containers": [{{"name": "a", "image": "i"}}, {{"name": "b", "image": "i"}}]}}"#
        ));
        model.observed.sandboxes[0].state = SandboxState::Unknown;
        let before = (model.status.phase.clone(), model.observed.containers.clone());
        model.settle();
        assert_eq!(
            (model.status.phase.clone(), model.observed.containers.clone()),
            before
        );
        model.end_named("b", 1);
        model.settle();
        assert_eq!(model.status.phase.as_deref(), Some("Running"));
        assert_eq!(model.observed.containers.len(), 3, "nothing is started in it");
        assert_eq!(model.observed.sandboxes.len(), 1, "nor is it replaced");
        model.observed.sandboxes[0].state = SandboxState::Ready;
        model.settle();
        let word = if policy == "Always" { "Ready" } else { "Error" };
        assert_eq!(
            (model.word("a"), model.word("b")),
            ("Ready".into(), word.to_owned())
        );
    }
}

#[test]
fn a_runtime_that_lost_everything_starts_again_or_says_what_it_cannot_know() {
    let mut always = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    always.observed.containers.clear();
    always.observed.sandboxes.clear();
    always.settle();
    assert_eq!(always.word("c"), "Ready");
    let status = always.view().reported("c").unwrap();
    assert_eq!(status.restart_count, 1);
    let mut never = model("Never", r#"[{"name": "c", "image": "i"}]"#);
    never.observed.containers.clear();
    never.observed.sandboxes.clear();
    never.settle();
    assert_eq!(
        (never.word("c"), never.status.phase.as_deref()),
        ("ContainerStatusUnknown".into(), Some("Failed"))
    );
}

#[test]
fn what_cannot_run_here_waits_and_says_why_without_being_tried() {
    let mut model = Model::new(
        r#"{"restartPolicy": "Never", "initContainers": [{"name": "i", "image": "i"}],
            "containers": [{"name": "c", "image": "i"}]}"#,
    );
    model.observed.refusal = Some(Refusal {
        reason: "CreateContainerConfigError",
        message: "no".into(),
    });
    model.settle_over_time(5);
    assert!(model.observed.sandboxes.is_empty());
    assert_eq!(model.status.phase.as_deref(), Some("Pending"));
    for name in ["i", "c"] {
        assert_eq!(model.word(name), "CreateContainerConfigError");
        let state = model.view().reported(name).unwrap().state.clone().unwrap();
        assert_eq!(state.waiting.unwrap().message.as_deref(), Some("no"));
    }
    model.delete(0);
    model.settle();
    assert_eq!(model.status.phase.as_deref(), Some("Pending"));
}

#[test]
fn a_failed_pull_is_waited_out_unless_the_image_changes() {
    let mut model = Model::new(ONE);
    model.apply(&Action::RunSandbox { attempt: 0 });
    let failure = Failure {
        reason: "ErrImagePull",
        message: "not found".into(),
        at: model.now,
        delay: Duration::from_secs(10),
        image: "i".into(),
    };
    let retry_at = failure.retry_at();
    model.observed.failures.insert("c".into(), failure);
    let decision = model.decide();
    assert_eq!((decision.actions.len(), decision.wake_at), (0, Some(retry_at)));
    model.report();
    assert_eq!(model.word("c"), "ErrImagePull");
    model.now = add(model.now, Duration::from_secs(3));
    model.report();
    assert_eq!(model.word("c"), "ImagePullBackOff");
    model.pod.spec.as_mut().unwrap().containers[0].image = Some("i2".into());
    assert!(matches!(
        &model.decide().actions[..],
        [Action::StartContainer { .. }]
    ));
}

#[test]
fn a_container_that_was_made_and_not_started_is_started_under_its_number() {
    let mut model = Model::new(ONE);
    model.apply(&Action::RunSandbox { attempt: 0 });
    model.create("c", 4, Duration::from_secs(20));
    let expected = Action::StartContainer {
        name: "c".into(),
        attempt: 4,
        backoff: Duration::from_secs(20),
    };
    assert_eq!(model.decide().actions, [expected]);
}

#[test]
fn only_the_last_two_containers_of_a_name_are_kept() {
    let mut model = model("Always", r#"[{"name": "c", "image": "i"}]"#);
    for _ in 0..5 {
        model.now = add(model.now, Duration::from_secs(700));
        model.end_named("c", 1);
        model.settle();
    }
    assert_eq!(model.observed.containers.len(), 2);
    let last = model.view().reported("c").unwrap().last_state.clone().unwrap();
    assert_eq!(last.terminated.unwrap().exit_code, 1);
}
