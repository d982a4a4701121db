//! Validates which nodes and which neighbours a pod wants.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    WeightedPodAffinityTerm,
};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Validates `spec.affinity`.
pub(super) fn validate_affinity(errors: &mut FieldErrors, at: &FieldPath, affinity: &Affinity) {
    if let Some(node) = &affinity.node_affinity {
        validate_node_affinity(errors, &at.child("nodeAffinity"), node);
    }
    if let Some(pod) = &affinity.pod_affinity {
        let at = at.child("podAffinity");
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod
            .preferred_during_scheduling_ignored_during_execution
            .as_deref();
        validate_pod_affinity(errors, &at, required, preferred);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let at = at.child("podAntiAffinity");
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod
            .preferred_during_scheduling_ignored_during_execution
            .as_deref();
        validate_pod_affinity(errors, &at, required, preferred);
    }
}

fn validate_node_affinity(errors: &mut FieldErrors, at: &FieldPath, affinity: &NodeAffinity) {
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        validate_node_selector(errors, &at.child(REQUIRED), required);
    }
    let preferred = affinity
        .preferred_during_scheduling_ignored_during_execution
        .iter()
        .flatten();
    for (index, preferred) in preferred.enumerate() {
        let at = at.child(PREFERRED).index(index);
        validate_weight(errors, &at, preferred.weight);
        validate_term(errors, &at.child("preference"), &preferred.preference);
    }
}

/// Validates which nodes are chosen: those of any of its terms.
pub(crate) fn validate_node_selector(errors: &mut FieldErrors, at: &FieldPath, selector: &NodeSelector) {
    let at = at.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        let detail = "must have at least one node selector term";
        errors.push(FieldError::required(&at, detail));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        validate_term(errors, &at.index(index), term);
    }
}

fn validate_weight(errors: &mut FieldErrors, at: &FieldPath, weight: i32) {
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(
            &at.child("weight"),
            weight,
            "must be in the range 1-100",
        ));
    }
}

fn validate_term(errors: &mut FieldErrors, at: &FieldPath, term: &NodeSelectorTerm) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        validate_expression(errors, &at.child("matchExpressions").index(index), requirement);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        validate_node_field(errors, &at.child("matchFields").index(index), requirement);
    }
}

fn validate_expression(errors: &mut FieldErrors, at: &FieldPath, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "Gt" | "Lt" if values.len() != 1 => errors.push(FieldError::required(
            &at.child("values"),
            "must be specified single value when `operator` is 'Lt' or 'Gt'",
        )),
        "Gt" | "Lt" => {}
        operator => check::operator_values(errors, at, operator, values),
    }
    check::label_key(errors, &at.child("key"), &requirement.key);
}

/// A node is selected by no field but its name.
fn validate_node_field(errors: &mut FieldErrors, at: &FieldPath, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => errors.push(FieldError::required(
            &at.child("values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )),
        operator => errors.push(FieldError::invalid(
            &at.child("operator"),
            operator,
            "not a valid selector operator",
        )),
    }
    if requirement.key != "metadata.name" {
        let detail = "not a valid field selector key";
        errors.push(FieldError::invalid(&at.child("key"), &requirement.key, detail));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        check::format(
            errors,
            &at.child("values").index(index),
            value,
            names::dns_subdomain(value),
        );
    }
}

fn validate_pod_affinity(
    errors: &mut FieldErrors,
    at: &FieldPath,
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
) {
    for (index, term) in required.unwrap_or_default().iter().enumerate() {
        validate_pod_term(errors, &at.child(REQUIRED).index(index), term);
    }
    for (index, term) in preferred.unwrap_or_default().iter().enumerate() {
        let at = at.child(PREFERRED).index(index);
        validate_weight(errors, &at, term.weight);
        validate_pod_term(errors, &at.child("podAffinityTerm"), &term.pod_affinity_term);
    }
}

fn validate_pod_term(errors: &mut FieldErrors, at: &FieldPath, term: &PodAffinityTerm) {
    check::label_selector(errors, &at.child("labelSelector"), term.label_selector.as_ref());
    check::label_selector(
        errors,
        &at.child("namespaceSelector"),
        term.namespace_selector.as_ref(),
    );
    for name in term.namespaces.iter().flatten() {
        check::format(errors, &at.child("namespace"), name, names::dns_label(name));
    }
    let key_at = at.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(&key_at, "can not be empty"));
    }
    check::label_key(errors, &key_at, &term.topology_key);
    for (field, keys) in [
        ("matchLabelKeys", &term.match_label_keys),
        ("mismatchLabelKeys", &term.mismatch_label_keys),
    ] {
        for (index, key) in keys.iter().flatten().enumerate() {
            check::label_key(errors, &at.child(field).index(index), key);
        }
    }
}
