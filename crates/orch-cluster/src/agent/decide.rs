//! Decides what to do about a pod: a pure function of what is, what is wanted and the time.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use orch_core::runtime::{Container, ContainerId, ContainerState, Sandbox, SandboxId, SandboxState};

use super::observed::{Role, View, add, seconds, until};
use super::resize;
use super::restart::{Next, changed, next};

/// What to do now, and when to decide again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// In order; those on different containers may run at the same time.
    pub actions: Vec<Action>,
    /// When time alone changes the decision.
    pub wake_at: Option<Timestamp>,
}

impl Decision {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// One call to the runtime, or the deletion that ends a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make a sandbox.
    RunSandbox {
        /// Which of the pod's.
        attempt: u32,
    },
    /// Release a sandbox's network; what ran in it stays listed.
    StopSandbox(SandboxId),
    /// Remove a sandbox with all in it.
    RemoveSandbox(SandboxId),
    /// See to the image, make the container and start it.
    StartContainer {
        /// The container's name.
        name: String,
        /// Which of that name.
        attempt: u32,
        /// How long its successor waits, should it end soon; kept with it.
        backoff: Duration,
    },
    /// Give up waiting for an image or a `postStart` hook.
    CancelStart,
    /// Ask the container to end, kill it after the grace period.
    StopContainer {
        /// Which.
        id: ContainerId,
        /// Its name.
        name: String,
        /// How long it gets.
        grace: Duration,
        /// Why.
        reason: StopReason,
    },
    /// Give containers of the current sandbox the requests and limits that the pod says now, while they run.
    Resize(Vec<ContainerId>),
    /// Remove a container that has ended, with its logs.
    RemoveContainer(ContainerId),
    /// Delete the object for good: nothing of the pod is left here.
    DeletePod,
}

/// Why a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The pod ends.
    PodEnds,
    /// Its liveness or startup probe failed.
    Unhealthy(&'static str),
    /// The pod wants another image.
    ImageChanged,
    /// The pod wants it to have other resources, which it gets only by being started anew.
    Resized,
    /// Its sandbox is gone or not the current one.
    SandboxLost,
    /// A newer container of the same name exists.
    Superseded,
}

/// Why a pod ends on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is being deleted, or its object is gone.
    Deleted,
    /// It was active longer than `activeDeadlineSeconds`.
    Deadline,
    /// Its phase is final already.
    Terminal,
    /// Its containers have all ended for good.
    Finished,
}

/// The least time containers get to end by themselves, that of force-deleted pods included (the kubelet's
/// `minimumGracePeriodInSeconds`).
const MIN_GRACE: Duration = Duration::from_secs(2);

/// What to do about a pod.
///
/// Killed after any of the actions and asked again, it goes on from there: the answer depends on what is
/// there, never on what was tried.
pub fn decide(view: &View<'_>) -> Decision {
    let mut decision = Decision::default();
    match end_of(view) {
        Some(end) => wind_down(view, &end, &mut decision),
        None => run(view, &mut decision),
    }
    decision
}

/// Whether the pod is to end here, and why.
pub fn end_of(view: &View<'_>) -> Option<End> {
    if view.observed.gone || view.pod.metadata.deletion_timestamp.is_some() {
        return Some(End::Deleted);
    }
    if matches!(view.status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Some(End::Terminal);
    }
    if deadline(view).is_some_and(|deadline| deadline <= view.now) {
        return Some(End::Deadline);
    }
    is_finished(view).then_some(End::Finished)
}

/// When the pod's active time is over.
fn deadline(view: &View<'_>) -> Option<Timestamp> {
    let allowed = view.pod.spec.as_ref()?.active_deadline_seconds?;
    Some(add(view.status.start_time.as_ref()?.0, seconds(allowed)))
}

/// Whether every main container has ended for good, or an init container failed for good.
fn is_finished(view: &View<'_>) -> bool {
    // A pod that never restarts gets no second sandbox (the kubelet's `computePodActions`).
    let never = view
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        == Some("Never");
    if never && view.sandbox().is_none() && !view.observed.containers.is_empty() {
        return true;
    }
    let mut mains = 0;
    for (role, spec) in view.specs() {
        match (role, next(view, role, spec)) {
            (Role::Init, Next::Done { success: false }) => return !view.initialized(),
            (Role::Main, Next::Done { .. }) => mains += 1,
            (Role::Main, _) => return false,
            _ => {}
        }
    }
    mains > 0
}

