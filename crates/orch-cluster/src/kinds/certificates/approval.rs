//! What becomes of a request for a certificate: who approves it writes conditions, who signs it the certificate.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequestCondition as Condition, CertificateSigningRequestStatus as Status,
};
use orch_core::client::{SubresourceWrite, Wanted};
use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, Members};
use serde_json::{Value, json};

use super::pem;
use crate::kinds::check;
use crate::kinds::raw::{default_value, is_unset, text};

/// The decisions, each of which stands.
const FINAL: [&str; 3] = ["Approved", "Denied", "Failed"];
/// Those that the subresource `approval` alone writes.
const OF_APPROVAL: [&str; 2] = ["Approved", "Denied"];

/// Writes the subresource `approval`: the conditions, and nothing else.
pub(super) fn approve(wanted: Wanted<'_>, old: &Document) -> SubresourceWrite {
    let before = status_of(old).conditions.unwrap_or_default();
    let mut given = wanted.value("status.conditions", old);
    stamp(&mut given, &before);
    let conditions: Option<Vec<Condition>> = serde_json::from_value(given.clone())
        .map_err(|error| FieldError::malformed(&conditions_at(), error.to_string()))?;
    let conditions = conditions.unwrap_or_default();
    let mut errors = FieldErrors::default();
    validate_conditions(&mut errors, &conditions, &before);
    errors.into_result()?;
    if conditions == before {
        return Ok(Vec::new());
    }
    let broken = |error: orch_core::object::DocumentError| {
        FieldError::invalid(&FieldPath::new("status"), "", error.to_string())
    };
    let status = Members::parse(old.field("status").unwrap_or("{}")).map_err(broken)?;
    let status = status.with("conditions", &given).map_err(broken)?;
    Ok(vec![("status", status)])
}

/// Validates a status that is to replace that of `old`: a certificate comes once, and no decision with it.
pub(super) fn validate_status(status: &Status, old: &Document) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let before = status_of(old);
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let old_conditions = before.conditions.as_deref().unwrap_or_default();
    validate_conditions(&mut errors, conditions, old_conditions);
    for type_ in OF_APPROVAL {
        let (new, old) = (of(conditions, type_), of(old_conditions, type_));
        let what = match new.len().cmp(&old.len()) {
            std::cmp::Ordering::Less => continue, // said already
            std::cmp::Ordering::Greater => "add",
            std::cmp::Ordering::Equal if new == old => continue,
            std::cmp::Ordering::Equal => "modify",
        };
        let detail = format!("updates may not {what} a condition of type {type_:?}");
        errors.push(FieldError::forbidden(&conditions_at(), detail));
    }
    let at = FieldPath::new("status").child("certificate");
    let bytes = |status: &Status| status.certificate.clone().unwrap_or_default().0;
    let (new, old) = (bytes(status), bytes(&before));
    if new != old && !old.is_empty() {
        let detail = "updates may not modify existing certificate content";
        errors.push(FieldError::forbidden(&at, detail));
    } else if new != old
        && let Err(wrong) = pem::check_certificates(&new)
    {
        errors.push(FieldError::invalid(&at, "<certificate data>", wrong));
    }
    errors
}

fn status_of(request: &Document) -> Status {
    let status = request.lookup("status");
    status
        .and_then(|status| serde_json::from_value(status).ok())
        .unwrap_or_default()
}

fn conditions_at() -> FieldPath {
    FieldPath::new("status").child("conditions")
}

/// Says of each condition when it was written, and since when it is so, if that was not sent.
fn stamp(conditions: &mut Value, before: &[Condition]) {
    let now = orch_core::time::now().as_second();
    let now = Timestamp::from_second(now).map_or(Value::Null, |now| json!(now));
    let conditions = conditions.as_array_mut().into_iter().flatten();
    let before = before.iter().map(|old| ((&*old.type_, &*old.status), old));
    let before: HashMap<_, _> = before.rev().collect(); // of two alike the first counts
    for condition in conditions.filter_map(Value::as_object_mut) {
        default_value(condition, "lastUpdateTime", now.clone());
        if is_unset(condition, "lastTransitionTime") {
            let since = before.get(&(text(condition, "type"), text(condition, "status")));
            let since = since.and_then(|old| old.last_transition_time.as_ref());
            let since = since.map_or_else(|| now.clone(), |since| json!(since));
            condition.insert("lastTransitionTime".to_owned(), since);
        }
    }
}

fn of<'a>(conditions: &'a [Condition], type_: &str) -> Vec<&'a Condition> {
    conditions.iter().filter(|one| one.type_ == type_).collect()
}

fn validate_conditions(errors: &mut FieldErrors, conditions: &[Condition], before: &[Condition]) {
    let mut seen = HashSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let at = conditions_at().index(index);
        let type_at = at.child("type");
        let type_ = condition.type_.as_str();
        if type_.is_empty() {
            errors.push(FieldError::required(&type_at, ""));
        }
        let allowed: &[&str] = match FINAL.contains(&type_) {
            true => &["True"],
            false => &["False", "True", "Unknown"],
        };
        check::one_of(errors, &at.child("status"), Some(&condition.status), allowed);
        let is_other_decision = |other: &&str| *other != type_ && seen.contains(*other);
        if OF_APPROVAL.contains(&type_) && OF_APPROVAL.iter().any(is_other_decision) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(&type_at, type_, detail));
        }
        if !seen.insert(type_) {
            errors.push(FieldError::duplicate(&type_at, type_));
        }
    }
    for type_ in FINAL {
        if of(conditions, type_).len() < of(before, type_).len() {
            let detail = format!("updates may not remove a condition of type {type_:?}");
            errors.push(FieldError::forbidden(&conditions_at(), detail));
        }
    }
}
