//! The kind of policy/v1: disruption budgets.

#[cfg(test)]
mod tests;

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;
use super::deployment::{percent, validate_share};
use super::meta::{self, NameRule};
use super::table::{BuiltIn, one, status, stored, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["pdb"],
        has_status: true,
        is_acted_on: true,
        prepare_create: without_status,
        validate_status: |new, _| status(new, validate_status),
        ..stored::<PodDisruptionBudget>(
            "poddisruptionbudget",
            |new| one::<PodDisruptionBudget>(new, validate),
            |new, _| one::<PodDisruptionBudget>(new, validate),
        )
    }]
}

fn validate(budget: &PodDisruptionBudget) -> FieldErrors {
    let mut errors = meta::validate(&budget.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let Some(spec) = &budget.spec else { return errors };
    if let (Some(least), Some(_)) = (&spec.min_available, &spec.max_unavailable) {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid(&at, least, detail));
    }
    validate_amount(
        &mut errors,
        &at.child("minAvailable"),
        spec.min_available.as_ref(),
    );
    validate_amount(
        &mut errors,
        &at.child("maxUnavailable"),
        spec.max_unavailable.as_ref(),
    );
    check::label_selector(&mut errors, &at.child("selector"), spec.selector.as_ref());
    check::optional_one_of(
        &mut errors,
        &at.child("unhealthyPodEvictionPolicy"),
        spec.unhealthy_pod_eviction_policy.as_deref(),
        &["AlwaysAllow", "IfHealthyBudget"],
    );
    errors
}

/// A number of pods, or a percentage of them that is not more than all.
fn validate_amount(errors: &mut FieldErrors, at: &FieldPath, amount: Option<&IntOrString>) {
    let Some(amount) = amount else { return };
    validate_share(errors, at, amount);
    if percent(amount).is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(at, amount, "must not be greater than 100%"));
    }
}

fn validate_status(status: &PodDisruptionBudgetStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    for (field, count) in [
        (
            "disruptionsAllowed",
            check::given::<i32>(&status.disruptions_allowed).copied(),
        ),
        (
            "currentHealthy",
            check::given::<i32>(&status.current_healthy).copied(),
        ),
        (
            "desiredHealthy",
            check::given::<i32>(&status.desired_healthy).copied(),
        ),
        (
            "expectedPods",
            check::given::<i32>(&status.expected_pods).copied(),
        ),
    ] {
        check::non_negative(&mut errors, &at.child(field), count.map(i64::from));
    }
    errors
}