fn wind_down(view: &View<'_>, end: &End, decision: &mut Decision) {
    let observed = view.observed;
    if observed.busy.start.is_some() {
        decision.actions.push(Action::CancelStart);
    }
    let grace = match end {
        _ if observed.gone => MIN_GRACE,
        End::Deleted => observed
            .deletion
            .map_or(MIN_GRACE, |deletion| until(deletion.by, view.now)),
        _ => view.grace(),
    };
    if stop_all(view, grace, decision) || observed.busy.start.is_some() || observed.busy.sandbox {
        return;
    }
    let forget = *end == End::Deleted;
    // A final phase says that the pod's ports are free: who waits for them, as a Deployment that recreates does, begins
    // then. So the network goes before (the kubelet's `SyncTerminatingPod` stops the sandbox, then sets the status).
    if forget && !observed.gone && holds_network(view) {
        stop_sandboxes(view, decision);
        return;
    }
    // Nothing runs any more. How it ended is reported before the evidence goes, and before anything is done
    // that could look like a reason to begin anew.
    let is_settled = forget || *end == End::Terminal;
    let is_told = observed.gone || is_settled && observed.reported;
    if !is_told {
        return;
    }
    if !forget {
        return stop_sandboxes(view, decision);
    }
    for sandbox in idle_sandboxes(view) {
        decision.actions.push(Action::RemoveSandbox(sandbox.id.clone()));
    }
    if !observed.sandboxes.is_empty() {
        return;
    }
    remove(view, observed.containers.iter(), decision);
    let finalized = view.pod.metadata.deletion_grace_period_seconds == Some(0);
    if observed.containers.is_empty() && !observed.gone && !observed.busy.delete && !finalized {
        decision.actions.push(Action::DeletePod);
    }
}

/// Whether a sandbox of the pod still has the pod's address and ports.
pub(crate) fn holds_network(view: &View<'_>) -> bool {
    let mut sandboxes = view.observed.sandboxes.iter();
    sandboxes.any(|sandbox| sandbox.state == SandboxState::Ready)
}

fn idle_sandboxes<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Sandbox> {
    let observed = view.observed;
    let idle = |sandbox: &&Sandbox| !observed.busy.sandboxes.contains(&sandbox.id);
    observed.sandboxes.iter().filter(idle)
}

fn stop_sandboxes(view: &View<'_>, decision: &mut Decision) {
    for sandbox in idle_sandboxes(view).filter(|sandbox| sandbox.state == SandboxState::Ready) {
        decision.actions.push(Action::StopSandbox(sandbox.id.clone()));
    }
}

/// Stops what runs, sidecars after the others and last started first (KEP-753). Returns whether anything
/// runs.
fn stop_all(view: &View<'_>, grace: Duration, decision: &mut Decision) -> bool {
    let running: Vec<_> = view
        .observed
        .containers
        .iter()
        .filter(|container| may_run(container))
        .collect();
    let sidecars: Vec<_> = view
        .specs()
        .filter(|(role, _)| *role == Role::Sidecar)
        .map(|(_, spec)| spec.name.as_str())
        .collect();
    let others: Vec<_> = running
        .iter()
        .filter(|container| !sidecars.contains(&container.name.as_str()))
        .copied()
        .collect();
    if others.is_empty() {
        let last = sidecars.iter().rev().find_map(|name| {
            let mut named = running.iter().filter(|container| container.name == *name);
            named.next().copied()
        });
        if let Some(sidecar) = last {
            stop(view, sidecar, grace, StopReason::PodEnds, decision);
        }
    }
    for container in others {
        stop(view, container, grace, StopReason::PodEnds, decision);
    }
    !running.is_empty()
}

