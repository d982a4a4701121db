//! Values with their types: what server-side apply does with them, each a walk down both.

mod compare;
mod fields;
mod merge;
mod remove;
mod validate;

use serde_json::{Map, Value};

use super::path::PathElement;
use crate::schema::{ListOf, ListType, Node, Schema};

pub(super) use compare::{Comparison, compare};
pub(super) use fields::{fields_of, with_named_fields};
pub(super) use merge::merge;
pub(super) use remove::{remove, without_nulls};
pub(super) use validate::validate;

/// The type of a value, with what the field that holds it says of it.
#[derive(Clone)]
pub(super) struct Type {
    schema: Schema,
    is_atomic: bool,
}

/// What a value is to those who own parts of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Owned as a whole.
    Leaf,
    /// Owned by its entries.
    Map,
    /// Owned by its items.
    List,
    /// Nothing, which fits any type.
    Nothing,
}

impl Type {
    pub(super) fn of(schema: &Schema) -> Self {
        let is_atomic = match schema.node() {
            Node::Struct(of) => of.is_atomic,
            Node::Map(of) => of.is_atomic,
            _ => false,
        };
        Self {
            schema: schema.clone(),
            is_atomic,
        }
    }

    /// The type of a field or an entry. Of what the schema does not have nothing is known.
    fn child(&self, name: &str) -> Self {
        match self.schema.field(name) {
            Some(field) => Self {
                schema: field.schema.clone(),
                is_atomic: field.is_atomic(),
            },
            None => Self::of(&self.schema.child(name).unwrap_or_else(Schema::untyped)),
        }
    }

    /// Whether it has a field of this name, and not just anything of this name.
    fn declares(&self, name: &str) -> bool {
        self.schema.field(name).is_some()
    }

    fn shape(&self, value: Option<&Value>) -> Shape {
        match (value, self.schema.node()) {
            (None | Some(Value::Null), _) => Shape::Nothing,
            (Some(Value::Object(_)), Node::Struct(_) | Node::Map(_)) if !self.is_atomic => Shape::Map,
            (Some(Value::Object(_)), Node::Untyped) => Shape::Map,
            (Some(Value::Array(_)), Node::List(list)) if list.kind != ListType::Atomic => Shape::List,
            _ => Shape::Leaf,
        }
    }

    fn list(&self) -> Option<&ListOf> {
        match self.schema.node() {
            Node::List(list) => Some(list),
            _ => None,
        }
    }

    fn items(&self) -> Self {
        Self::of(
            &self
                .list()
                .map_or_else(Schema::untyped, |list| list.items.clone()),
        )
    }

    /// The items of a list with what tells them apart. Those that nothing tells apart are left out: such a
    /// list was not written through apply.
    fn elements<'a>(&self, items: &'a [Value]) -> Vec<(PathElement, &'a Value)> {
        let Some(list) = self.list() else {
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| Some((element(list, item).ok()?, item)))
            .collect()
    }
}

/// What tells an item of a list apart.
fn element(list: &ListOf, item: &Value) -> Result<PathElement, String> {
    let keys = match (&list.kind, item) {
        (ListType::Set, Value::Object(_) | Value::Array(_) | Value::Null) => {
            return Err("is in a set, which holds scalars".to_owned());
        }
        (ListType::Set, scalar) => return Ok(PathElement::Value(scalar.clone())),
        (ListType::Map(keys), Value::Object(item)) => keys.iter().filter_map(|key| {
            let default = || list.items.field(key).and_then(|field| field.default.as_ref());
            Some((key.clone(), item.get(&**key).or_else(default)?.clone()))
        }),
        (ListType::Map(_), _) => return Err("is in a list of maps, and is none".to_owned()),
        (ListType::Atomic, _) => return Err("is in a list that is owned as a whole".to_owned()),
    };
    let keys: Vec<(Box<str>, Value)> = keys.collect();
    match (&list.kind, keys.is_empty()) {
        (ListType::Map(names), true) => Err(format!(
            "has none of the fields that tell items of this list apart: {names:?}"
        )),
        _ => Ok(PathElement::key(keys)),
    }
}

/// The entries of a map; none of what is no map.
fn entries(value: Option<&Value>) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.and_then(Value::as_object).unwrap_or(&NONE)
}

/// The items of a list; none of what is no list.
fn list_items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], |items| &items[..])
}
