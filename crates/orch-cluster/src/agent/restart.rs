//! Whether and when a container that has ended starts again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use orch_core::runtime::{Container, ContainerState};

use super::observed::{Past, RestartPolicy, Role, View, add};
use super::resize::restarts;
use super::translate::{BACKOFF_ANNOTATION, IMAGE_ANNOTATION};

/// What comes after a container's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It runs, or is about to: nothing.
    Runs,
    /// It has ended for good, with success or without.
    Done {
        /// Whether it succeeded.
        success: bool,
    },
    /// It starts, no earlier than this, and if it ends soon waits `backoff` before the start after that.
    Start {
        /// The earliest moment; none: at once.
        at: Option<Timestamp>,
        /// To be kept with the container.
        backoff: Duration,
    },
}

/// What to do about the container `spec`.
pub(crate) fn next(view: &View<'_>, role: Role, spec: &v1::Container) -> Next {
    let policy = view.restart_policy(role, spec);
    // A new sandbox starts from the beginning: init containers run again in it.
    let past = match (role, view.past(&spec.name)) {
        (Role::Init | Role::Sidecar, Past::Listed(_)) if view.latest_here(&spec.name).is_none() => Past::None,
        (_, past) => past,
    };
    match past {
        Past::None => Next::Start {
            at: None,
            backoff: Duration::ZERO,
        },
        Past::Lost => after_end(policy, false, || (None, Duration::ZERO)),
        Past::Ended(ended) => after_end(policy, ended.exit_code == 0, || (None, Duration::ZERO)),
        Past::Listed(container) => match &container.state {
            ContainerState::Created => Next::Start {
                at: None,
                backoff: kept(container),
            },
            // A changed image, or what it is resized to, has not failed yet, nor has it had its run, whatever the policy says of the old one.
            ContainerState::Exited { .. }
                if role != Role::Init && (changed(container, spec) || restarts(view, container, spec)) =>
            {
                Next::Start {
                    at: None,
                    backoff: Duration::ZERO,
                }
            }
            ContainerState::Exited { exit_code, .. } => {
                // One that was stopped for its health did not end by itself: that it ended well is no success.
                let success = *exit_code == Some(0);
                let stopped = view.observed.unhealthy.contains(&container.id);
                if stopped && policy == RestartPolicy::OnFailure {
                    let (at, backoff) = delay_after(container, view);
                    return Next::Start { at, backoff };
                }
                after_end(policy, success, || delay_after(container, view))
            }
            _ => Next::Runs,
        },
    }
}

fn after_end(
    policy: RestartPolicy,
    success: bool,
    delay: impl FnOnce() -> (Option<Timestamp>, Duration),
) -> Next {
    let again = match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => !success,
        RestartPolicy::Never => false,
    };
    if again {
        let (at, backoff) = delay();
        Next::Start { at, backoff }
    } else {
        Next::Done { success }
    }
}

/// When the successor of an ended container may start, and the delay that is kept with it.
///
/// The kubelet's rule: the first restart is immediate; each further one waits twice as long after the end of
/// the one before; a container that ran long enough starts the count anew.
fn delay_after(container: &Container, view: &View<'_>) -> (Option<Timestamp>, Duration) {
    let ContainerState::Exited {
        started_at,
        finished_at,
        ..
    } = container.state
    else {
        return (None, Duration::ZERO);
    };
    let began = started_at.unwrap_or(container.created_at);
    let (kept, backoff) = (kept(container), view.crash_backoff);
    if finished_at > add(began, backoff.reset_after) {
        return (None, backoff.next(Duration::ZERO));
    }
    // A runtime's clock may be ahead of this one.
    let seen = view.observed.ended.get(&container.id);
    let ended = seen.map_or(finished_at, |seen| finished_at.min(*seen));
    let at = (!kept.is_zero()).then(|| add(ended, kept));
    (at, backoff.next(kept))
}

/// The delay that was decided when the container was made. Kept with the container, so that a new agent
/// process goes on counting where the old one was.
fn kept(container: &Container) -> Duration {
    let millis = container
        .annotations
        .get(BACKOFF_ANNOTATION)
        .and_then(|millis| millis.parse().ok());
    Duration::from_millis(millis.unwrap_or(0))
}

/// Whether the pod now wants another image than the container was made from.
pub(crate) fn changed(container: &Container, spec: &v1::Container) -> bool {
    let made_from = container.annotations.get(IMAGE_ANNOTATION).map(String::as_str);
    made_from.is_some_and(|image| image != spec.image.as_deref().unwrap_or_default())
}
