//! How fast an autoscaler may change the number of pods.

use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};
use orch_core::object::Quantity;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::json;

use crate::kinds::check;
use crate::kinds::raw::{Raw, child_or_new, default_value, quantity_as_text};

/// The longest period of a policy, in seconds.
const PERIOD_LIMIT: i32 = 1800;
/// The longest that an autoscaler may look back, in seconds.
const WINDOW_LIMIT: i32 = 3600;

/// Fills a behavior: up at once, by four pods or to twice as many in 15 seconds; down as far as may be.
pub(super) fn default(behavior: &mut Raw) {
    let policy = |kind: &str, value: i32| json!({"type": kind, "value": value, "periodSeconds": 15});
    for (field, window, policies) in [
        (
            "scaleUp",
            Some(0),
            json!([policy("Pods", 4), policy("Percent", 100)]),
        ),
        ("scaleDown", None, json!([policy("Percent", 100)])),
    ] {
        let Some(rules) = child_or_new(behavior, field) else {
            continue;
        };
        if let Some(window) = window {
            default_value(rules, "stabilizationWindowSeconds", window);
        }
        default_value(rules, "selectPolicy", "Max");
        default_value(rules, "policies", policies);
        if let Some(tolerance) = rules.get_mut("tolerance") {
            quantity_as_text(tolerance);
        }
    }
}

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, behavior: &HorizontalPodAutoscalerBehavior) {
    for (field, rules) in [
        ("scaleUp", &behavior.scale_up),
        ("scaleDown", &behavior.scale_down),
    ] {
        if let Some(rules) = rules {
            validate_rules(errors, &at.child(field), rules);
        }
    }
}

fn validate_rules(errors: &mut FieldErrors, at: &FieldPath, rules: &HPAScalingRules) {
    if let Some(window) = rules.stabilization_window_seconds {
        let detail = match window {
            ..0 => Some("must be greater than or equal to zero".to_owned()),
            0..=WINDOW_LIMIT => None,
            _ => Some(format!("must be less than or equal to {WINDOW_LIMIT}")),
        };
        if let Some(detail) = detail {
            let at = at.child("stabilizationWindowSeconds");
            errors.push(FieldError::invalid(&at, window, detail));
        }
    }
    check::optional_one_of(
        errors,
        &at.child("selectPolicy"),
        rules.select_policy.as_deref(),
        &["Disabled", "Max", "Min"],
    );
    let policies = rules.policies.as_deref().unwrap_or_default();
    let policies_at = at.child("policies");
    if policies.is_empty() {
        errors.push(FieldError::required(
            &policies_at,
            "must specify at least one Policy",
        ));
    }
    for (index, policy) in policies.iter().enumerate() {
        validate_policy(errors, &policies_at.index(index), policy);
    }
    if let Some(tolerance) = &rules.tolerance
        && tolerance.0.parse::<Quantity>().is_ok_and(Quantity::is_negative)
    {
        let detail = "must be greater or equal to 0";
        errors.push(FieldError::invalid(&at.child("tolerance"), tolerance, detail));
    }
}

fn validate_policy(errors: &mut FieldErrors, at: &FieldPath, policy: &HPAScalingPolicy) {
    check::optional_one_of(
        errors,
        &at.child("type"),
        Some(&policy.type_),
        &["Percent", "Pods"],
    );
    let period_at = at.child("periodSeconds");
    for (at, value) in [
        (&at.child("value"), policy.value),
        (&period_at, policy.period_seconds),
    ] {
        if value <= 0 {
            errors.push(FieldError::invalid(at, value, "must be greater than zero"));
        }
    }
    if policy.period_seconds > PERIOD_LIMIT {
        let detail = format!("must be less than or equal to {PERIOD_LIMIT}");
        errors.push(FieldError::invalid(&period_at, policy.period_seconds, detail));
    }
}
