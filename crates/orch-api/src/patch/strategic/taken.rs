//! What is taken from a patch as it is: all but the directives and nulls in it.

use serde_json::Value;

use super::{DELETE_FROM, Json, PATCH, RETAIN_KEYS, SET_ORDER};

/// A value; none if it is a map with `$patch`, which says what to do and not what there is.
pub(super) fn value(value: &Value) -> Option<Value> {
    match value {
        Value::Object(of) if of.contains_key(PATCH) => None,
        Value::Object(of) => Some(Value::Object(map(of))),
        Value::Array(items) => Some(Value::Array(list(items))),
        scalar => Some(scalar.clone()),
    }
}

/// A map, `$patch` in it or not.
pub(super) fn map(of: &Json) -> Json {
    let fields = of
        .iter()
        .filter(|(name, value)| !value.is_null() && !is_directive(name));
    fields
        .filter_map(|(name, field)| Some((name.clone(), value(field)?)))
        .collect()
}

/// A list. Nulls in it stay: they are items.
pub(super) fn list(items: &[Value]) -> Vec<Value> {
    items.iter().filter_map(value).collect()
}

/// Whether a name is that of a directive, and of no field.
pub(super) fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(SET_ORDER) || name.starts_with(DELETE_FROM)
}
