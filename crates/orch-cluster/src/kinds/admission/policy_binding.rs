//! What is filled in of a policy's binding, and what Kubernetes refuses of it.

use k8s_openapi::api::admissionregistration::v1::{ParamRef, ValidatingAdmissionPolicyBinding};
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use super::matching;
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut};

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

pub(super) fn default(binding: &mut Raw) {
    let spec = child_mut(binding, "spec");
    if let Some(resources) = spec.and_then(|spec| child_mut(spec, "matchResources")) {
        matching::default(resources);
    }
}

pub(super) fn validate(binding: &ValidatingAdmissionPolicyBinding) -> FieldErrors {
    let mut errors = meta::validate(&binding.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let policy = &binding.spec.policy_name;
    check::required_name(&mut errors, &at.child("policyName"), policy, names::dns_subdomain);
    if let Some(reference) = &binding.spec.param_ref {
        param_ref(&mut errors, &at.child("paramRef"), reference);
    }
    if let Some(resources) = &binding.spec.match_resources {
        matching::validate(&mut errors, &at.child("matchResources"), resources);
    }
    let actions = &binding.spec.validation_actions;
    validation_actions(&mut errors, &at.child("validationActions"), actions);
    errors
}

fn param_ref(errors: &mut FieldErrors, at: &FieldPath, reference: &ParamRef) {
    let name = reference.name.as_deref().unwrap_or_default();
    if !name.is_empty() {
        check::format(errors, &at.child("name"), name, names::path_segment(name));
    }
    check::label_selector(errors, &at.child("selector"), reference.selector.as_ref());
    match (name.is_empty(), reference.selector.is_some()) {
        (false, true) => {
            for field in ["name", "selector"] {
                let detail = "name and selector are mutually exclusive";
                errors.push(FieldError::forbidden(&at.child(field), detail));
            }
        }
        (true, false) => {
            let detail = "one of name or selector must be specified";
            errors.push(FieldError::required(at, detail));
        }
        _ => {}
    }
    let action = reference.parameter_not_found_action.as_deref();
    check::one_of(
        errors,
        &at.child("parameterNotFoundAction"),
        action,
        &["Deny", "Allow"],
    );
}

fn validation_actions(errors: &mut FieldErrors, at: &FieldPath, actions: &[String]) {
    for (index, action) in actions.iter().enumerate() {
        check::optional_one_of(errors, &at.index(index), Some(action), &ACTIONS);
        if actions[..index].contains(action) {
            errors.push(FieldError::duplicate(&at.index(index), action));
        }
    }
    let has = |wanted: &str| actions.iter().any(|action| action == wanted);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API \
                      response and headers serves no purpose)";
        errors.push(FieldError::invalid(at, actions, detail));
    }
    if actions.is_empty() {
        errors.push(FieldError::required(
            at,
            "at least one validation action is required",
        ));
    }
}
