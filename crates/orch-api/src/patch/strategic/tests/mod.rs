//! Strategic merge patch, by tables.

mod directives;
mod kinds;
mod lists;
mod maps;
mod orders;
mod properties;

use serde_json::{Value, json};

use super::apply;
use crate::schema::Schema;

/// A type with a field for each way in which fields merge.
fn schema() -> Schema {
    let named = |more: Value| {
        let mut item = json!({ "type": "object", "properties": {
            "name": { "type": "string" },
            "value": { "type": "string" },
            "other": { "type": "string" },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "list": { "type": "array", "items": { "type": "string" } },
        } });
        for (name, property) in more.as_object().cloned().unwrap_or_default() {
            item["properties"][name] = property;
        }
        item
    };
    let list = |items: Value, strategy: &str, key: &str| {
        json!({
            "type": "array",
            "items": items,
            "x-kubernetes-patch-strategy": strategy,
            "x-kubernetes-patch-merge-key": key,
        })
    };
    let without_key = |items: Value, strategy: &str| json!({ "type": "array", "items": items, "x-kubernetes-patch-strategy": strategy });
    let inner = json!({
        "merging": list(named(json!({})), "merge", "name"),
        "scalars": without_key(json!({ "type": "string" }), "merge"),
    });
    Schema::from_open_api(&json!({ "type": "object", "properties": {
        "name": { "type": "string" },
        "value": { "type": "string" },
        "other": { "type": "string" },
        "map": { "type": "object", "additionalProperties": { "type": "string" } },
        "item": named(inner.clone()),
        "replaced": {
            "type": "object",
            "x-kubernetes-patch-strategy": "replace",
            "properties": { "name": { "type": "string" }, "value": { "type": "string" } },
        },
        "merging": list(named(inner.clone()), "merge", "name"),
        "byNumber": list(json!({ "type": "object", "properties": {
            "port": { "type": "integer" },
            "name": { "type": "string" },
        } }), "merge", "port"),
        "retaining": list(named(json!({})), "merge,retainKeys", "name"),
        "atomic": { "type": "array", "items": named(json!({})) },
        "keyless": without_key(named(json!({})), "merge"),
        "scalars": without_key(json!({ "type": "string" }), "merge"),
        "numbers": without_key(json!({ "type": "integer" }), "merge"),
        "atomicScalars": { "type": "array", "items": { "type": "string" } },
    } }))
    .expect("the schema is well formed")
}

/// Applies a patch and tells the error as text.
fn patched(schema: &Schema, original: &Value, patch: &Value) -> Result<Value, String> {
    let original = original.as_object().expect("an object").clone();
    let patch = patch.as_object().expect("an object");
    apply(schema, original, patch)
        .map(Value::Object)
        .map_err(|error| error.to_string())
}

/// Checks what patches make of objects: what the case is called, the object, the patch, the outcome.
#[track_caller]
fn check(cases: impl IntoIterator<Item = (&'static str, Value, Value, Value)>) {
    let schema = schema();
    for (name, original, patch, expected) in cases {
        assert_eq!(patched(&schema, &original, &patch), Ok(expected), "{name}");
    }
}

/// Checks what patches are refused for: what the case is called, the object, the patch, the message.
#[track_caller]
fn refuse(cases: impl IntoIterator<Item = (&'static str, Value, Value, &'static str)>) {
    let schema = schema();
    for (name, original, patch, expected) in cases {
        assert_eq!(
            patched(&schema, &original, &patch),
            Err(expected.to_owned()),
            "{name}"
        );
    }
}
