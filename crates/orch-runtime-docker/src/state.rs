//! What the engine says of a container, in our words.

use std::net::IpAddr;

use jiff::Timestamp;
use orch_core::runtime::{
    Container, ContainerId, ContainerState, ExitReason, Resources, Sandbox, SandboxId, SandboxState,
};

use crate::engine::wire;
use crate::labels::{ContainerIdentity, SandboxIdentity, user_annotations, user_labels};

/// The period of processor quotas, in microseconds (the kernel's default).
pub(crate) const CPU_PERIOD: i64 = 100_000;

/// What engines call one that stands still.
pub(crate) const PAUSED: &str = "paused";

/// A sandbox from a list or an inspection.
pub(crate) fn sandbox(
    id: &str,
    labels: &wire::Labels,
    state: &str,
    network: &wire::NetworkSettings,
) -> Sandbox {
    let identity = SandboxIdentity::read(labels);
    Sandbox {
        id: SandboxId(id.to_owned()),
        name: identity.name,
        namespace: identity.namespace,
        uid: identity.uid,
        attempt: identity.attempt,
        state: sandbox_state(state),
        ips: addresses(network),
        created_at: identity.created_at,
        labels: user_labels(labels).into(),
        annotations: user_annotations(labels).into(),
    }
}

fn sandbox_state(state: &str) -> SandboxState {
    match state {
        "running" => SandboxState::Ready,
        "created" | "exited" | "dead" | "removing" => SandboxState::NotReady,
        // Podman's words.
        "configured" | "initialized" | "stopped" | "stopping" => SandboxState::NotReady,
        _ => SandboxState::Unknown,
    }
}

/// Whether a container in this state has ended for good. One that is merely made may be running by the time an
/// answer that calls it so is read.
pub(crate) fn is_final(state: &str) -> bool {
    matches!(state, "exited" | "stopped" | "dead" | "removing")
}

