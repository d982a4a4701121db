//! Defaulting: fills in what an object does not say (apiextensions' `defaulting`).

use orch_core::store::limits::VALUE_BYTES;
use serde_json::{Map, Value};

use super::node::Node;

/// Takes out nulls that are no values, then fills in what is missing. Twice is once.
///
/// An object that would become larger than any that is stored is not filled in wholly.
pub(super) fn object(root: &Node, object: &mut Map<String, Value>) {
    drop_nulls_of_map(root, object);
    Filler { left: VALUE_BYTES }.map(root, object);
}

/// Takes out the fields that are null though they may not be, and have no default.
pub(super) fn drop_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => drop_nulls_of_map(node, map),
        Value::Array(items) => {
            if let Some(node) = &node.items {
                items.iter_mut().for_each(|item| drop_nulls(node, item));
            }
        }
        _ => {}
    }
}

fn drop_nulls_of_map(node: &Node, map: &mut Map<String, Value>) {
    map.retain(|name, value| {
        let Some(field) = node.field(name) else {
            return true;
        };
        let is_kept = !field.refuses(value) || field.default.is_some();
        drop_nulls(field, value);
        is_kept
    });
}

struct Filler {
    /// How many bytes may still be filled in: a list of many empty items would become as many large ones.
    left: usize,
}

impl Filler {
    fn value(&mut self, node: &Node, value: &mut Value) {
        match value {
            Value::Object(map) => self.map(node, map),
            Value::Array(items) => {
                if let Some(node) = &node.items {
                    for item in items {
                        self.replace_null(node, item);
                        self.value(node, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn map(&mut self, node: &Node, map: &mut Map<String, Value>) {
        for (name, field) in &node.properties {
            if !map.contains_key(name)
                && let Some(default) = self.default(field)
            {
                map.insert(name.clone(), default);
            }
        }
        for (name, value) in map {
            if let Some(field) = node.field(name) {
                self.replace_null(field, value);
                self.value(field, value);
            }
        }
    }

    fn replace_null(&mut self, node: &Node, value: &mut Value) {
        if node.refuses(value)
            && let Some(default) = self.default(node)
        {
            *value = default;
        }
    }

    /// A copy of a default, if there is one, and room for it.
    fn default(&mut self, node: &Node) -> Option<Value> {
        let default = node.default.as_ref()?;
        self.left = self.left.checked_sub(least_bytes(default))?;
        Some(default.clone())
    }
}

/// How many bytes of JSON a value takes at least.
fn least_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(least_bytes).sum::<usize>(),
        Value::Object(map) => {
            let fields = map.iter().map(|(name, value)| name.len() + least_bytes(value));
            2 + fields.sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}
