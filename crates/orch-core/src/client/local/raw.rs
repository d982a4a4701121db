//! Objects as JSON maps, on their way in.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::client::{ApiError, Target};
use crate::object::{DEEPEST, DocumentError, RawObject, depth};

/// Metadata that belongs to the store: an update takes it from the object as it is.
pub(super) const KEPT: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// Fills in `apiVersion` and `kind`, clears the namespace where the kind has none (as kube-apiserver does), and refuses an
/// object of another kind or name.
pub(super) fn identify(target: &Target, object: &mut RawObject) -> Result<(), ApiError> {
    let resource = &target.resource;
    for (field, expected) in [
        ("apiVersion", resource.api_version()),
        ("kind", (&*resource.kind).into()),
    ] {
        match object.get(field) {
            None | Some(Value::Null) => {
                object.insert(field.to_owned(), expected.into());
            }
            Some(Value::String(given)) if *given == expected => {}
            Some(given) => {
                return Err(ApiError::BadRequest(format!(
                    "{field}: expected {expected:?}, got {given}"
                )));
            }
        }
    }
    let meta = metadata(object)?;
    if !resource.is_namespaced() {
        meta.remove("namespace");
    }
    check_names(target, Some(meta))
}

/// Refuses metadata of another object than the one that is written.
pub(super) fn check_names(target: &Target, meta: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    let namespace = target.resource.is_namespaced();
    let namespace = namespace.then(|| ("namespace", target.key.namespace().unwrap_or_default()));
    for (field, expected) in [("name", target.key.name())].into_iter().chain(namespace) {
        let given = meta.and_then(|meta| text(meta, field)).unwrap_or_default();
        if !given.is_empty() && !target.key.name().is_empty() && given != expected {
            return Err(ApiError::BadRequest(format!(
                "metadata.{field}: {given:?} does not match the {field} of the request, {expected:?}"
            )));
        }
    }
    Ok(())
}

pub(super) fn metadata(object: &mut RawObject) -> Result<&mut Map<String, Value>, ApiError> {
    let entry = object.entry("metadata").or_insert_with(|| json!({}));
    if entry.is_null() {
        *entry = json!({});
    }
    match entry {
        Value::Object(meta) => Ok(meta),
        other => Err(ApiError::BadRequest(format!(
            "metadata: expected a map, got {other}"
        ))),
    }
}

pub(super) fn text<'m>(meta: &'m Map<String, Value>, field: &str) -> Option<&'m str> {
    meta.get(field).and_then(Value::as_str)
}

/// The bytes of a field to be stored, or why it cannot be read back from them.
pub(super) fn field_to_json(field: &str, value: &Value) -> Result<Bytes, ApiError> {
    check_readable(field, value, DEEPEST - 1)?;
    to_json(value)
}

/// The bytes of an object to be stored, or why it cannot be read back from them.
pub(super) fn object_to_json(object: &RawObject) -> Result<Bytes, ApiError> {
    for (field, value) in object {
        check_readable(field, value, DEEPEST - 1)?;
    }
    to_json(object)
}

/// Refuses what would not be read back as it was written: more than so many levels, and maps that serde_json takes for something else.
pub(super) fn check_readable(field: &str, value: &Value, deepest: usize) -> Result<(), ApiError> {
    if depth(value, deepest + 1) > deepest {
        return Err(ApiError::BadRequest(format!(
            "{field}: more than {deepest} levels of maps and lists"
        )));
    }
    if field == RESERVED || has_reserved(value) {
        return Err(ApiError::BadRequest(format!(
            "{field}: {RESERVED:?} is no name of a field"
        )));
    }
    Ok(())
}

/// The name of a field in which serde_json has the text of a value.
const RESERVED: &str = "$serde_json::private::RawValue";

fn has_reserved(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_reserved),
        Value::Object(map) => map.contains_key(RESERVED) || map.values().any(has_reserved),
        _ => false,
    }
}

fn to_json(value: &impl serde::Serialize) -> Result<Bytes, ApiError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| bad(error.into()))
}

pub(super) fn bad(error: DocumentError) -> ApiError {
    ApiError::BadRequest(error.to_string())
}
