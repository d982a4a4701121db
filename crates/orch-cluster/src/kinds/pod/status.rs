//! Reads the status of a pod.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};

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

/// The condition of a type.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
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