fn run(view: &View<'_>, decision: &mut Decision) {
    if let Some(deadline) = deadline(view) {
        decision.wake(deadline);
    }
    stop_misplaced(view, decision);
    // A pod that cannot run here waits. Were it failed, whoever wants it would make another at once, without end.
    if view.observed.refusal.is_none() {
        start_next(view, decision);
    }
    stop_unwanted(view, decision);
    resize(view, decision);
    collect_garbage(view, decision);
}

/// Stops containers outside the current sandbox, and all but the newest of a name.
fn stop_misplaced(view: &View<'_>, decision: &mut Decision) {
    let sandbox = view.sandbox();
    for container in view
        .observed
        .containers
        .iter()
        .filter(|container| may_run(container))
    {
        if sandbox.is_none_or(|sandbox| sandbox.id != container.sandbox) {
            stop(view, container, view.grace(), StopReason::SandboxLost, decision);
        } else if view
            .latest(&container.name)
            .is_some_and(|latest| latest.attempt > container.attempt)
        {
            stop(view, container, view.grace(), StopReason::Superseded, decision);
        }
    }
}

/// Starts the first container that is due, one at a time, in the order of the manifest.
fn start_next(view: &View<'_>, decision: &mut Decision) {
    let initialized = view.initialized();
    for (role, spec) in view.specs() {
        if role == Role::Init && initialized {
            continue;
        }
        match next(view, role, spec) {
            Next::Start { at, backoff } => {
                if try_start(view, spec, at, backoff, decision) {
                    return;
                }
                if role != Role::Main && !initialized {
                    return;
                }
            }
            Next::Runs => {
                let started = view
                    .latest(&spec.name)
                    .is_some_and(|container| view.is_started(container));
                if !initialized && (role == Role::Init || role == Role::Sidecar && !started) {
                    return;
                }
            }
            Next::Done { .. } => {}
        }
    }
}

/// Takes the next step towards a running container; false if it has to wait for its time.
fn try_start(
    view: &View<'_>,
    spec: &v1::Container,
    at: Option<Timestamp>,
    backoff: Duration,
    decision: &mut Decision,
) -> bool {
    let observed = view.observed;
    let failure = observed.failures.get(&spec.name);
    let failure = failure.filter(|failure| failure.image == spec.image.as_deref().unwrap_or_default());
    let due = at.max(failure.map(super::observed::Failure::retry_at));
    if let Some(due) = due.filter(|due| *due > view.now) {
        decision.wake(due);
        return false;
    }
    let Some(sandbox) = view.sandbox() else {
        run_sandbox(view, decision);
        return true;
    };
    // One that is left over in another state than ended must be gone first.
    let named = || {
        observed
            .containers
            .iter()
            .filter(|container| container.name == spec.name)
    };
    if sandbox.state != SandboxState::Ready
        || named().any(may_run)
        || observed.busy.start.is_some()
        || observed.busy.sandboxes.contains(&sandbox.id)
    {
        return true;
    }
    let reusable = view
        .latest_here(&spec.name)
        .filter(|latest| latest.state == ContainerState::Created);
    let attempt = match reusable {
        Some(made) if changed(made, spec) => {
            remove(view, std::iter::once(made), decision);
            return true;
        }
        Some(made) => made.attempt,
        None => view.next_attempt(&spec.name),
    };
    decision.actions.push(Action::StartContainer {
        name: spec.name.clone(),
        attempt,
        backoff,
    });
    true
}

fn run_sandbox(view: &View<'_>, decision: &mut Decision) {
    let observed = view.observed;
    if observed.busy.sandbox || observed.containers.iter().any(may_run) {
        return;
    }
    if let Some(retry_at) = observed
        .sandbox_failure
        .as_ref()
        .map(super::observed::Failure::retry_at)
        && retry_at > view.now
    {
        decision.wake(retry_at);
        return;
    }
    let attempt = observed
        .sandboxes
        .iter()
        .map(|sandbox| sandbox.attempt + 1)
        .max()
        .unwrap_or(0);
    decision.actions.push(Action::RunSandbox { attempt });
}

