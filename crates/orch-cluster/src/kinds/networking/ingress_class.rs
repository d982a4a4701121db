//! IngressClasses: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, default_value};

/// The longest name of a controller.
const CONTROLLER_LIMIT: usize = 250;

/// Fills an IngressClass: its parameters are in no namespace.
pub(super) fn default(class: &mut Raw) {
    if let Some(parameters) = child_mut(class, "spec").and_then(|spec| child_mut(spec, "parameters")) {
        default_value(parameters, "scope", "Cluster");
    }
}

pub(super) fn validate(class: &IngressClass) -> FieldErrors {
    let mut errors = meta::validate(&class.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let controller = controller(class).unwrap_or_default();
    let controller_at = at.child("controller");
    if controller.len() > CONTROLLER_LIMIT {
        errors.push(FieldError::too_long(&controller_at, CONTROLLER_LIMIT));
    }
    check::domain_prefixed_path(&mut errors, &controller_at, controller);
    if let Some(parameters) = class.spec.as_ref().and_then(|spec| spec.parameters.as_ref()) {
        validate_parameters(&mut errors, &at.child("parameters"), parameters);
    }
    errors
}

/// Validates an IngressClass that replaces `old`: its controller stays.
pub(super) fn validate_update(new: &IngressClass, old: &IngressClass) -> FieldErrors {
    let mut errors = validate(new);
    let at = FieldPath::new("spec").child("controller");
    check::immutable(&mut errors, &at, &controller(new), &controller(old));
    errors
}

fn controller(class: &IngressClass) -> Option<&str> {
    class.spec.as_ref()?.controller.as_deref()
}

fn validate_parameters(
    errors: &mut FieldErrors,
    at: &FieldPath,
    parameters: &IngressClassParametersReference,
) {
    if let Some(group) = &parameters.api_group {
        check::format(errors, &at.child("apiGroup"), group, names::dns_subdomain(group));
    }
    for (field, value) in [("kind", &parameters.kind), ("name", &parameters.name)] {
        check::required_name(errors, &at.child(field), value, names::path_segment);
    }
    let scope = parameters.scope.as_deref();
    check::one_of(errors, &at.child("scope"), scope, &["Cluster", "Namespace"]);
    let namespace_at = at.child("namespace");
    match (scope, &parameters.namespace) {
        (Some("Namespace"), None) => {
            let detail = "`parameters.scope` is set to 'Namespace'";
            errors.push(FieldError::required(&namespace_at, detail));
        }
        (Some("Namespace"), Some(namespace)) => {
            check::format(errors, &namespace_at, namespace, names::dns_label(namespace));
        }
        (Some("Cluster"), Some(_)) => {
            let detail = "`parameters.scope` is set to 'Cluster'";
            errors.push(FieldError::forbidden(&namespace_at, detail));
        }
        _ => {}
    }
}
