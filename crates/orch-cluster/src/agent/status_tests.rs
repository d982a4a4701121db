//! Tests of how a container's end is told.

use std::time::Duration;

use k8s_openapi::api::core::v1::ContainerState as Told;
use orch_core::runtime::{ContainerState, ExitReason};

use super::testkit::Model;

#[test]
fn an_end_has_kubernetes_code_and_reason_now_and_while_the_next_start_is_waited_for() {
    // (the code and the reason that the runtime gives; the code, the reason and the phase of a pod that is not restarted)
    let cases = [
        (None, ExitReason::StartError, 128, "StartError", "Failed"),
        (Some(127), ExitReason::StartError, 128, "StartError", "Failed"),
        (Some(126), ExitReason::StartError, 128, "StartError", "Failed"),
        (Some(0), ExitReason::Completed, 0, "Completed", "Succeeded"),
        (Some(127), ExitReason::Error, 127, "Error", "Failed"),
        (Some(137), ExitReason::OutOfMemory, 137, "OOMKilled", "Failed"),
        (None, ExitReason::Unknown, 137, "ContainerStatusUnknown", "Failed"),
    ];
    for (given, why, code, reason, phase) in cases {
        for policy in ["Never", "Always"] {
            let spec =
                format!(r#"{{"restartPolicy": "{policy}", "containers": [{{"name": "c", "image": "i"}}]}}"#);
            let mut model = Model::running(&spec);
            model.create("c", 1, Duration::from_secs(10));
            model
                .observed
                .containers
                .retain(|container| container.attempt == 1);
            let now = model.now;
            model.observed.containers[0].state = ContainerState::Exited {
                started_at: None,
                finished_at: now,
                exit_code: given,
                reason: why,
                message: Some("it said so".to_owned()),
            };
            model.report();
            let status = model.view().reported("c").unwrap().clone();
            let told = |state: Option<Told>| {
                let ended = state.unwrap().terminated.unwrap();
                assert_eq!(ended.container_id.as_deref(), Some("model://c2"));
                assert_eq!(ended.message.as_deref(), Some("it said so"));
                (ended.exit_code, ended.reason.unwrap())
            };
            let expected = (code, reason.to_owned());
            if policy == "Never" {
                assert_eq!(told(status.state), expected);
                assert_eq!(model.status.phase.as_deref(), Some(phase), "{why:?}");
            } else {
                assert_eq!(model.word("c"), "CrashLoopBackOff");
                assert_eq!(told(status.last_state), expected);
            }
        }
    }
}
