//! Reads and writes the status of a pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Every container is ready, and every readiness gate is true.
pub const READY: &str = "Ready";
/// All init containers have done their work.
pub const INITIALIZED: &str = "Initialized";
/// Every container is ready.
pub const CONTAINERS_READY: &str = "ContainersReady";
/// A node was found.
pub const POD_SCHEDULED: &str = "PodScheduled";
/// The pod is about to be ended by something that is not its owner.
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// The phase, empty if there is none yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

/// Whether it has ended and will not run again.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Failed" | "Succeeded")
}

/// Whether it is being deleted.
pub fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it counts for its controller: it has not ended, and is not being deleted (`IsPodActive`).
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && !is_deleting(pod)
}

/// Whether it serves, as far as its probes tell.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, READY).is_some_and(|condition| condition.status == "True")
}

/// Whether it has been ready for `min_ready_seconds` at `now` (`IsPodAvailable`).
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    available_at(pod, min_ready_seconds).is_some_and(|at| at <= now)
}

/// When a pod that is ready has been so for `min_ready_seconds`, or will have been; `None` if it is not ready.
pub fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    let ready = condition(pod, READY).filter(|condition| condition.status == "True")?;
    if min_ready_seconds <= 0 {
        return Some(Timestamp::MIN);
    }
    let since = ready.last_transition_time.as_ref()?.0;
    since
        .checked_add(jiff::SignedDuration::from_secs(min_ready_seconds.into()))
        .ok()
}

/// The condition of a type.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Puts a condition into a status, in place of the one of its type; says whether anything changed.
///
/// `last_transition_time` becomes `now` only when `status` changes; what the caller put there is ignored.
pub fn set_condition(status: &mut PodStatus, mut new: PodCondition, now: Timestamp) -> bool {
    let conditions = status.conditions.get_or_insert_default();
    let Some(old) = conditions
        .iter_mut()
        .find(|condition| condition.type_ == new.type_)
    else {
        new.last_transition_time = Some(Time(now));
        conditions.push(new);
        return true;
    };
    new.last_transition_time = if old.status == new.status {
        old.last_transition_time.clone()
    } else {
        Some(Time(now))
    };
    if *old == new {
        return false;
    }
    *old = new;
    true
}

/// The status of a container, of whichever sort it is.
pub fn container_status<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ]
    .into_iter()
    .flat_map(|statuses| statuses.iter().flatten())
    .find(|status| status.name == name)
}

/// How often the containers of a pod were started again, in all.
pub fn restarts(pod: &Pod) -> i32 {
    let Some(status) = &pod.status else { return 0 };
    [&status.container_statuses, &status.init_container_statuses]
        .into_iter()
        .flat_map(|statuses| statuses.iter().flatten())
        .fold(0, |sum: i32, status| sum.saturating_add(status.restart_count))
}

/// The most restarts that any one container of a pod has behind it.
pub fn most_restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref());
    statuses
        .unwrap_or_default()
        .iter()
        .map(|status| status.restart_count)
        .max()
        .unwrap_or(0)
}
