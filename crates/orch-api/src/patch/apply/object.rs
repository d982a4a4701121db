//! What apply reads and writes of objects beside the fields that someone owns.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::fieldset::FieldSet;
use super::managed::Managed;
use super::path::PathElement;
use crate::schema::{Node, Schema};

/// A JSON object.
type Json = Map<String, Value>;

/// As Kubernetes names an object in such errors.
pub(super) fn described(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    format!(
        "{namespace}/{name}; {}, Kind={}",
        text("/apiVersion"),
        text("/kind")
    )
}

/// One fault as it is, several a line each, as structured-merge-diff has them.
pub(super) fn listed(faults: &[String]) -> String {
    match faults {
        [fault] => fault.clone(),
        faults => format!("errors:\n  {}", faults.join("\n  ")),
    }
}

/// What is every object's, and nobody's.
pub(super) fn never_owned() -> &'static FieldSet {
    static FIELDS: LazyLock<FieldSet> = LazyLock::new(|| {
        let mut fields = FieldSet::new();
        for name in ["apiVersion", "kind", "metadata"] {
            fields.insert(&[PathElement::field(name)]);
        }
        let names = [
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        ];
        for name in names {
            fields.insert(&[PathElement::field("metadata"), PathElement::field(name)]);
        }
        fields
    });
    &FIELDS
}

/// What of a new object Kubernetes' own types hold by value, and so have before anyone writes to them: who creates it owns
/// what is in them, and not them.
pub(super) fn always_there(schema: &Schema, new: &Value) -> Value {
    const BY_VALUE: [&str; 7] = [
        "jobTemplate",
        "metadata",
        "spec",
        "status",
        "strategy",
        "template",
        "updateStrategy",
    ];
    let found = BY_VALUE.into_iter().filter_map(|name| {
        let (field, value) = (schema.field(name)?, new.get(name)?);
        let is_struct = matches!(field.schema.node(), Node::Struct(_)) && value.is_object();
        is_struct.then(|| (name.to_owned(), always_there(&field.schema, value)))
    });
    let mut found: Json = found.collect();
    // A list that is no option either.
    if new.get("containers").is_some_and(Value::is_array) && schema.field("containers").is_some() {
        found.insert("containers".to_owned(), Value::Null);
    }
    Value::Object(found)
}

/// Who owns what, as it is written; a null if nothing is.
pub(super) fn managed_fields(object: &Json) -> &Value {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("managedFields"))
        .unwrap_or(&Value::Null)
}

/// Whether two maps hold the same but for one entry, which either may have.
pub(crate) fn is_same_but(entry: &str, one: &Json, other: &Json) -> bool {
    let rest = |map: &Json| map.len() - usize::from(map.contains_key(entry));
    let same = |(name, value): (&String, &Value)| name == entry || other.get(name) == Some(value);
    rest(one) == rest(other) && one.iter().all(same)
}

/// Whether two objects are the same but for who owns what of them.
pub(super) fn is_same_but_managed(one: &Json, other: &Json) -> bool {
    match (one.get("metadata"), other.get("metadata")) {
        (Some(Value::Object(metadata)), Some(Value::Object(others))) => {
            is_same_but("metadata", one, other) && is_same_but("managedFields", metadata, others)
        }
        _ => one == other,
    }
}

/// An object without who owns what.
pub(super) fn without_managed_fields(mut object: Json) -> Json {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    object
}

/// An object with who owns what.
pub(super) fn with_managed(mut object: Json, managed: &Managed) -> Json {
    if !managed.0.is_empty() {
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        if let Value::Object(metadata) = metadata {
            metadata.insert("managedFields".to_owned(), managed.to_json());
        }
    }
    object
}
