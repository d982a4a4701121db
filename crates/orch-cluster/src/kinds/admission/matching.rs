//! Which writes a policy or a binding is about: what is filled in, and what Kubernetes refuses.

use k8s_openapi::api::admissionregistration::v1::{MatchResources, NamedRuleWithOperations};
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};
use serde_json::json;

use crate::admission::unnamed;
use crate::kinds::check;
use crate::kinds::raw::{Raw, default_value, items_mut};
use crate::kinds::webhooks::rule;

pub(super) fn default(resources: &mut Raw) {
    default_value(resources, "matchPolicy", "Equivalent");
    default_value(resources, "namespaceSelector", json!({}));
    default_value(resources, "objectSelector", json!({}));
    for field in ["resourceRules", "excludeResourceRules"] {
        for rule in items_mut(resources, field) {
            default_value(rule, "scope", "*");
        }
    }
}

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, resources: &MatchResources) {
    let policy = resources.match_policy.as_deref();
    check::optional_one_of(errors, &at.child("matchPolicy"), policy, &["Equivalent", "Exact"]);
    for (field, selector) in [
        ("namespaceSelector", &resources.namespace_selector),
        ("objectSelector", &resources.object_selector),
    ] {
        check::label_selector(errors, &at.child(field), selector.as_ref());
    }
    for (field, rules) in [
        ("resourceRules", &resources.resource_rules),
        ("excludeResourceRules", &resources.exclude_resource_rules),
    ] {
        for (index, named) in rules.iter().flatten().enumerate() {
            named_rule(errors, &at.child(field).index(index), named);
        }
    }
}

fn named_rule(errors: &mut FieldErrors, at: &FieldPath, named: &NamedRuleWithOperations) {
    let resource_names = named.resource_names.as_deref().unwrap_or_default();
    for (index, name) in resource_names.iter().enumerate() {
        let at = at.child("resourceNames").index(index);
        check::format(errors, &at, name, names::path_segment(name));
        if resource_names[..index].contains(name) {
            errors.push(FieldError::duplicate(&at, name));
        }
    }
    rule::validate(errors, at, &unnamed(named));
}
