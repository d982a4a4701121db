//! Whether a pod may be evicted, and what becomes of its budget.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};

use super::EvictError;
use super::budget::{Counts, seconds, selector, tell_allowed};
use crate::controllers::pod_view::{Phase, PodView};

/// How many pods may be on their way out without the controller having seen that they went.
const MAX_DISRUPTED: usize = 2000;

/// What an eviction does.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict<'b> {
    /// It deletes the pod.
    Delete,
    /// It deletes the pod if that is still as it was looked at; it may have become ready since, which `budget` minds.
    DeleteAsItIs { budget: Option<String> },
    /// It has the budget say this, if that is still as it was looked at, and deletes the pod.
    Lower {
        budget: &'b PodDisruptionBudget,
        status: Box<PodDisruptionBudgetStatus>,
    },
}

/// Decides on a pod and the budgets of its namespace.
pub(super) fn decide<'b>(
    pod: &PodView,
    budgets: &'b [PodDisruptionBudget],
    now: Timestamp,
) -> Result<Verdict<'b>, EvictError> {
    // Nobody counts on it any more.
    if pod.is_finished() || pod.deleting.is_some() {
        return Ok(Verdict::Delete);
    }
    if pod.phase == Phase::Pending {
        return Ok(Verdict::DeleteAsItIs { budget: None });
    }
    let is_own = |budget: &&PodDisruptionBudget| {
        selector(budget).is_some_and(|selector| selector.matches(&pod.labels))
    };
    let mut own = budgets.iter().filter(is_own);
    let Some(budget) = own.next() else {
        return Ok(Verdict::Delete);
    };
    if own.next().is_some() {
        return Err(EvictError::SeveralBudgets);
    }
    let status = budget.status.clone().unwrap_or_default();
    let counts = Counts::from(&status);
    let is_enough = counts.current >= counts.desired && counts.desired > 0;
    // It is not among those that the budget counts.
    if !pod.ready && (goes_unhealthy(budget) || is_enough) {
        return Ok(Verdict::DeleteAsItIs {
            budget: Some(name(budget)),
        });
    }
    lower(budget, status, &pod.name, now)
}

fn goes_unhealthy(budget: &PodDisruptionBudget) -> bool {
    let policy = budget
        .spec
        .as_ref()
        .and_then(|spec| spec.unhealthy_pod_eviction_policy.as_deref());
    policy == Some("AlwaysAllow")
}

fn name(budget: &PodDisruptionBudget) -> String {
    budget.metadata.name.clone().unwrap_or_default()
}

fn lower<'b>(
    budget: &'b PodDisruptionBudget,
    mut status: PodDisruptionBudgetStatus,
    pod: &str,
    now: Timestamp,
) -> Result<Verdict<'b>, EvictError> {
    let mut counts = Counts::from(&status);
    let forbidden = |reason| EvictError::Forbidden {
        budget: name(budget),
        reason,
    };
    if status.observed_generation.unwrap_or(0) < budget.metadata.generation.unwrap_or(0) {
        return Err(EvictError::Processing { budget: name(budget) });
    }
    if counts.allowed < 0 {
        return Err(forbidden("pdb disruptions allowed is negative"));
    }
    let disrupted = status.disrupted_pods.get_or_insert_default();
    if disrupted.len() > MAX_DISRUPTED {
        return Err(forbidden(
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if counts.allowed == 0 {
        return Err(EvictError::Exhausted {
            budget: name(budget),
            desired_healthy: counts.desired,
            current_healthy: counts.current,
        });
    }
    disrupted.insert(pod.to_owned(), seconds(now));
    counts.allowed -= 1;
    counts.write(&mut status);
    if counts.allowed == 0 {
        tell_allowed(&mut status, now);
    }
    let status = Box::new(status);
    Ok(Verdict::Lower { budget, status })
}
