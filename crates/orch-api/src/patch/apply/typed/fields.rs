//! Which fields a value has: what someone owns who applies it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::fieldset::FieldSet;
use super::super::path::PathElement;
use super::{Shape, Type, entries, list_items};
use crate::schema::{Node, Schema};

/// The leaves of a value, and its items of lists and entries of maps.
pub(in super::super) fn fields_of(of: &Type, value: &Value) -> FieldSet {
    walk(of, value).1
}

/// Whether the value is itself a leaf, and the fields in it.
fn walk(of: &Type, value: &Value) -> (bool, FieldSet) {
    let mut fields = FieldSet::new();
    match of.shape(Some(value)) {
        Shape::Leaf | Shape::Nothing => return (true, fields),
        Shape::Map => {
            for (name, value) in entries(Some(value)) {
                let (is_leaf, below) = walk(&of.child(name), value);
                // An entry that has its name from the writer is itself something, and so is an empty map.
                let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
                fields.put(
                    PathElement::field(name.as_str()),
                    is_leaf || is_empty || !of.declares(name),
                    below,
                );
            }
        }
        Shape::List => {
            let items = of.elements(list_items(Some(value)));
            let mut count: BTreeMap<&PathElement, usize> = BTreeMap::new();
            items
                .iter()
                .for_each(|(step, _)| *count.entry(step).or_default() += 1);
            // Items that nothing tells apart are owned together.
            let several: BTreeSet<&PathElement> = count
                .into_iter()
                .filter(|(_, count)| *count > 1)
                .map(|(step, _)| step)
                .collect();
            for (step, item) in &items {
                let below = if several.contains(step) {
                    FieldSet::new()
                } else {
                    walk(&of.items(), item).1
                };
                fields.put(step.clone(), true, below);
            }
        }
    }
    (false, fields)
}

/// A set, and the fields known by name that have something of it below: who owns `.spec.replicas` has `.spec`
/// too. Entries of maps and items of lists are not added.
pub(in super::super) fn with_named_fields(set: &FieldSet, schema: &Schema) -> FieldSet {
    let mut all = FieldSet::new();
    for (step, is_member, below) in set.steps() {
        let (is_named, inner) = match (step, schema.node()) {
            (PathElement::Field(name), Node::Struct(of)) => (of.field(name).is_some(), schema.child(name)),
            (PathElement::Field(name), _) => (false, schema.child(name)),
            (PathElement::Key(_), Node::List(list)) => (false, Some(list.items.clone())),
            _ => (false, None),
        };
        let is_named = is_named && !below.is_empty();
        let below = with_named_fields(below, &inner.unwrap_or_else(Schema::scalar));
        all.put(step.clone(), is_member || is_named, below);
    }
    all
}
