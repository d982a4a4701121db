//! What Kubernetes refuses of conditions that a write must meet, but for what their expressions say.

use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use crate::kinds::check;

/// How many there may be.
const MOST: usize = 64;

pub(in crate::kinds) fn validate(errors: &mut FieldErrors, at: &FieldPath, conditions: &[MatchCondition]) {
    if conditions.len() > MOST {
        errors.push(FieldError::too_many(at, conditions.len(), MOST));
    }
    for (index, condition) in conditions.iter().enumerate() {
        let at = at.index(index);
        if condition.expression.trim().is_empty() {
            errors.push(FieldError::required(&at.child("expression"), ""));
        }
        let name = &condition.name;
        check::required_name(errors, &at.child("name"), name, names::qualified_name);
        if !name.is_empty() && conditions[..index].iter().any(|other| other.name == *name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
    }
}
