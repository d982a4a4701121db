//! Tells what a pod is doing: its status, a pure function of what is, what was reported and the time.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{self, ContainerStatus, HostIP, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orch_core::runtime::{Container, ContainerState, ExitReason, Sandbox};

use super::conditions::conditions;
use super::decide::{End, end_of, holds_network, may_run};
use super::observed::{Failure, Past, Role, View, add};
use super::resize;
use super::restart::{Next, next};
use crate::kinds::pod::resources::qos_class;

/// For so long after a failed pull the reason is the failure itself, then that it is being waited out.
const FRESH_FAILURE: std::time::Duration = std::time::Duration::from_secs(2);

/// The pod's status, in the kubelet's words. What others own in it (conditions of other types,
/// `nominatedNodeName`) is kept; times change only with what they are the time of.
pub fn status(view: &View<'_>) -> PodStatus {
    let end = end_of(view);
    let mut status = view.status.clone();
    status.observed_generation = view.pod.metadata.generation;
    status.qos_class = view
        .pod
        .spec
        .as_ref()
        .map(|spec| qos_class(spec).as_str().to_owned());
    status.start_time.get_or_insert_with(|| time(view.now));
    status.host_ip = Some(view.host_ip.to_string());
    status.host_ips = Some(vec![HostIP {
        ip: view.host_ip.to_string(),
    }]);
    let initial = is_initial(view);
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for (role, spec) in view.specs() {
        let reported = container_status(view, role, spec, end.as_ref(), initial);
        if role == Role::Main {
            main.push(reported);
        } else {
            init.push(reported);
        }
    }
    let final_phase = matches!(view.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let ends = matches!(end, Some(End::Deadline | End::Finished));
    let runs = view.observed.busy.start.is_some() || view.observed.containers.iter().any(may_run);
    let next_phase = phase(view, end.as_ref(), &init, &main);
    let is_final = matches!(next_phase, "Succeeded" | "Failed");
    let goes = end == Some(End::Deleted) && !view.observed.gone && holds_network(view);
    if !final_phase && (ends && runs || goes && is_final) {
        // A final phase frees the pod's room and ports, so it waits for the last container (the kubelet's
        // `mergePodStatus`), and that of a pod that is told to end for the network too.
        status.phase.get_or_insert_with(|| "Pending".to_owned());
    } else if !final_phase {
        status.phase = Some(next_phase.to_owned());
        if end == Some(End::Deadline) {
            status.reason = Some("DeadlineExceeded".to_owned());
            let deadline = view
                .pod
                .spec
                .as_ref()
                .and_then(|spec| spec.active_deadline_seconds);
            // The kubelet's words to the bracket.
            status.message = Some(format!(
                "Pod was active on the node longer than the specified deadline (activeDeadlineSeconds: {})",
                deadline.unwrap_or_default()
            ));
        }
    }
    let ips = pod_ips(view);
    if !ips.is_empty() {
        status.pod_ip = Some(ips[0].clone());
        status.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect());
    }
    status.conditions = Some(conditions(view, &status, &init, &main));
    status.container_statuses = Some(main);
    status.init_container_statuses = (!init.is_empty()).then_some(init);
    status
}

/// When time alone changes the status.
pub fn status_wake(view: &View<'_>) -> Option<Timestamp> {
    let failures = view.observed.failures.values();
    failures
        .map(|failure| add(failure.at, FRESH_FAILURE))
        .filter(|at| *at > view.now)
        .min()
}

/// A time as an object holds it: whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn pod_ips(view: &View<'_>) -> Vec<String> {
    let of = |sandbox: &Sandbox| sandbox.ips.iter().map(IpAddr::to_string).collect::<Vec<_>>();
    match view.sandbox() {
        // On the machine's own network the pod answers under the machine's address.
        Some(sandbox) if sandbox.ips.is_empty() => vec![view.host_ip.to_string()],
        Some(sandbox) => of(sandbox),
        None => Vec::new(),
    }
}

/// Whether some init container has not done its part yet.
fn is_initial(view: &View<'_>) -> bool {
    !view.initialized()
        && view
            .specs()
            .any(|(role, spec)| match (role, next(view, role, spec)) {
                (Role::Main, _) | (Role::Init, Next::Done { success: true }) => false,
                (Role::Sidecar, Next::Runs) => {
                    !view.latest(&spec.name).is_some_and(|made| view.is_started(made))
                }
                _ => true,
            })
}

