//! Which indexes of a Job must succeed for it to be done (KEP-3998).

use k8s_openapi::api::batch::v1::{SuccessPolicy, SuccessPolicyRule};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::indexes;
use crate::kinds::check;

const MAX_RULES: usize = 20;
/// The longest text of indexes, in bytes.
const MAX_INDEXES: usize = 64 * 1024;

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, policy: &SuccessPolicy, completions: i32) {
    let at = at.child("rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(&at, detail));
    }
    if policy.rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(&at, policy.rules.len(), MAX_RULES));
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        validate_rule(errors, &at.index(index), rule, completions);
    }
}

fn validate_rule(errors: &mut FieldErrors, at: &FieldPath, rule: &SuccessPolicyRule, completions: i32) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(at, detail));
    }
    let mut total = None;
    if let Some(text) = &rule.succeeded_indexes {
        let at = at.child("succeededIndexes");
        if text.len() > MAX_INDEXES {
            errors.push(FieldError::too_long(&at, MAX_INDEXES));
        }
        match indexes::count(text, completions) {
            Ok(count) => total = Some(count),
            Err(wrong) => {
                total = Some(0);
                let detail = format!("error parsing succeededIndexes: {wrong}");
                errors.push(FieldError::invalid(&at, text, detail));
            }
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let at = at.child("succeededCount");
    check::non_negative(errors, &at, i64::from(count));
    for (limit, what) in [
        (
            Some(i64::from(completions)),
            "the number of specified completions",
        ),
        (
            total,
            "the number of indexes in the specified succeededIndexes field",
        ),
    ] {
        if let Some(limit) = limit.filter(|limit| i64::from(count) > *limit) {
            let detail = format!("must be less than or equal to {limit} ({what})");
            errors.push(FieldError::invalid(&at, count, detail));
        }
    }
}
