//! Lists that are sets or maps have no item twice (apiextensions' `listtype`).

use std::collections::HashMap;

use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use super::data::{Data, MOST_TOLD};
use crate::custom::schema::node::{ListType, Node};

/// The items of a set or map that are given twice.
pub(super) fn check(node: &Node, data: Data<'_>, at: &FieldPath, errors: &mut FieldErrors) {
    let Data::List(items) = data else {
        return;
    };
    match node.list_type {
        Some(ListType::Set) => twice(items, at, errors),
        Some(ListType::Map) => match items.iter().position(|item| !item.is_null() && !item.is_object()) {
            Some(index) => {
                let detail = "must be an object for an array of list-type map";
                errors.push(FieldError::invalid(&at.index(index), &items[index], detail));
            }
            None => {
                let keys = |item: &Value| -> Value {
                    let key = |name: &String| Some((name.clone(), item.get(name)?.clone()));
                    let keys: Map<String, Value> = node.list_map_keys.iter().filter_map(key).collect();
                    keys.into()
                };
                let keys: Vec<Value> = items.iter().map(keys).collect();
                twice(&keys, at, errors);
            }
        },
        Some(ListType::Atomic) | None => {}
    }
}

/// Tells of each value that is there more than once at its second place.
fn twice(items: &[Value], at: &FieldPath, errors: &mut FieldErrors) {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let times = seen.entry(item.to_string()).or_default();
        *times += 1;
        if *times == 2 && errors.len() < MOST_TOLD {
            errors.push(FieldError::duplicate(&at.index(index), item));
        }
    }
}
