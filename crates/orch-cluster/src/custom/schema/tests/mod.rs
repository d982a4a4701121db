//! Tests of schemas.

mod default;
mod embedded;
mod format;
mod hostile;
mod junctor;
mod pattern;
mod properties;
mod prune;
mod read;
mod rules;
mod update;
mod validate;

use orch_core::object::{FieldErrors, FieldPath, RawObject};
use serde_json::{Value, json};

use super::Structural;

/// The schema of objects whose `spec` is as given.
fn of_spec(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

/// Reads a schema that must be in order.
fn read(schema: &Value) -> Structural {
    let found = Structural::read(schema, &FieldPath::new("schema"));
    found.unwrap_or_else(|errors| panic!("{errors} in {schema}"))
}

fn object(spec: Value) -> RawObject {
    let object =
        json!({"apiVersion": "example.com/v1", "kind": "Test", "metadata": {"name": "x"}, "spec": spec});
    object.as_object().cloned().unwrap_or_default()
}

fn shown(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// What a schema of `spec` says is wrong with one.
fn errors(schema: &Value, spec: &Value) -> Vec<String> {
    shown(&read(&of_spec(schema.clone())).validate(&object(spec.clone())))
}