fn container_status(
    view: &View<'_>,
    role: Role,
    spec: &v1::Container,
    end: Option<&End>,
    initial: bool,
) -> ContainerStatus {
    let before = view.reported(&spec.name);
    let latest = view.latest(&spec.name);
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        started: Some(false),
        ..ContainerStatus::default()
    };
    if let Some(latest) = latest {
        status.restart_count = i32::try_from(latest.attempt).unwrap_or(i32::MAX);
        status.container_id = Some(container_id(view, latest));
        status.image_id.clone_from(&latest.image_id);
        status.last_state = last_state(view, latest);
    } else if let Some(before) = before {
        status.restart_count = before.restart_count;
        status.container_id.clone_from(&before.container_id);
        status.image_id.clone_from(&before.image_id);
        status.last_state.clone_from(&before.last_state);
    }
    let state = state(view, role, spec, end, initial);
    if state.waiting.is_some() {
        // What waits for its next start shows how the last one ended.
        match view.past(&spec.name) {
            Past::Listed(container) if container.state.is_exited() => {
                status.last_state = Some(terminated(view, container));
            }
            Past::Ended(ended) => status.last_state = Some(of_terminated(ended.clone())),
            Past::Lost => status.last_state = Some(of_terminated(lost(view, spec))),
            _ => {}
        }
    }
    if let Some(latest) = latest.filter(|latest| latest.state.is_running()) {
        let health = view.observed.health.get(&latest.id);
        let started = view.is_started(latest);
        // Outside the pod's sandbox there is no network. The kubelet calls such a one ready until it has ended.
        let in_place = view.sandbox().is_some_and(|sandbox| sandbox.id == latest.sandbox);
        status.started = Some(started);
        status.ready = in_place && started && health.and_then(|health| health.ready).unwrap_or(true);
    } else if role == Role::Init {
        status.ready = state
            .terminated
            .as_ref()
            .is_some_and(|ended| ended.exit_code == 0);
    }
    if let Some(latest) = latest.filter(|latest| may_run(latest)) {
        (status.resources, status.allocated_resources) = resize::told(view, latest, spec);
    }
    status.state = Some(state);
    status
}

fn state(
    view: &View<'_>,
    role: Role,
    spec: &v1::Container,
    end: Option<&End>,
    initial: bool,
) -> v1::ContainerState {
    let comes = match next(view, role, spec) {
        Next::Start { at, .. } if end.is_none() => Some(at),
        _ => None,
    };
    if comes.is_some()
        && let Some(refusal) = &view.observed.refusal
    {
        return waiting(refusal.reason, Some(refusal.message.clone()));
    }
    if comes.is_some()
        && let Some(failure) = view.observed.failures.get(&spec.name)
        && failure.image == spec.image.as_deref().unwrap_or_default()
    {
        return waiting_for(view, failure);
    }
    match view.past(&spec.name) {
        Past::Listed(container) => match &container.state {
            ContainerState::Running { started_at } => v1::ContainerState {
                running: Some(v1::ContainerStateRunning {
                    started_at: Some(time(*started_at)),
                }),
                ..v1::ContainerState::default()
            },
            ContainerState::Exited { .. } => match comes.flatten() {
                Some(at) if at > view.now => {
                    waiting("CrashLoopBackOff", Some(crash_loop(view, spec, container)))
                }
                _ => terminated(view, container),
            },
            ContainerState::Unknown(word) => waiting(
                "ContainerStateUnknown",
                Some(format!(
                    "the {} runtime reports the state {word:?}, which is not known here; the container is left alone until \
                     it is in another",
                    view.runtime
                )),
            ),
            _ => waiting(waiting_reason(role, initial), None),
        },
        Past::Ended(ended) if comes.is_none() => of_terminated(ended.clone()),
        Past::Lost if comes.is_none() => of_terminated(lost(view, spec)),
        _ => waiting(waiting_reason(role, initial), None),
    }
}

fn waiting_reason(role: Role, initial: bool) -> &'static str {
    if initial || role != Role::Main {
        "PodInitializing"
    } else {
        "ContainerCreating"
    }
}

fn waiting(reason: &str, message: Option<String>) -> v1::ContainerState {
    v1::ContainerState {
        waiting: Some(v1::ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message,
        }),
        ..v1::ContainerState::default()
    }
}

fn waiting_for(view: &View<'_>, failure: &Failure) -> v1::ContainerState {
    let fresh = view.now < add(failure.at, FRESH_FAILURE);
    if failure.reason == "ErrImagePull" && !fresh {
        let message = format!(
            "Back-off pulling image {:?}: ErrImagePull: {}",
            failure.image, failure.message
        );
        return waiting("ImagePullBackOff", Some(message));
    }
    waiting(failure.reason, Some(failure.message.clone()))
}

fn crash_loop(view: &View<'_>, spec: &v1::Container, container: &Container) -> String {
    let meta = &view.pod.metadata;
    let delay = match next(view, Role::Main, spec) {
        Next::Start { at: Some(at), .. } => match container.state {
            ContainerState::Exited { finished_at, .. } => at.duration_since(finished_at).as_secs(),
            _ => 0,
        },
        _ => 0,
    };
    let pod = format!(
        "{}_{}({})",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default()
    );
    format!(
        "back-off {} restarting failed container={} pod={pod}",
        go_duration(delay),
        spec.name
    )
}

