//! Removes fields, and nulls, from a value.

use serde_json::Value;

use super::super::fieldset::FieldSet;
use super::super::path::PathElement;
use super::{Shape, Type, element, entries, list_items};
use crate::schema::Node;

/// The value without fields; none if nothing is left of it.
pub(in super::super) fn remove(of: &Type, value: &Value, fields: &FieldSet) -> Option<Value> {
    match of.shape(Some(value)) {
        Shape::Map => {
            let rest = entries(Some(value)).iter().filter_map(|(name, value)| {
                let step = PathElement::field(name.as_str());
                Some((name.clone(), kept(&of.child(name), value, &step, fields)?))
            });
            let rest: serde_json::Map<String, Value> = rest.collect();
            (!rest.is_empty()).then_some(Value::Object(rest))
        }
        Shape::List => {
            let (items, list) = (of.items(), of.list());
            let rest = list_items(Some(value)).iter().filter_map(|item| {
                match list.and_then(|list| element(list, item).ok()) {
                    Some(step) => kept(&items, item, &step, fields),
                    // Nobody can own what nothing tells apart.
                    None => Some(item.clone()),
                }
            });
            let rest: Vec<Value> = rest.filter(|item| !item.is_null()).collect();
            (!rest.is_empty()).then_some(Value::Array(rest))
        }
        // Fields below what is owned as a whole are from before it was.
        Shape::Leaf if value.is_object() || value.is_array() => None,
        Shape::Leaf | Shape::Nothing => Some(value.clone()),
    }
}

/// What is left of an entry or an item.
fn kept(of: &Type, value: &Value, step: &PathElement, fields: &FieldSet) -> Option<Value> {
    match fields.below(step) {
        _ if fields.has(step) => None,
        // Of what loses all that it holds a null stays, which who owns the rest of it may still mean.
        Some(below) => Some(remove(of, value, below).unwrap_or_default()),
        None => Some(value.clone()),
    }
}

/// The value without fields that are null. In what nothing is known of they stay: they may mean something.
pub(in super::super) fn without_nulls(of: &Type, value: Value) -> Value {
    match (value, of.schema.node()) {
        (untyped, Node::Untyped) => untyped,
        (Value::Object(map), _) => {
            let rest = map.into_iter().filter(|(_, value)| !value.is_null());
            let rest = rest.map(|(name, value)| {
                let value = without_nulls(&of.child(&name), value);
                (name, value)
            });
            Value::Object(rest.collect())
        }
        (Value::Array(items), _) => {
            let of = of.items();
            Value::Array(items.into_iter().map(|item| without_nulls(&of, item)).collect())
        }
        (scalar, _) => scalar,
    }
}
