//! What the kinds that keep pods running have in common: a selector and a template that must agree.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_core::object::field::{FieldError, FieldErrors, FieldPath};

use super::{check, pod};

/// Validates a selector, and the template it must select.
pub(super) fn validate_selector_and_template(
    errors: &mut FieldErrors,
    at: &FieldPath,
    selector: &LabelSelector,
    template: Option<&PodTemplateSpec>,
) {
    let selector_at = at.child("selector");
    // An absent selector decodes as one without parts.
    let absent = selector.match_labels.is_none() && selector.match_expressions.is_none();
    if absent {
        errors.push(FieldError::required(&selector_at, ""));
    } else if is_empty(selector) {
        errors.push(FieldError::invalid(
            &selector_at,
            selector,
            "empty selector is invalid for deployment",
        ));
    }
    let before = errors.len();
    check::label_selector(errors, &selector_at, Some(selector));
    let sound = errors.len() == before;
    let template_at = at.child("template");
    match template {
        None => errors.push(FieldError::required(&template_at, "")),
        Some(template) => {
            // No selector selects nothing, an empty one everything.
            let selected =
                |labels: &BTreeMap<String, String>| !absent && (!sound || selects(selector, labels));
            pod::validate_template(errors, &template_at, template, selected, "ReplicaSet");
        }
    }
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let mut wanted = selector.match_labels.iter().flatten();
    let mut requirements = selector.match_expressions.iter().flatten();
    wanted.all(|(key, value)| labels.get(key) == Some(value))
        && requirements.all(|requirement| {
            let value = labels.get(&requirement.key);
            let among =
                || value.is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
            match requirement.operator.as_str() {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}