/// Stops containers that are to be replaced: unhealthy ones, and those of another image.
fn stop_unwanted(view: &View<'_>, decision: &mut Decision) {
    for (_, spec) in view.specs() {
        let Some(container) = view
            .latest_here(&spec.name)
            .filter(|container| container.state.is_running())
        else {
            continue;
        };
        let health = view.observed.health.get(&container.id);
        if changed(container, spec) {
            stop(view, container, view.grace(), StopReason::ImageChanged, decision);
        } else if let Some(failed) = health.and_then(|health| health.failed.as_ref()) {
            let grace = failed.grace.unwrap_or_else(|| view.grace());
            stop(
                view,
                container,
                grace,
                StopReason::Unhealthy(failed.probe),
                decision,
            );
        }
    }
}

/// Gives what runs the resources that the pod says now, unless that waits.
fn resize(view: &View<'_>, decision: &mut Decision) {
    let observed = view.observed;
    if observed.wait.is_some() || observed.busy.resize {
        return;
    }
    let mut in_place = Vec::new();
    for change in resize::changed(view) {
        if change.needs_restart(view) {
            stop(
                view,
                change.container,
                view.grace(),
                StopReason::Resized,
                decision,
            );
        } else {
            in_place.push(change.container.id.clone());
        }
    }
    let retry_at = observed
        .resize_failure
        .as_ref()
        .map(super::observed::Failure::retry_at);
    match retry_at.filter(|at| *at > view.now) {
        _ if in_place.is_empty() => {}
        Some(at) => decision.wake(at),
        None => decision.actions.push(Action::Resize(in_place)),
    }
}

/// Removes ended containers but the newest of a name and the one before it (whose logs `--previous` shows),
/// and old sandboxes that hold nothing else.
fn collect_garbage(view: &View<'_>, decision: &mut Decision) {
    let observed = view.observed;
    let keeps = |container: &Container| {
        view.latest(&container.name)
            .is_none_or(|latest| container.attempt + 1 >= latest.attempt)
    };
    let old = observed
        .containers
        .iter()
        .filter(|container| !may_run(container) && !keeps(container));
    remove(view, old, decision);
    let current = view.sandbox().map(|sandbox| &sandbox.id);
    for sandbox in observed
        .sandboxes
        .iter()
        .filter(|sandbox| current.is_some_and(|current| *current != sandbox.id))
    {
        let mut inside = observed
            .containers
            .iter()
            .filter(|container| container.sandbox == sandbox.id);
        let newest = |container: &Container| {
            view.latest(&container.name)
                .is_some_and(|latest| latest.id == container.id)
        };
        let needed = inside.any(|container| may_run(container) || newest(container));
        if !needed && !observed.busy.sandboxes.contains(&sandbox.id) {
            decision.actions.push(Action::RemoveSandbox(sandbox.id.clone()));
        }
    }
}

fn stop(
    view: &View<'_>,
    container: &Container,
    grace: Duration,
    reason: StopReason,
    decision: &mut Decision,
) {
    // Whatever is left of the pod's time: a signal to end without a moment to obey it is a kill.
    let grace = grace.max(MIN_GRACE);
    // A stop under way is repeated only for a clearly shorter time: someone deleted again, with less grace.
    let slack = Duration::from_secs(1);
    let by = add(view.now, grace);
    let busy = &view.observed.busy;
    let enough = busy
        .stopping
        .get(&container.id)
        .is_some_and(|under_way| *under_way <= add(by, slack));
    if enough || busy.removing.contains(&container.id) {
        return;
    }
    decision.actions.push(Action::StopContainer {
        id: container.id.clone(),
        name: container.name.clone(),
        grace,
        reason,
    });
}

fn remove<'a>(view: &View<'_>, containers: impl Iterator<Item = &'a Container>, decision: &mut Decision) {
    for container in containers {
        if !view.observed.busy.removing.contains(&container.id) {
            decision
                .actions
                .push(Action::RemoveContainer(container.id.clone()));
        }
    }
}

/// Whether the container runs or, for all that is known, might.
pub(crate) fn may_run(container: &Container) -> bool {
    !matches!(
        container.state,
        ContainerState::Created | ContainerState::Exited { .. }
    )
}
