//! What is filled in of a policy, and what Kubernetes refuses of it.

use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, ParamKind, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec, Validation,
    Variable,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use super::{conditions, matching};
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, default_value};
use crate::policies::Rules;

/// How many annotations of the audit log there may be.
const MOST_ANNOTATIONS: usize = 20;
/// How long the expression of such an annotation may be, in bytes.
const LONGEST_ANNOTATION: usize = 5 * 1024;
/// The reasons that a refusal may have.
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
/// The words that CEL keeps for itself, which name no variable.
const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

pub(super) fn default(policy: &mut Raw) {
    let Some(spec) = child_mut(policy, "spec") else {
        return;
    };
    default_value(spec, "failurePolicy", "Fail");
    if let Some(constraints) = child_mut(spec, "matchConstraints") {
        matching::default(constraints);
    }
}

pub(super) fn validate(policy: &ValidatingAdmissionPolicy) -> FieldErrors {
    let mut errors = meta::validate(&policy.metadata, false, NameRule::Subdomain);
    let none = ValidatingAdmissionPolicySpec::default();
    let spec = policy.spec.as_ref().unwrap_or(&none);
    let at = FieldPath::new("spec");
    let failure = spec.failure_policy.as_deref();
    check::one_of(
        &mut errors,
        &at.child("failurePolicy"),
        failure,
        &["Fail", "Ignore"],
    );
    if let Some(kind) = &spec.param_kind {
        param_kind(&mut errors, &at.child("paramKind"), kind);
    }
    let constraints_at = at.child("matchConstraints");
    match &spec.match_constraints {
        None => errors.push(FieldError::required(&constraints_at, "")),
        Some(constraints) => {
            matching::validate(&mut errors, &constraints_at, constraints);
            if constraints.resource_rules.as_ref().is_none_or(Vec::is_empty) {
                errors.push(FieldError::required(&constraints_at.child("resourceRules"), ""));
            }
        }
    }
    let conditions = spec.match_conditions.as_deref().unwrap_or_default();
    conditions::validate(&mut errors, &at.child("matchConditions"), conditions);
    for (index, variable) in spec.variables.iter().flatten().enumerate() {
        validate_variable(&mut errors, &at.child("variables").index(index), variable);
    }
    let validations = spec.validations.as_deref().unwrap_or_default();
    let annotations = spec.audit_annotations.as_deref().unwrap_or_default();
    if validations.is_empty() && annotations.is_empty() {
        for field in ["validations", "auditAnnotations"] {
            let detail = "validations or auditAnnotations must contain at least one item";
            errors.push(FieldError::required(&at.child(field), detail));
        }
    }
    for (index, validation) in validations.iter().enumerate() {
        validate_validation(&mut errors, &at.child("validations").index(index), validation);
    }
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    audit_annotations(&mut errors, &at.child("auditAnnotations"), name, annotations);
    errors.extend(Rules::read(spec).err().into_iter().flatten());
    errors
}

fn param_kind(errors: &mut FieldErrors, at: &FieldPath, param: &ParamKind) {
    let version_at = at.child("apiVersion");
    let api_version = param.api_version.as_deref().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if api_version.is_empty() {
        errors.push(FieldError::required(&version_at, ""));
    } else if version.contains('/') {
        let detail = format!("unexpected GroupVersion string: {api_version}");
        errors.push(FieldError::invalid(&version_at, api_version, detail));
    } else {
        let wrong = names::dns_subdomain(group);
        if !group.is_empty() && !wrong.is_empty() {
            errors.push(FieldError::invalid(&version_at, group, wrong.join(",")));
        }
        let wrong = names::dns1035_label(version);
        if version.is_empty() {
            let detail = "version must be specified";
            errors.push(FieldError::invalid(&version_at, api_version, detail));
        } else if !wrong.is_empty() {
            errors.push(FieldError::invalid(&version_at, version, wrong.join(",")));
        }
    }
    let kind = param.kind.as_deref().unwrap_or_default();
    let wrong = names::dns1035_label(&kind.to_lowercase());
    if kind.is_empty() {
        errors.push(FieldError::required(&at.child("kind"), ""));
    } else if !wrong.is_empty() {
        let detail = format!(
            "may have mixed case, but should otherwise match: {}",
            wrong.join(",")
        );
        errors.push(FieldError::invalid(&at.child("kind"), kind, detail));
    }
}

fn validate_variable(errors: &mut FieldErrors, at: &FieldPath, variable: &Variable) {
    let name_at = at.child("name");
    if variable.name.trim().is_empty() {
        errors.push(FieldError::required(&name_at, "name is not specified"));
    } else if !is_identifier(&variable.name) {
        let detail = "name is not a valid CEL identifier";
        errors.push(FieldError::invalid(&name_at, &variable.name, detail));
    }
    if variable.expression.trim().is_empty() {
        let detail = "expression is not specified";
        errors.push(FieldError::required(&at.child("expression"), detail));
    }
}

fn is_identifier(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(is_word)
        && !RESERVED.contains(&name)
}

fn validate_validation(errors: &mut FieldErrors, at: &FieldPath, validation: &Validation) {
    if validation.expression.trim().is_empty() {
        let detail = "expression is not specified";
        errors.push(FieldError::required(&at.child("expression"), detail));
    }
    for (field, text, detail) in [
        (
            "messageExpression",
            &validation.message_expression,
            "must be non-empty if specified",
        ),
        (
            "message",
            &validation.message,
            "message must be non-empty if specified",
        ),
    ] {
        if let Some(text) = text
            && !text.is_empty()
            && text.trim().is_empty()
        {
            errors.push(FieldError::invalid(&at.child(field), text, detail));
        }
    }
    if let Some(message) = &validation.message
        && message.trim().contains(['\n', '\r'])
    {
        let detail = "message must not contain line breaks";
        errors.push(FieldError::invalid(&at.child("message"), message, detail));
    }
    let reason = validation.reason.as_deref();
    check::optional_one_of(errors, &at.child("reason"), reason, &REASONS);
}

fn audit_annotations(
    errors: &mut FieldErrors,
    at: &FieldPath,
    policy: &str,
    annotations: &[AuditAnnotation],
) {
    if annotations.len() > MOST_ANNOTATIONS {
        let detail = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        errors.push(FieldError::invalid(at, annotations, detail));
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let at = at.index(index);
        let key = &annotation.key;
        if policy.is_empty() {
            let detail = "requires metadata.name be non-empty";
            errors.push(FieldError::invalid(&at.child("key"), key, detail));
        } else {
            check::label_key(errors, &at.child("key"), &format!("{policy}/{key}"));
        }
        let expression = annotation.value_expression.trim();
        let value_at = at.child("valueExpression");
        if expression.is_empty() {
            errors.push(FieldError::required(
                &value_at,
                "valueExpression is not specified",
            ));
        } else if expression.len() > LONGEST_ANNOTATION {
            let detail = format!("must not exceed {LONGEST_ANNOTATION} bytes in length");
            errors.push(FieldError::required(&value_at, detail));
        }
        if annotations[..index].iter().any(|other| other.key == *key) {
            errors.push(FieldError::duplicate(&at.child("key"), key));
        }
    }
}
