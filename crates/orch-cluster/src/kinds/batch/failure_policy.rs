//! What a Job does about pods that failed, by their exit codes and conditions (KEP-3329).

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const MAX_RULES: usize = 20;
const MAX_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, policy: &PodFailurePolicy, spec: &JobSpec) {
    let at = at.child("rules");
    if policy.rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&at, policy.rules.len(), MAX_RULES));
    }
    let pod = spec.template.spec.as_ref();
    let containers = pod.into_iter().flat_map(|pod| {
        let init = pod.init_containers.iter().flatten();
        pod.containers.iter().chain(init)
    });
    let names: BTreeSet<_> = containers.map(|container| container.name.as_str()).collect();
    for (index, rule) in policy.rules.iter().enumerate() {
        validate_rule(errors, &at.index(index), rule, spec, &names);
    }
}

fn validate_rule(
    errors: &mut FieldErrors,
    at: &FieldPath,
    rule: &PodFailurePolicyRule,
    spec: &JobSpec,
    containers: &BTreeSet<&str>,
) {
    let action_at = at.child("action");
    one_of(errors, &action_at, &rule.action, &ACTIONS);
    if rule.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        let detail = "requires the backoffLimitPerIndex to be set";
        errors.push(FieldError::invalid(&action_at, &rule.action, detail));
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        validate_codes(errors, &at.child("onExitCodes"), codes, containers);
    }
    validate_patterns(errors, &at.child("onPodConditions"), patterns);
    match (rule.on_exit_codes.is_some(), !patterns.is_empty()) {
        (true, true) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.push(FieldError::invalid_whole(at, detail));
        }
        (false, false) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.push(FieldError::invalid_whole(at, detail));
        }
        _ => {}
    }
}

fn validate_patterns(
    errors: &mut FieldErrors,
    at: &FieldPath,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
) {
    if patterns.len() > MAX_PATTERNS {
        errors.push(FieldError::too_many(at, patterns.len(), MAX_PATTERNS));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let at = at.index(index);
        check::label_key(errors, &at.child("type"), &pattern.type_);
        let status = check::given::<String>(&pattern.status).map_or("", String::as_str);
        one_of(errors, &at.child("status"), status, &["False", "True", "Unknown"]);
    }
}

fn validate_codes(
    errors: &mut FieldErrors,
    at: &FieldPath,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    containers: &BTreeSet<&str>,
) {
    one_of(errors, &at.child("operator"), &codes.operator, &["In", "NotIn"]);
    if let Some(name) = &codes.container_name
        && !containers.contains(name.as_str())
    {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(&at.child("containerName"), name, detail));
    }
    let at = at.child("values");
    if codes.values.is_empty() {
        errors.push(FieldError::invalid(
            &at,
            &codes.values,
            "at least one value is required",
        ));
    } else if codes.values.len() > MAX_CODES {
        errors.push(FieldError::too_many(&at, codes.values.len(), MAX_CODES));
    }
    let mut seen = BTreeSet::new();
    for (index, code) in codes.values.iter().enumerate() {
        let at = at.index(index);
        if *code == 0 && codes.operator == "In" {
            errors.push(FieldError::invalid(
                &at,
                code,
                "must not be 0 for the In operator",
            ));
        }
        if !seen.insert(code) {
            errors.push(FieldError::duplicate(&at, code));
        }
    }
    if !codes.values.is_sorted() {
        errors.push(FieldError::invalid(&at, &codes.values, "must be ordered"));
    }
}

/// A word that must be given, of a few, which are told where it is not.
fn one_of(errors: &mut FieldErrors, at: &FieldPath, value: &str, allowed: &[&str]) {
    if value.is_empty() {
        let allowed: Vec<_> = allowed.iter().map(|word| format!("{word:?}")).collect();
        errors.push(FieldError::required(
            at,
            format!("valid values: [{}]", allowed.join(" ")),
        ));
    } else {
        check::optional_one_of(errors, at, Some(value), allowed);
    }
}
