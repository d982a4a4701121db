//! The kind of autoscaling/v2, which nothing acts on yet: autoscalers of the number of pods; also read and written in v1.

mod behavior;
mod metrics;
pub(super) mod v1;
mod v1_metrics;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod v1_tests;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus,
};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use super::check;
use super::meta::{self, NameRule};
use super::raw::{Raw, child_mut, child_or_new, default_value};
use super::table::{BuiltIn, one, status, stored, two, without_status};

/// The use of processor time, of what is asked for, that is aimed at where nothing is said.
const UTILIZATION: i32 = 80;

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["hpa"],
        categories: &["all"],
        has_status: true,
        prepare_create: without_status,
        default,
        validate_status: |new, _| status(new, validate_status),
        ..stored::<HorizontalPodAutoscaler>(
            "horizontalpodautoscaler",
            |new| one::<HorizontalPodAutoscaler>(new, |new| validate(new, 1)),
            |new, old| two::<HorizontalPodAutoscaler>(new, old, validate_update),
        )
    }]
}

/// Fills an autoscaler: one pod at least, and as many that their use of processor time is four fifths of what they ask for.
fn default(autoscaler: &mut Raw) {
    let Some(spec) = child_or_new(autoscaler, "spec") else {
        return;
    };
    default_value(spec, "minReplicas", 1);
    let metrics = spec.get("metrics").and_then(Value::as_array);
    if metrics.is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": UTILIZATION});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".to_owned(), json!([metric]));
    }
    metrics::quantities(spec);
    if let Some(behavior) = child_mut(spec, "behavior") {
        behavior::default(behavior);
    }
}

/// Validates an autoscaler that replaces `old`: one that may scale to nothing may go on to.
fn validate_update(new: &HorizontalPodAutoscaler, old: &HorizontalPodAutoscaler) -> FieldErrors {
    let before = check::given::<HorizontalPodAutoscalerSpec>(&old.spec);
    let was_zero = before.is_some_and(|before| before.min_replicas == Some(0));
    validate(new, if was_zero { 0 } else { 1 })
}

fn validate(autoscaler: &HorizontalPodAutoscaler, least: i32) -> FieldErrors {
    let mut errors = meta::validate(&autoscaler.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let Some(spec) = check::given::<HorizontalPodAutoscalerSpec>(&autoscaler.spec) else {
        errors.push(FieldError::required(&at, ""));
        return errors;
    };
    if let Some(min) = spec.min_replicas.filter(|min| *min < least) {
        let detail = format!("must be greater than or equal to {least}");
        errors.push(FieldError::invalid(&at.child("minReplicas"), min, detail));
    }
    let max_at = at.child("maxReplicas");
    if spec.max_replicas < 1 {
        let detail = "must be greater than 0";
        errors.push(FieldError::invalid(&max_at, spec.max_replicas, detail));
    }
    if spec.min_replicas.is_some_and(|min| spec.max_replicas < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(&max_at, spec.max_replicas, detail));
    }
    validate_reference(&mut errors, &at.child("scaleTargetRef"), &spec.scale_target_ref);
    metrics::validate(&mut errors, &at.child("metrics"), spec);
    if let Some(behavior) = &spec.behavior {
        behavior::validate(&mut errors, &at.child("behavior"), behavior);
    }
    errors
}

/// What is scaled, or what a metric is of.
fn validate_reference(errors: &mut FieldErrors, at: &FieldPath, reference: &CrossVersionObjectReference) {
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        check::required_name(errors, &at.child(field), value, names::path_segment);
    }
}

fn validate_status(status: &HorizontalPodAutoscalerStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    for (field, count) in [
        ("currentReplicas", status.current_replicas),
        ("desiredReplicas", Some(status.desired_replicas)),
    ] {
        check::non_negative(&mut errors, &at.child(field), count.map(i64::from));
    }
    errors
}
