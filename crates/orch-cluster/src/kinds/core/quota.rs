//! ResourceQuotas: their defaults, and what Kubernetes refuses of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, ScopedResourceSelectorRequirement,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod::resource::{validate_name, validate_quantity};
use crate::kinds::raw::{Raw, child_mut, quantities_as_text};

/// The pods that a quota may be for.
const SCOPES: [&str; 6] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
];

/// Scopes of which no pod is in both.
const OPPOSITE: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

/// The resources of pods that may be bounded for some of them alone, besides their number.
const OF_PODS: [&str; 6] = [
    "cpu",
    "limits.cpu",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.memory",
];

/// Writes its amounts as Kubernetes stores them.
pub(super) fn default(quota: &mut Raw) {
    for (part, list) in [("spec", "hard"), ("status", "hard"), ("status", "used")] {
        if let Some(part) = child_mut(quota, part) {
            quantities_as_text(part, list);
        }
    }
}

pub(super) fn validate(quota: &ResourceQuota) -> FieldErrors {
    let mut errors = meta::validate(&quota.metadata, true, NameRule::Subdomain);
    if let Some(spec) = &quota.spec {
        let at = FieldPath::new("spec");
        validate_amounts(&mut errors, &at.child("hard"), spec.hard.as_ref());
        validate_scopes(&mut errors, &at.child("scopes"), spec);
        validate_selector(&mut errors, &at.child("scopeSelector"), spec);
    }
    errors
}

/// Validates a ResourceQuota that replaces `old`: it stays for the same pods.
pub(super) fn validate_update(new: &ResourceQuota, old: &ResourceQuota) -> FieldErrors {
    let mut errors = validate(new);
    let scopes = |quota: &ResourceQuota| {
        let spec = quota.spec.clone().unwrap_or_default();
        spec.scopes.unwrap_or_default()
    };
    let (new, old) = (scopes(new), scopes(old));
    if new.iter().collect::<BTreeSet<_>>() != old.iter().collect::<BTreeSet<_>>() {
        let at = FieldPath::new("spec").child("scopes");
        errors.push(FieldError::invalid(&at, new, check::IMMUTABLE));
    }
    errors
}

pub(super) fn validate_status(status: &ResourceQuotaStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    validate_amounts(&mut errors, &at.child("hard"), status.hard.as_ref());
    validate_amounts(&mut errors, &at.child("used"), status.used.as_ref());
    errors
}

fn validate_amounts(errors: &mut FieldErrors, at: &FieldPath, amounts: Option<&BTreeMap<String, Quantity>>) {
    for (name, amount) in amounts.into_iter().flatten() {
        let at = at.key(name.clone());
        let before = errors.len();
        validate_name(errors, &at, name);
        // Of the known ones `storage` alone is no quota's: that is `requests.storage`.
        if !name.contains('/') && (errors.len() > before || name == "storage") {
            let detail = "must be a standard resource for quota";
            errors.push(FieldError::invalid(&at, name, detail));
        }
        validate_quantity(errors, &at, name, &amount.0);
    }
}

fn validate_scopes(errors: &mut FieldErrors, at: &FieldPath, spec: &ResourceQuotaSpec) {
    let scopes = spec.scopes.as_deref().unwrap_or_default();
    let mut refuse = |detail| errors.push(FieldError::invalid(at, scopes, detail));
    for scope in scopes {
        if !SCOPES.contains(&scope.as_str()) {
            refuse("unsupported scope");
        }
        for _ in spec.hard.iter().flat_map(|hard| unscoped(scope, hard)) {
            refuse("unsupported scope applied to resource");
        }
    }
    if are_opposite(scopes.iter().map(String::as_str)) {
        refuse("conflicting scopes");
    }
}

fn validate_selector(errors: &mut FieldErrors, at: &FieldPath, spec: &ResourceQuotaSpec) {
    let Some(selector) = &spec.scope_selector else {
        return;
    };
    let at = at.child("matchExpressions");
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    for expression in expressions {
        let scope = &expression.scope_name;
        if !SCOPES.contains(&scope.as_str()) {
            let at = at.child("scopeName");
            errors.push(FieldError::invalid(&at, scope, "unsupported scope"));
        }
        for _ in spec.hard.iter().flat_map(|hard| unscoped(scope, hard)) {
            let detail = "unsupported scope applied to resource";
            errors.push(FieldError::invalid(&at, selector, detail));
        }
        validate_expression(errors, &at, expression);
    }
    if are_opposite(expressions.iter().map(|one| one.scope_name.as_str())) {
        errors.push(FieldError::invalid(&at, &spec.scopes, "conflicting scopes"));
    }
}

fn validate_expression(
    errors: &mut FieldErrors,
    at: &FieldPath,
    expression: &ScopedResourceSelectorRequirement,
) {
    let (scope, operator) = (expression.scope_name.as_str(), expression.operator.as_str());
    let values = expression.values.as_deref().unwrap_or_default();
    let operator_at = at.child("operator");
    if SCOPES.contains(&scope) && scope != "PriorityClass" && operator != "Exists" {
        let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                      ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(FieldError::invalid(&operator_at, operator, detail));
    }
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(&at.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(&at.child("values"), values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => {
            let detail = "not a valid selector operator";
            errors.push(FieldError::invalid(&operator_at, operator, detail));
        }
    }
}

/// The resources of which a quota cannot say how much the pods of a scope may use.
fn unscoped<'a>(scope: &'a str, hard: &'a BTreeMap<String, Quantity>) -> impl Iterator<Item = &'a str> {
    let is_scoped = move |name: &str| match scope {
        // Such pods ask for nothing that could be counted.
        "BestEffort" => name == "pods",
        scope if SCOPES.contains(&scope) => name == "pods" || OF_PODS.contains(&name),
        _ => true,
    };
    let names = hard.keys().map(String::as_str);
    // Others are not known to be of pods or of anything else.
    names.filter(move |name| !name.contains('/') && !is_scoped(name))
}

fn are_opposite<'a>(scopes: impl Iterator<Item = &'a str>) -> bool {
    let scopes: BTreeSet<&str> = scopes.collect();
    OPPOSITE
        .iter()
        .any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
}
