//! Looks at each value that a schema speaks of outside of junctors.

use orch_core::object::{FieldErrors, FieldPath};

use super::data::{Data, MOST_TOLD};
use crate::custom::schema::node::Node;

/// What is wrong with one value, beside what is wrong with those in it.
pub(super) type Check = fn(&Node, Data<'_>, &FieldPath, &mut FieldErrors);

/// What a check finds in a value and in all that is in it. Fields of any name have paths with brackets
/// (`spec.map[key]`).
pub(super) fn all(node: &Node, data: Data<'_>, at: &FieldPath, check: Check) -> FieldErrors {
    let mut errors = FieldErrors::default();
    walk(node, data, at, check, &mut errors);
    errors
}

fn walk(node: &Node, data: Data<'_>, at: &FieldPath, check: Check, errors: &mut FieldErrors) {
    if errors.len() >= MOST_TOLD {
        return;
    }
    check(node, data, at, errors);
    match data {
        Data::Map(map) => {
            for (name, value) in map {
                let Some(field) = node.field(name) else {
                    continue;
                };
                let path = match node.properties.contains_key(name) {
                    true => at.child(name.clone()),
                    false => at.key(name.clone()),
                };
                walk(field, value.into(), &path, check, errors);
            }
        }
        Data::List(items) => {
            if let Some(node) = &node.items {
                for (index, item) in items.iter().enumerate() {
                    walk(node, item.into(), &at.index(index), check, errors);
                }
            }
        }
        _ => {}
    }
}
