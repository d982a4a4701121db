//! What a value replaces: fields are told apart by name, items of lists by place or keys (apiserver's `CorrelatedObject`).

use std::collections::HashMap;

use serde_json::Value;

use super::data::Data;
use crate::custom::schema::node::{ListType, Node};

/// The value that another replaces, and the schema by which both are made up.
#[derive(Clone, Copy)]
pub(in crate::custom::schema) struct Old<'a> {
    pub(in crate::custom::schema) data: Data<'a>,
    node: &'a Node,
}

impl<'a> Old<'a> {
    pub(in crate::custom::schema) fn new(node: &'a Node, data: Data<'a>) -> Self {
        Self { data, node }
    }

    pub(in crate::custom::schema) fn field(self, name: &str) -> Option<Self> {
        let Data::Map(map) = self.data else {
            return None;
        };
        Some(Self::new(self.node.field(name)?, map.get(name)?.into()))
    }

    /// The items of a list, ready to be found.
    pub(in crate::custom::schema) fn items(self) -> Items<'a> {
        let node = self.node.items.as_deref();
        let (Data::List(items), Some(node)) = (self.data, node) else {
            return Items::None;
        };
        match self.node.list_type {
            None => Items::ByPlace(node, items),
            Some(ListType::Map) => {
                let keys = &self.node.list_map_keys;
                let found = items.iter().map(|item| (key(item, keys), item));
                Items::ByKeys(node, keys, found.collect())
            }
            Some(ListType::Atomic | ListType::Set) => Items::None,
        }
    }
}

/// The items of a list that is replaced.
pub(in crate::custom::schema) enum Items<'a> {
    /// Which is which cannot be told.
    None,
    ByPlace(&'a Node, &'a [Value]),
    ByKeys(&'a Node, &'a [String], HashMap<String, &'a Value>),
}

impl<'a> Items<'a> {
    /// What the item at a place replaces.
    pub(in crate::custom::schema) fn of(&self, index: usize, item: &Value) -> Option<Old<'a>> {
        let (node, old) = match self {
            Self::None => return None,
            Self::ByPlace(node, items) => (node, items.get(index)?),
            Self::ByKeys(node, keys, found) => (node, *found.get(&key(item, keys))?),
        };
        Some(Old::new(node, old.into()))
    }
}

/// What tells an item of a list from others: the values of its keys, as JSON.
fn key(item: &Value, keys: &[String]) -> String {
    let values: Vec<Option<&Value>> = keys.iter().map(|key| item.get(key)).collect();
    serde_json::to_string(&values).unwrap_or_default()
}
