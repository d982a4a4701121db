//! What a PodDisruptionBudget says: whose it is, and how its status is read and changed.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use orch_core::object::Selector;

use crate::controllers::selector_of;

/// The condition that says whether a pod may be evicted.
const ALLOWED: &str = "DisruptionAllowed";

/// The numbers of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The pods that there are to be.
    pub(crate) expected: i32,
    /// Those of them that must be healthy.
    pub(crate) desired: i32,
    /// Those that are.
    pub(crate) current: i32,
    /// Those that may be evicted.
    pub(crate) allowed: i32,
}

impl From<&PodDisruptionBudgetStatus> for Counts {
    fn from(status: &PodDisruptionBudgetStatus) -> Self {
        Self {
            expected: number(&status.expected_pods),
            desired: number(&status.desired_healthy),
            current: number(&status.current_healthy),
            allowed: number(&status.disruptions_allowed),
        }
    }
}

impl Counts {
    pub(crate) fn write(self, status: &mut PodDisruptionBudgetStatus) {
        status.expected_pods = self.expected.into();
        status.desired_healthy = self.desired.into();
        status.current_healthy = self.current.into();
        status.disruptions_allowed = self.allowed.into();
    }
}

/// Required in one version of Kubernetes' schema, optional in another.
fn number<'a>(count: impl Into<Option<&'a i32>>) -> i32 {
    count.into().copied().unwrap_or(0)
}

/// Which pods the budget is of. One without a selector is of none, one with an empty selector of all.
pub(crate) fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    let selector = budget.spec.as_ref()?.selector.as_ref()?;
    selector_of(selector).ok()
}

/// Has the condition say what the number of disruptions that are allowed says.
pub(crate) fn tell_allowed(status: &mut PodDisruptionBudgetStatus, now: Timestamp) {
    let (is, reason) = match Counts::from(&*status).allowed {
        1.. => ("True", "SufficientPods"),
        _ => ("False", "InsufficientPods"),
    };
    set_condition(status, is, reason, String::new(), now);
}

/// Has the condition say that it is not known what is allowed, and so nothing is.
pub(crate) fn tell_failed(status: &mut PodDisruptionBudgetStatus, why: String, now: Timestamp) {
    status.disruptions_allowed = 0.into();
    set_condition(status, "False", "SyncFailed", why, now);
}

fn set_condition(
    status: &mut PodDisruptionBudgetStatus,
    is: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let observed_generation = status.observed_generation;
    let conditions = status.conditions.get_or_insert_default();
    let before = conditions.iter().position(|own| own.type_ == ALLOWED);
    let since = before.map(|at| &conditions[at]).filter(|own| own.status == is);
    let condition = Condition {
        type_: ALLOWED.to_owned(),
        status: is.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation,
        last_transition_time: since.map_or_else(|| seconds(now), |own| own.last_transition_time.clone()),
    };
    match before {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

/// A time as Kubernetes writes it, to the second.
pub(crate) fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
