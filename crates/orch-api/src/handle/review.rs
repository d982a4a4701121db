//! Questions of who asks and what they may do (authentication.k8s.io, authorization.k8s.io), which `kubectl auth` asks; none is stored.
//!
//! Who may call this API at all may do everything in it, and is one user; there are no others.

use http::StatusCode;
use orch_cluster::webhooks::{GROUPS, USER};
use orch_core::client::ErrorSubject;
use orch_core::object::{FieldError, FieldErrors, FieldPath, ObjectKey, RawObject};
use serde_json::{Map, Value, json};

use super::Asked;
use crate::answer::{self, Answer};
use crate::fields::Mind;
use crate::input;
use crate::schema::{Schema, built_in};
use crate::status::Refused;

const ALLOWED: &str = "who may call this API may do everything in it";

/// Answers a review; of every kind that [`crate::unstored::UNSTORED`] has.
pub(super) fn review(asked: &Asked) -> Result<Answer, Refused> {
    let resource = &asked.served.resource;
    let (mut review, twice) = input::object(&asked.media_type, &asked.body)?;
    for (field, expected) in [
        ("apiVersion", &*resource.api_version()),
        ("kind", &*resource.kind),
    ] {
        match review.get(field).unwrap_or(&Value::Null) {
            Value::Null => {}
            given if given == expected => {}
            given => {
                return Err(Refused::bad_request(format!(
                    "{field}: expected {expected:?}, got {given}"
                )));
            }
        }
        review.insert(field.to_owned(), expected.into());
    }
    let schema = built_in(&resource.api_version(), &resource.kind).cloned();
    let mind = Mind::new(
        schema.unwrap_or_else(Schema::untyped),
        (&resource.api_version(), &resource.kind),
        asked.query.field_validation()?,
        twice,
    );
    mind.drop_unknown(&mut review)?;
    asked.query.dry_run()?;
    let null = Value::Null;
    let spec = review.get("spec").unwrap_or(&null);
    let namespace = asked.place.namespace.as_deref();
    let (status, errors) = match &*resource.kind {
        "SelfSubjectReview" => (
            json!({"userInfo": {"username": USER, "groups": GROUPS}}),
            FieldErrors::default(),
        ),
        "SelfSubjectRulesReview" => rules(spec)?,
        kind => access(kind, spec, namespace),
    };
    let mut errors = errors;
    errors.extend(wrong_metadata(&review, namespace));
    if !errors.is_empty() {
        let subject = ErrorSubject {
            resource: Box::new((**resource).clone()),
            key: ObjectKey::new(namespace, ""),
        };
        return Err(orch_core::client::ApiError::Invalid { subject, errors }.into());
    }
    review.insert("status".to_owned(), status);
    review
        .entry("metadata")
        .or_insert_with(|| json!({"creationTimestamp": null}));
    let mut answer = answer::value(StatusCode::CREATED, &review);
    answer::warn(&mut answer, &mind.warnings());
    Ok(answer)
}

/// Whether what is asked for may be done, and what is wrong with the question (`pkg/apis/authorization/validation`).
fn access(kind: &str, spec: &Value, namespace: Option<&str>) -> (Value, FieldErrors) {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("spec");
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    match (resource.is_object(), other.is_object()) {
        (true, true) => errors.push(FieldError::invalid(
            &at.child("nonResourceAttributes"),
            other.clone(),
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => errors.push(FieldError::invalid(
            &at.child("resourceAttributes"),
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if kind == "LocalSubjectAccessReview" {
        let given = resource["namespace"].as_str().unwrap_or_default();
        if resource.is_object() && Some(given) != namespace {
            let at = at.child("resourceAttributes").child("namespace");
            errors.push(FieldError::invalid(&at, given, "must match metadata.namespace"));
        }
        if other.is_object() {
            let at = at.child("nonResourceAttributes");
            let detail = "disallowed on this kind of request";
            errors.push(FieldError::invalid(&at, other.clone(), detail));
        }
    }
    if kind == "SelfSubjectAccessReview" {
        return (json!({"allowed": true, "reason": ALLOWED}), errors);
    }
    let user = spec["user"].as_str().unwrap_or_default();
    let groups = spec["groups"].as_array().map_or(&[][..], Vec::as_slice);
    if user.is_empty() && groups.is_empty() {
        let detail = "at least one of user or group must be specified";
        errors.push(FieldError::invalid(&at.child("user"), user, detail));
    }
    let status = if user == USER || groups.iter().any(|group| group == GROUPS[0]) {
        json!({"allowed": true, "reason": ALLOWED})
    } else {
        let reason = format!("there is no user but {USER:?}: {ALLOWED}");
        json!({"allowed": false, "reason": reason})
    };
    (status, errors)
}

/// All that may be done in a namespace.
fn rules(spec: &Value) -> Result<(Value, FieldErrors), Refused> {
    if spec["namespace"].as_str().unwrap_or_default().is_empty() {
        return Err(Refused::bad_request("no namespace on request"));
    }
    let status = json!({
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": false,
    });
    Ok((status, FieldErrors::default()))
}

/// A question has no metadata, but for the namespace that it is asked in.
fn wrong_metadata(review: &RawObject, namespace: Option<&str>) -> Option<FieldError> {
    let metadata = review.get("metadata")?.as_object()?;
    let is_allowed = |(field, value): (&String, &Value)| match field.as_str() {
        "namespace" => value.as_str() == namespace || *value == "",
        "managedFields" => true,
        _ => value.is_null() || *value == "" || *value == Value::Object(Map::new()),
    };
    (!metadata.iter().all(is_allowed)).then(|| {
        let given = Value::Object(metadata.clone());
        FieldError::invalid(&FieldPath::new("metadata"), given, "must be empty")
    })
}
