//! What the kinds that keep pods running have in common: a selector and a template that must agree.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::{check, pod};

/// What is said of an empty selector, and whose template it is: of a Deployment, and of a ReplicaSet in the same words.
pub(super) const REPLICAS: (&str, &str) = ("empty selector is invalid for deployment", "ReplicaSet");

/// Validates a selector, and the template it must select.
pub(super) fn validate_selector_and_template(
    errors: &mut FieldErrors,
    at: &FieldPath,
    selector: &LabelSelector,
    template: Option<&PodTemplateSpec>,
    (empty, owner): (&str, &str),
) {
    let selector_at = at.child("selector");
    let parsed = orch_core::object::LabelSelector::from(selector);
    // An absent selector decodes as one without parts.
    let absent = selector.match_labels.is_none() && selector.match_expressions.is_none();
    if absent {
        errors.push(FieldError::required(&selector_at, ""));
    } else if parsed.is_empty() {
        errors.push(FieldError::invalid(&selector_at, selector, empty));
    }
    let wrong = parsed.validate(&selector_at);
    errors.extend(wrong);
    let selector = parsed.to_selector();
    let template_at = at.child("template");
    match template {
        None => errors.push(FieldError::required(&template_at, "")),
        Some(template) => {
            // No selector selects nothing, an empty one everything.
            let selected = |labels: &BTreeMap<String, String>| {
                !absent
                    && selector
                        .as_ref()
                        .map_or(true, |selector| selector.matches(labels))
            };
            pod::validate_template(errors, &template_at, template, selected, owner);
        }
    }
}

/// Validates a status that counts replicas: of those with all labels, the ready and the available ones there are no more
/// than of all.
pub(super) fn validate_replicas(
    all: i32,
    [fully_labeled, ready, available]: [Option<i32>; 3],
    observed_generation: Option<i64>,
) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    check::non_negative(&mut errors, &at.child("replicas"), i64::from(all));
    check::non_negative(&mut errors, &at.child("observedGeneration"), observed_generation);
    let available = available.unwrap_or(0);
    let available_at = at.child("availableReplicas");
    for (at, count) in [
        (&at.child("fullyLabeledReplicas"), fully_labeled.unwrap_or(0)),
        (&at.child("readyReplicas"), ready.unwrap_or(0)),
        (&available_at, available),
    ] {
        check::non_negative(&mut errors, at, i64::from(count));
        if count > all {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(at, count, detail));
        }
    }
    if available > ready.unwrap_or(0) {
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(&available_at, available, detail));
    }
    errors
}
