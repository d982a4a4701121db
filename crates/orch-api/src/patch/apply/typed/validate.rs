//! What is wrong with a value that is to be applied.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::path::PathElement;
use super::{Type, element};
use crate::schema::{ListType, Node};

/// The most that is told of one object.
const MOST: usize = 100;

/// Everything that keeps a value from being applied, with its path: fields that the type does not have, maps
/// and lists where others must be, items that nothing tells apart.
pub(in super::super) fn validate(of: &Type, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    walk(of, value, "", &mut faults);
    faults.truncate(MOST);
    faults
}

fn walk(of: &Type, value: &Value, at: &str, faults: &mut Vec<String>) {
    let mut wrong = |expected: &str| {
        let found = match value {
            Value::Object(_) => "a map",
            Value::Array(_) => "a list",
            _ => "a scalar",
        };
        faults.push(format!("{at}: expected {expected}, got {found}"));
    };
    match (of.schema.node(), value) {
        (_, Value::Null) | (Node::Untyped, _) => {}
        (Node::Scalar, Value::Object(_) | Value::Array(_)) => wrong("a scalar"),
        (Node::Scalar, _) => {}
        (Node::Struct(_) | Node::Map(_), Value::Object(entries)) => {
            for (name, value) in entries {
                if faults.len() >= MOST {
                    return;
                }
                let at = format!("{at}{}", PathElement::field(name.as_str()));
                match of.schema.child(name) {
                    Some(_) => walk(&of.child(name), value, &at, faults),
                    None => faults.push(format!("{at}: field not declared in schema")),
                }
            }
        }
        (Node::Struct(_) | Node::Map(_), _) => wrong("a map"),
        (Node::List(list), Value::Array(items)) => {
            let type_of_items = of.items();
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                if faults.len() >= MOST {
                    return;
                }
                let step = match list.kind {
                    ListType::Atomic => PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX)),
                    _ => match element(list, item) {
                        Ok(step) => step,
                        Err(fault) => {
                            faults.push(format!("{at}[{index}]: {fault}"));
                            continue;
                        }
                    },
                };
                let below = format!("{at}{step}");
                if !seen.insert(step) {
                    faults.push(format!("{below}: stands in the list twice: leave one out"));
                }
                walk(&type_of_items, item, &below, faults);
            }
        }
        (Node::List(_), _) => wrong("a list"),
    }
}
