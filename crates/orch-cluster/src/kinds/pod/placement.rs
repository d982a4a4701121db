//! Validates taints, tolerations and topology spread constraints.

use k8s_openapi::api::core::v1::{Taint, Toleration, TopologySpreadConstraint};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Validates `spec.tolerations`.
pub(crate) fn validate_tolerations(errors: &mut FieldErrors, at: &FieldPath, tolerations: &[Toleration]) {
    for (index, toleration) in tolerations.iter().enumerate() {
        validate_toleration(errors, &at.index(index), toleration);
    }
}

fn validate_toleration(errors: &mut FieldErrors, at: &FieldPath, toleration: &Toleration) {
    let key = toleration.key.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let operator_at = at.child("operator");
    if !key.is_empty() {
        check::label_key(errors, &at.child("key"), key);
    } else if operator != "Exists" {
        let detail =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(&operator_at, operator, detail));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(&at.child("effect"), effect, detail));
    }
    match operator {
        "Equal" | "" => check::format(errors, &operator_at, value, names::label_value(value)),
        "Exists" if !value.is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.push(FieldError::invalid(&operator_at, toleration, detail));
        }
        "Exists" => {}
        operator => check::optional_one_of(errors, &operator_at, Some(operator), &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        check::optional_one_of(errors, &at.child("effect"), Some(effect), &EFFECTS);
    }
}

/// Validates the taints of a node.
pub(crate) fn validate_taints(errors: &mut FieldErrors, at: &FieldPath, taints: &[Taint]) {
    for (index, taint) in taints.iter().enumerate() {
        let at = at.index(index);
        check::label_key(errors, &at.child("key"), &taint.key);
        let value = taint.value.as_deref().unwrap_or_default();
        check::format(errors, &at.child("value"), value, names::label_value(value));
        check::one_of(errors, &at.child("effect"), Some(&taint.effect), &EFFECTS);
        if taints[..index]
            .iter()
            .any(|other| other.key == taint.key && other.effect == taint.effect)
        {
            let mut error = FieldError::duplicate(&at, taint);
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
}

/// Validates `spec.topologySpreadConstraints`.
pub(super) fn validate_spread(
    errors: &mut FieldErrors,
    at: &FieldPath,
    constraints: &[TopologySpreadConstraint],
) {
    for (index, constraint) in constraints.iter().enumerate() {
        let at = at.index(index);
        if constraint.max_skew <= 0 {
            let at = at.child("maxSkew");
            errors.push(FieldError::invalid(
                &at,
                constraint.max_skew,
                "must be greater than zero",
            ));
        }
        if constraint.topology_key.is_empty() {
            errors.push(FieldError::required(&at.child("topologyKey"), "can not be empty"));
        } else {
            check::label_key(errors, &at.child("topologyKey"), &constraint.topology_key);
        }
        let action = Some(constraint.when_unsatisfiable.as_str());
        let actions = ["DoNotSchedule", "ScheduleAnyway"];
        check::optional_one_of(errors, &at.child("whenUnsatisfiable"), action, &actions);
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key
                && other.when_unsatisfiable == constraint.when_unsatisfiable
        };
        if constraints[index + 1..].iter().any(same) {
            let pair = format!(
                "{{{}, {}}}",
                constraint.topology_key, constraint.when_unsatisfiable
            );
            errors.push(FieldError::duplicate(
                &at.child("{topologyKey, whenUnsatisfiable}"),
                pair,
            ));
        }
        if let Some(domains) = constraint.min_domains {
            let at = at.child("minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(&at, domains, "must be greater than zero"));
            }
            if constraint.when_unsatisfiable != "DoNotSchedule" {
                let detail = "can only use minDomains if whenUnsatisfiable=DoNotSchedule";
                errors.push(FieldError::invalid(
                    &at,
                    domains,
                    format!("{detail}, not {}", constraint.when_unsatisfiable),
                ));
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            check::optional_one_of(errors, &at.child(field), policy.as_deref(), &["Honor", "Ignore"]);
        }
        check::label_selector(
            errors,
            &at.child("labelSelector"),
            constraint.label_selector.as_ref(),
        );
    }
}
