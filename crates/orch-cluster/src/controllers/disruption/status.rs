//! What a budget's status is to say.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::scale::Scale;
use crate::controllers::deployment::{Round, scaled};
use crate::controllers::pod_view::PodView;
use crate::disruption::budget::{Counts, tell_allowed, tell_failed};

/// How long a pod whose eviction was allowed counts as gone; then it was not deleted after all.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_secs(120);

/// A status, and when it is to be looked at again.
#[derive(Debug)]
pub(super) struct Reckoned {
    pub(super) status: PodDisruptionBudgetStatus,
    pub(super) again_in: Option<Duration>,
    /// The pods that were not deleted after all.
    pub(super) left: Vec<Arc<PodView>>,
    /// Whether pods without a controller are not counted.
    pub(super) is_partial: bool,
}

/// Reckons the status of a budget from the pods that it is of; `scale` says how many there are to be.
///
/// # Errors
///
/// Say why that cannot be known.
pub(super) fn reckon(
    budget: &PodDisruptionBudget,
    pods: &[Arc<PodView>],
    scale: impl FnOnce() -> Result<Scale, String>,
    now: Timestamp,
) -> Result<Reckoned, String> {
    let (expected, desired, is_partial) = wanted(budget, pods, scale)?;
    let mut status = budget.status.clone().unwrap_or_default();
    let mut disrupted = status.disrupted_pods.take().unwrap_or_default();
    let (mut current, mut left, mut next) = (0, Vec::new(), None);
    let mut going = std::collections::BTreeMap::new();
    for pod in pods.iter().filter(|pod| pod.deleting.is_none()) {
        if let Some(since) = disrupted.remove(&*pod.name) {
            // One that was evicted in the future was not evicted.
            let end = since.0.checked_add(DELETION_TIMEOUT).ok();
            if let Some(end) = end.filter(|end| *end > now) {
                next = next.into_iter().chain([end]).min();
                going.insert(pod.name.to_string(), since);
                continue;
            }
            left.push(Arc::clone(pod));
        }
        current += i32::from(pod.ready);
    }
    // Of no pods at all none may go: the first may come before this is seen.
    let allowed = if expected > 0 {
        (current - desired).max(0)
    } else {
        0
    };
    let counts = Counts {
        expected,
        desired,
        current,
        allowed,
    };
    counts.write(&mut status);
    status.disrupted_pods = (!going.is_empty()).then_some(going);
    status.observed_generation = budget.metadata.generation;
    tell_allowed(&mut status, now);
    let again_in = next.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
    Ok(Reckoned {
        status,
        again_in,
        left,
        is_partial,
    })
}

/// The status of a budget of which nothing can be said: no pod may go.
pub(super) fn failed(budget: &PodDisruptionBudget, why: String, now: Timestamp) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    tell_failed(&mut status, why, now);
    status
}

/// How many pods there are to be and how many of them healthy, and whether some are left out.
fn wanted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<PodView>],
    scale: impl FnOnce() -> Result<Scale, String>,
) -> Result<(i32, i32, bool), String> {
    let Some(spec) = &budget.spec else {
        return Ok((0, 0, false));
    };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => {
            let Scale { pods, is_partial } = scale()?;
            let desired = pods - scaled(most, pods, Round::Up);
            Ok((pods, desired.max(0), is_partial))
        }
        (None, Some(IntOrString::Int(least))) => {
            Ok((i32::try_from(pods.len()).unwrap_or(i32::MAX), *least, false))
        }
        (None, Some(least)) => {
            let Scale { pods, is_partial } = scale()?;
            Ok((pods, scaled(least, pods, Round::Up), is_partial))
        }
        (None, None) => Ok((0, 0, false)),
    }
}
