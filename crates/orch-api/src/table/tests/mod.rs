//! Rows of objects as users see them.

mod ages;
mod certificates;
mod core;
mod kinds;
mod networking;
mod pods;
mod storage;
mod stored;
mod wire;

use jiff::Timestamp;
use orch_core::object::{ApiResource, Document, Scope};
use serde_json::{Value, json};

use super::{Printer, Row};

/// When all tables of these tests are made.
fn now() -> Timestamp {
    "2030-01-02T00:00:00Z".parse().unwrap()
}

fn document(object: &Value) -> Document {
    Document::parse(object.to_string().into()).unwrap()
}

fn printer(object: &Value, is_built_in: bool) -> &'static Printer {
    Printer::of(&resource(object), is_built_in)
}

fn resource(object: &Value) -> ApiResource {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        kind: object["kind"].as_str().unwrap().to_owned().into(),
        plural: "them".into(),
        scope: Scope::Namespaced,
    }
}

fn row(object: &Value) -> Row {
    let row = (printer(object, true).row)(&document(object), now());
    assert_eq!(
        row.cells.len(),
        printer(object, true).columns.len(),
        "each column has its cell"
    );
    row
}

/// The cells under some columns, as they are read.
fn cells(object: &Value, columns: &[&str]) -> Vec<String> {
    let row = row(object);
    let of = |name: &&str| {
        let all = printer(object, true).columns;
        let at = all.iter().position(|column| column.name == *name);
        match &row.cells[at.unwrap_or_else(|| panic!("no column {name}"))] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    };
    columns.iter().map(of).collect()
}

/// An object of a name, made five minutes before [`now`].
fn object(api_version: &str, kind: &str, rest: &Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": "a", "creationTimestamp": "2030-01-01T23:55:00Z"},
    });
    for (field, value) in rest.as_object().unwrap() {
        match field.as_str() {
            "metadata" => {
                for (name, value) in value.as_object().unwrap() {
                    object["metadata"][name] = value.clone();
                }
            }
            field => object[field] = value.clone(),
        }
    }
    object
}
