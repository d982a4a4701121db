//! Objects of other kinds inside of one (`x-kubernetes-embedded-resource`; apiextensions' `objectmeta`).

use orch_core::object::metadata::{self, NameRule};
use orch_core::object::{FieldError, FieldErrors, FieldPath, ObjectMeta, RawObject, names};
use serde::Deserialize;
use serde_json::Value;

use super::data::Data;
use crate::custom::schema::node::Node;

/// What is wrong with an object that is embedded: it must say its kind, and its metadata must be some.
pub(super) fn check(node: &Node, data: Data<'_>, at: &FieldPath, errors: &mut FieldErrors) {
    if let Data::Map(map) = data
        && node.is_embedded
    {
        object(map, at, errors);
    }
}

fn object(map: &RawObject, at: &FieldPath, errors: &mut FieldErrors) {
    for (name, check) in [("apiVersion", api_version as fn(&str) -> String), ("kind", kind)] {
        let path = at.child(name);
        match map.get(name) {
            None => errors.push(FieldError::required(&path, "")),
            Some(Value::String(text)) => {
                let wrong = if text.is_empty() {
                    "must not be empty".to_owned()
                } else {
                    check(text)
                };
                if !wrong.is_empty() {
                    errors.push(FieldError::invalid(&path, text, wrong));
                }
            }
            Some(other) => errors.push(FieldError::invalid(&path, other, "must be a string")),
        }
    }
    let Some(value) = map.get("metadata") else {
        return;
    };
    match ObjectMeta::deserialize(value) {
        Ok(mut meta) => {
            if meta.name.is_empty() {
                // It need not have one.
                meta.name.push_str("fakename");
            }
            for error in metadata::validate(&meta, NameRule::PathSegment) {
                let steps = error.path.segments().into_iter().cloned();
                let path = steps.fold(at.clone(), |path, step| path.step(step));
                errors.push(FieldError { path, ..error });
            }
        }
        Err(error) => {
            let path = at.child("metadata");
            errors.push(FieldError::invalid(&path, value, error.to_string()));
        }
    }
}

/// What is wrong with an `apiVersion`; empty if nothing is.
fn api_version(text: &str) -> String {
    match text.matches('/').count() {
        0 | 1 => String::new(),
        _ => format!("unexpected GroupVersion string: {text}"),
    }
}

/// What is wrong with a `kind`; empty if nothing is.
fn kind(text: &str) -> String {
    match names::dns1035_label(&text.to_lowercase()) {
        wrong if wrong.is_empty() => String::new(),
        wrong => format!(
            "may have mixed case, but should otherwise match: {}",
            wrong.join(",")
        ),
    }
}
