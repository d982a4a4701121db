//! Roles and ClusterRoles: what Kubernetes refuses of them. They have no defaults.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};

pub(super) fn validate(role: &Role) -> FieldErrors {
    let mut errors = meta::validate(&role.metadata, true, NameRule::PathSegment);
    validate_rules(&mut errors, role.rules.as_deref(), true);
    errors
}

pub(super) fn validate_cluster(role: &ClusterRole) -> FieldErrors {
    let mut errors = meta::validate(&role.metadata, false, NameRule::PathSegment);
    validate_rules(&mut errors, role.rules.as_deref(), false);
    if let Some(aggregation) = &role.aggregation_rule {
        let at = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(FieldError::required(&at, detail));
        }
        for (index, selector) in selectors.iter().enumerate() {
            check::label_selector(&mut errors, &at.index(index), Some(selector));
        }
    }
    errors
}

fn validate_rules(errors: &mut FieldErrors, rules: Option<&[PolicyRule]>, is_namespaced: bool) {
    for (index, rule) in rules.unwrap_or_default().iter().enumerate() {
        validate_rule(errors, &FieldPath::new("rules").index(index), rule, is_namespaced);
    }
}

fn validate_rule(errors: &mut FieldErrors, at: &FieldPath, rule: &PolicyRule, is_namespaced: bool) {
    let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if rule.verbs.is_empty() {
        let detail = "verbs must contain at least one value";
        errors.push(FieldError::required(&at.child("verbs"), detail));
    }
    if let Some(urls) = rule.non_resource_urls.as_ref().filter(|urls| !urls.is_empty()) {
        let at = at.child("nonResourceURLs");
        if is_namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(&at, urls, detail));
        }
        if !is_empty(&rule.api_groups) || !is_empty(&rule.resources) || !is_empty(&rule.resource_names) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&at, urls, detail));
        }
        return;
    }
    if is_empty(&rule.api_groups) {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(&at.child("apiGroups"), detail));
    }
    if is_empty(&rule.resources) {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(&at.child("resources"), detail));
    }
}