/// Seconds as Go prints a duration: `10s`, `1m20s`, `5m0s`.
fn go_duration(seconds: i64) -> String {
    if seconds < 60 {
        format!("{seconds}s")
    } else {
        format!("{}m{}s", seconds / 60, seconds % 60)
    }
}

fn last_state(view: &View<'_>, latest: &Container) -> Option<v1::ContainerState> {
    let named = view
        .observed
        .containers
        .iter()
        .filter(|container| container.name == latest.name);
    let before = named
        .filter(|container| container.attempt < latest.attempt)
        .max_by_key(|before| before.attempt);
    match before {
        Some(before) if before.state.is_exited() => Some(terminated(view, before)),
        Some(_) => None,
        // Its trace may be gone from the runtime, but it was reported.
        None if latest.attempt > 0 => {
            let status = view.reported(&latest.name)?;
            let ended = status.state.as_ref().filter(|state| {
                state.terminated.is_some()
                    && status.container_id.as_deref() != Some(&container_id(view, latest))
            });
            ended.or(status.last_state.as_ref()).cloned()
        }
        None => None,
    }
}

fn container_id(view: &View<'_>, container: &Container) -> String {
    format!("{}://{}", view.runtime, container.id)
}

fn terminated(view: &View<'_>, container: &Container) -> v1::ContainerState {
    let ContainerState::Exited {
        started_at,
        finished_at,
        exit_code,
        reason,
        message,
    } = &container.state
    else {
        return v1::ContainerState::default();
    };
    of_terminated(v1::ContainerStateTerminated {
        container_id: Some(container_id(view, container)),
        exit_code: code(*exit_code, *reason),
        reason: Some(reason.as_str().to_owned()),
        message: message.clone(),
        started_at: started_at.map(time),
        finished_at: Some(time(*finished_at)),
        signal: None,
    })
}

/// The code in Kubernetes' words. Of what never ran it is containerd's 128, which goes with the reason `StartError` whatever
/// the runtime has for it; for one that nobody knows there is no word but that of a killed program.
fn code(code: Option<i32>, reason: ExitReason) -> i32 {
    match (code, reason) {
        (_, ExitReason::StartError) => 128,
        (Some(code), _) => code,
        (None, _) => 137,
    }
}

fn of_terminated(terminated: v1::ContainerStateTerminated) -> v1::ContainerState {
    v1::ContainerState {
        terminated: Some(terminated),
        ..v1::ContainerState::default()
    }
}

fn lost(view: &View<'_>, spec: &v1::Container) -> v1::ContainerStateTerminated {
    v1::ContainerStateTerminated {
        container_id: view
            .reported(&spec.name)
            .and_then(|status| status.container_id.clone()),
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".to_owned()),
        message: Some(
            "The container could not be located when the pod was looked at: the runtime has no trace of it any more, and \
             nobody knows how it ended"
                .to_owned(),
        ),
        ..v1::ContainerStateTerminated::default()
    }
}

/// The rules of the kubelet's `getPhase`.
fn phase(
    view: &View<'_>,
    end: Option<&End>,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> &'static str {
    if *end.unwrap_or(&End::Finished) == End::Deadline {
        return "Failed";
    }
    let ended = |status: &ContainerStatus| {
        let state = status.state.as_ref();
        let now = state.and_then(|state| state.terminated.as_ref());
        let waits = state.is_some_and(|state| state.waiting.is_some());
        let before = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        now.or(before.filter(|_| waits)).map(|ended| ended.exit_code)
    };
    let runs = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    let running = main.iter().any(runs);
    let codes: Vec<i32> = main.iter().filter_map(ended).collect();
    let stopped_all = codes.len() == main.len() && !main.is_empty();
    let done = || {
        if codes.iter().all(|code| *code == 0) {
            "Succeeded"
        } else {
            "Failed"
        }
    };
    match end {
        Some(End::Finished) => {
            // The sidecars end after it; the outcome is decided.
            if stopped_all { done() } else { "Failed" }
        }
        Some(End::Deleted) => {
            let anything = running || init.iter().any(runs);
            if anything {
                if running { "Running" } else { "Pending" }
            } else if stopped_all {
                done()
            } else if codes.is_empty() && view.observed.containers.is_empty() {
                // Nothing ever ran: the kubelet leaves such a pod pending until it is gone.
                "Pending"
            } else {
                "Failed"
            }
        }
        _ if is_initial(view) => "Pending",
        _ if main.iter().any(|status| !runs(status) && ended(status).is_none()) => {
            let unknown = main.iter().any(|status| {
                let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
                waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("ContainerStateUnknown")
            });
            let ran = view.status.phase.as_deref() == Some("Running");
            if unknown && ran { "Running" } else { "Pending" }
        }
        _ => "Running",
    }
}
