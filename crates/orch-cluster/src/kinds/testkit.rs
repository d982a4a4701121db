//! What tests of kinds share: objects made and replaced as the client has it, and what is said of those that are wrong.

use orch_core::client::KindRules;
use orch_core::object::{Document, FieldErrors, RawObject};
use serde_json::Value;

use super::find_kind;

pub(super) fn raw(value: Value) -> RawObject {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

pub(super) fn document(object: &RawObject) -> Document {
    Document::from_raw(object).unwrap()
}

pub(super) fn created(api_version: &str, object: Value) -> Result<Value, FieldErrors> {
    let mut object = raw(object);
    let kind = find_kind(api_version, object["kind"].as_str().unwrap()).unwrap();
    // In the client's order.
    kind.prepare_create(&mut object);
    kind.default(&mut object);
    kind.validate(&document(&object)).into_result()?;
    Ok(Value::Object(object))
}

pub(super) fn with(mut object: Value, path: &str, value: Value) -> Value {
    match path.rsplit_once('/') {
        Some((parent, field)) => {
            let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.insert(field.to_owned(), value);
        }
        None => return value,
    }
    object
}

/// Creates `base` with each value at its path; what is said of it, the first thing, must be the third.
pub(super) fn refuses(base: &Value, cases: &[(&str, Value, &str)]) {
    let api_version = base["apiVersion"].as_str().unwrap();
    created(api_version, base.clone()).unwrap();
    for (path, value, expected) in cases {
        let errors = created(api_version, with(base.clone(), path, value.clone())).unwrap_err();
        assert_eq!(
            errors.iter().next().unwrap().to_string(),
            *expected,
            "{path} {value}"
        );
    }
}

/// Replaces `base` by itself with each value at its path; the errors must be these, empty for none.
pub(super) fn replaces(base: &Value, cases: &[(&str, Value, &str)]) {
    let api_version = base["apiVersion"].as_str().unwrap();
    replaces_stored(&created(api_version, base.clone()).unwrap(), cases);
}

/// The same of an object as it is stored.
pub(super) fn replaces_stored(old: &Value, cases: &[(&str, Value, &str)]) {
    let kind = find_kind(old["apiVersion"].as_str().unwrap(), old["kind"].as_str().unwrap()).unwrap();
    for (path, value, expected) in cases {
        let mut new = raw(with(old.clone(), path, value.clone()));
        kind.prepare_update(&mut new, &raw(old.clone()));
        kind.default(&mut new);
        let errors = kind.validate_update(&document(&new), &document(&raw(old.clone())));
        assert_eq!(joined(&errors), *expected, "{path} {value}");
    }
}

/// What the client makes of an object that replaces another.
pub(super) fn replaced(old: &Value, new: Value) -> Value {
    let (old, mut new) = (raw(old.clone()), raw(new));
    let kind = find_kind(old["apiVersion"].as_str().unwrap(), old["kind"].as_str().unwrap()).unwrap();
    kind.prepare_update(&mut new, &old);
    kind.default(&mut new);
    assert_eq!(
        joined(&kind.validate_update(&document(&new), &document(&old))),
        ""
    );
    Value::Object(new)
}

/// Writes each status to `old`; the errors must be these, empty for none.
pub(super) fn takes_status(old: &Value, cases: &[(Value, &str)]) {
    let api_version = old["apiVersion"].as_str().unwrap();
    let kind = find_kind(api_version, old["kind"].as_str().unwrap()).unwrap();
    for (status, expected) in cases {
        let errors = kind.validate_status(status.to_string().as_bytes(), &document(&raw(old.clone())));
        assert_eq!(joined(&errors), *expected, "{status}");
    }
}

fn joined(errors: &FieldErrors) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}
