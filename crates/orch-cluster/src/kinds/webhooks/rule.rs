//! What Kubernetes refuses of a rule, which says the writes that a webhook or a policy is asked about.

use std::collections::HashSet;

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use crate::kinds::check;
use crate::kinds::raw::Raw;

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// The most warnings of one configuration.
const MOST_TOLD: usize = 20;
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

pub(in crate::kinds) fn validate(errors: &mut FieldErrors, at: &FieldPath, rule: &RuleWithOperations) {
    let operations = rule.operations.as_deref().unwrap_or_default();
    let operations_at = at.child("operations");
    list(errors, &operations_at, operations, "operations");
    for (index, operation) in operations.iter().enumerate() {
        check::optional_one_of(errors, &operations_at.index(index), Some(operation), &OPERATIONS);
    }
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    list(errors, &at.child("apiGroups"), groups, "API groups");
    let versions = rule.api_versions.as_deref().unwrap_or_default();
    let versions_at = at.child("apiVersions");
    list(errors, &versions_at, versions, "API versions");
    given(errors, &versions_at, versions);
    resources(
        errors,
        &at.child("resources"),
        rule.resources.as_deref().unwrap_or_default(),
    );
    check::optional_one_of(errors, &at.child("scope"), rule.scope.as_deref(), &SCOPES);
}

/// A list that must be given, and in which `*` stands alone.
fn list(errors: &mut FieldErrors, at: &FieldPath, items: &[String], what: &str) {
    if items.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    if items.len() > 1 && items.iter().any(|item| item == "*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(FieldError::invalid(at, items, detail));
    }
}

/// None of the items may be empty.
fn given(errors: &mut FieldErrors, at: &FieldPath, items: &[String]) {
    for (index, _) in items.iter().enumerate().filter(|(_, item)| item.is_empty()) {
        errors.push(FieldError::required(&at.index(index), ""));
    }
}

/// Resources with their subresources (`pods/status`); neither may be said twice, by name and by `*`.
fn resources(errors: &mut FieldErrors, at: &FieldPath, resources: &[String]) {
    if resources.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    given(errors, at, resources);
    let has = |wanted: &str| resources.iter().any(|resource| resource == wanted);
    let mut before = HashSet::new();
    for (index, entry) in resources.iter().enumerate() {
        if let Some((resource, subresource)) = entry.split_once('/') {
            for other in [format!("{resource}/*"), format!("*/{subresource}")] {
                if before.contains(&*other) {
                    let detail = format!("if '{other}' is present, must not specify {entry}");
                    errors.push(FieldError::invalid(&at.index(index), entry, detail));
                }
            }
        }
        before.insert(entry.as_str());
    }
    if resources.len() > 1 && has("*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(at, resources, detail));
    }
    // Kubernetes looks at the last entry that has no subresource alone; that is taken over.
    let whole = resources
        .iter()
        .rfind(|entry| !entry.is_empty() && !entry.contains('/'));
    if has("*") && whole.is_some_and(|last| last != "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(at, resources, detail));
    }
}

/// Says which rules no write matches that webhooks are asked about here, though Kubernetes would ask about others.
pub(super) fn warnings(configuration: &Raw) -> Vec<String> {
    let of = |owner: &Value, list: &str| -> Vec<String> {
        let items = owner[list].as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let webhooks = configuration.get("webhooks").and_then(Value::as_array);
    let mut told = Vec::new();
    for (index, webhook) in webhooks.into_iter().flatten().enumerate() {
        let rules = webhook["rules"].as_array().into_iter().flatten();
        for (rule_index, rule) in rules.enumerate() {
            let at = format!("webhooks[{index}].rules[{rule_index}]");
            for resource in of(rule, "resources") {
                let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
                if subresource.is_some_and(|subresource| subresource != "*") {
                    told.push(format!(
                        "{at}: {resource:?} is never asked about: webhooks see whole objects here, not subresources"
                    ));
                }
            }
            if of(rule, "operations")
                .iter()
                .any(|operation| operation == "CONNECT")
            {
                told.push(format!("{at}: CONNECT is never asked about here"));
            }
        }
    }
    told.truncate(MOST_TOLD);
    told
}