/// IPv4 first; in a steady order where there are several networks.
fn addresses(network: &wire::NetworkSettings) -> Vec<IpAddr> {
    let mut endpoints: Vec<_> = network.networks.iter().collect();
    endpoints.sort_by_key(|(name, _)| name.as_str());
    let four = endpoints.iter().map(|(_, e)| &e.ip_address);
    let six = endpoints.iter().map(|(_, e)| &e.global_ipv6_address);
    let mut found: Vec<IpAddr> = Vec::new();
    for text in std::iter::once(&network.ip_address).chain(four).chain(six) {
        if let Ok(address) = text.parse()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// A container from an inspection.
pub(crate) fn container(inspected: &wire::Inspected) -> Container {
    let labels = &inspected.config.labels;
    let identity = ContainerIdentity::read(labels);
    let created_at = date(&inspected.created).unwrap_or(Timestamp::UNIX_EPOCH);
    Container {
        id: ContainerId(inspected.id.clone()),
        sandbox: identity.sandbox,
        pod_uid: identity.pod_uid,
        name: identity.name,
        attempt: identity.attempt,
        image: if identity.image.is_empty() {
            inspected.config.image.clone()
        } else {
            identity.image
        },
        image_id: inspected.image.clone(),
        state: container_state(&inspected.state, created_at),
        paused: inspected.state.status == PAUSED,
        created_at,
        resources: resources(&inspected.host_config),
        labels: user_labels(labels).into(),
        annotations: user_annotations(labels).into(),
    }
}

/// The state of a container that was made at `created_at`.
pub(crate) fn container_state(state: &wire::State, created_at: Timestamp) -> ContainerState {
    match state.status.as_str() {
        // A container whose start failed stays `created` for Docker, with an error.
        "created" | "configured" | "initialized" if state.error.is_empty() => ContainerState::Created,
        // A paused process is one that runs, slowly.
        "running" | PAUSED | "stopping" => ContainerState::Running {
            started_at: date(&state.started_at).unwrap_or(created_at),
        },
        "created" | "configured" | "initialized" | "exited" | "stopped" | "dead" => exited(state, created_at),
        // On its way out: how it ended is known if it ended before.
        "removing" if date(&state.finished_at).is_some() => exited(state, created_at),
        unknown => ContainerState::Unknown(unknown.to_owned()),
    }
}

fn exited(state: &wire::State, created_at: Timestamp) -> ContainerState {
    let started_at = date(&state.started_at);
    // The engine notes the start only after a short program may have ended.
    let finished_at = date(&state.finished_at).max(started_at).unwrap_or(created_at);
    let exit_code = i32::try_from(state.exit_code).ok();
    let reason = if started_at.is_none() && !state.error.is_empty() {
        ExitReason::StartError
    } else {
        ExitReason::of(exit_code, state.oom_killed)
    };
    ContainerState::Exited {
        started_at,
        finished_at,
        exit_code,
        reason,
        message: (!state.error.is_empty()).then(|| state.error.clone()),
    }
}

fn resources(host: &wire::HostConfig) -> Resources {
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let quota = match (host.nano_cpus, host.cpu_quota) {
        (nanos, _) if nanos > 0 => positive(nanos / 1_000_000),
        (_, quota) if quota > 0 => {
            let period = if host.cpu_period > 0 {
                host.cpu_period
            } else {
                CPU_PERIOD
            };
            positive(quota.saturating_mul(1000) / period)
        }
        _ => None,
    };
    Resources {
        cpu_shares: positive(host.cpu_shares),
        cpu_limit_millis: quota,
        memory_limit_bytes: positive(host.memory),
        pids_limit: host.pids_limit.and_then(positive),
        oom_score_adj: i32::try_from(host.oom_score_adj).ok().filter(|score| *score != 0),
        ..Resources::default()
    }
    .in_force()
}

/// A date as Go writes it; none for its zero date, which stands for "never".
pub(crate) fn date(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>()
        .ok()
        .filter(|date| *date > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = "2030-01-01T00:00:00Z";
    const START: &str = "2030-01-01T00:00:01.5Z";
    const END: &str = "2030-01-01T00:00:02Z";
    const NEVER: &str = "0001-01-01T00:00:00Z";

    fn state(status: &str, code: i64, error: &str, started: &str, finished: &str) -> wire::State {
        wire::State {
            status: status.into(),
            exit_code: code,
            error: error.into(),
            started_at: started.into(),
            finished_at: finished.into(),
            oom_killed: false,
            pid: 0,
        }
    }

    fn said(state: &wire::State) -> String {
        match container_state(state, MADE.parse().unwrap()) {
            ContainerState::Created => "created".into(),
            ContainerState::Running { started_at } => format!("running since {started_at}"),
            ContainerState::Exited {
                finished_at,
                exit_code,
                reason,
                ..
            } => {
                format!("{reason} {exit_code:?} at {finished_at}")
            }
            ContainerState::Unknown(word) => format!("unknown {word}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn docker_and_podman_states_are_told_in_our_words() {
        for (given, want) in [
            (state("created", 0, "", NEVER, NEVER), "created"),
            (state("configured", 0, "", "", ""), "created"),
            (
                state("created", 127, "no such file", NEVER, NEVER),
                "StartError Some(127) at 2030-01-01T00:00:00Z",
            ),
            (
                state("running", 0, "", START, NEVER),
                "running since 2030-01-01T00:00:01.5Z",
            ),
            (
                state("paused", 0, "", START, NEVER),
                "running since 2030-01-01T00:00:01.5Z",
            ),
            (
                state("exited", 0, "", START, END),
                "Completed Some(0) at 2030-01-01T00:00:02Z",
            ),
            (
                state("stopped", 137, "", START, END),
                "Error Some(137) at 2030-01-01T00:00:02Z",
            ),
            (
                state("dead", 1, "", START, END),
                "Error Some(1) at 2030-01-01T00:00:02Z",
            ),
            (state("removing", 0, "", START, NEVER), "unknown removing"),
            (state("hibernating", 0, "", START, NEVER), "unknown hibernating"),
        ] {
            assert_eq!(said(&given), want, "{given:?}");
        }
    }

    #[test]
    fn a_kill_over_memory_counts_unless_the_program_ended_well_or_was_asked_to() {
        for (code, want) in [
            (137, ExitReason::OutOfMemory),
            (3, ExitReason::OutOfMemory),
            (0, ExitReason::Completed),
            (143, ExitReason::Error),
        ] {
            let mut given = state("exited", code, "", START, END);
            given.oom_killed = true;
            let ContainerState::Exited { reason, .. } = container_state(&given, MADE.parse().unwrap()) else {
                panic!("not exited");
            };
            assert_eq!(reason, want);
        }
    }

    #[test]
    fn an_answer_with_almost_nothing_in_it_is_read() {
        let inspected: wire::Inspected = serde_json::from_str(
            r#"{"Id":"x","State":{"Status":"odd","Healthcheck":{"Status":7}},"Config":{"Labels":null}}"#,
        )
        .unwrap();
        assert_eq!(container(&inspected).state, ContainerState::Unknown("odd".into()));
    }

    #[test]
    fn limits_are_read_however_they_were_written() {
        let quota = wire::HostConfig {
            cpu_period: 50_000,
            cpu_quota: 25_000,
            ..Default::default()
        };
        assert_eq!(resources(&quota).cpu_limit_millis, Some(500));
        let nanos = wire::HostConfig {
            nano_cpus: 1_500_000_000,
            ..Default::default()
        };
        assert_eq!(resources(&nanos).cpu_limit_millis, Some(1500));
    }
}
