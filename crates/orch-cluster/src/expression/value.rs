//! Values of expressions. What is of the object is looked at where it lies; nothing of it is copied.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use orch_core::object::Quantity;
use serde_json::{Map, Value};

use super::duration::duration;
use super::text::Text;
use super::types;
use crate::custom::schema::format::Format;
use crate::custom::schema::node::{Node, Type};

/// A value, of the object or made by an expression.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    Quantity(Quantity),
    /// The type of a value.
    Type(&'static str),
    /// A list of the object.
    List(&'a [Value], Option<&'a Node>),
    /// An object, or a map, of the object.
    Map(&'a Map<String, Value>, Option<&'a Node>),
    /// A list made by an expression.
    Made(Rc<Vec<Val<'a>>>),
    /// A map made by an expression.
    MadeMap(Rc<Vec<(Val<'a>, Val<'a>)>>),
    Optional(Option<Rc<Val<'a>>>),
}

impl<'a> Val<'a> {
    /// A value of the object, of the type that its schema says.
    pub(crate) fn of(value: &'a Value, node: Option<&'a Node>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                let is_number = node.is_some_and(|node| node.kind == Some(Type::Number));
                let is_integer = node.is_some_and(|node| node.types().contains(&Type::Integer));
                match (number.as_i64(), number.as_f64().unwrap_or_default()) {
                    (Some(integer), _) if !is_number => Self::Int(integer),
                    (_, float) if is_integer && float.fract() == 0.0 => Self::Int(whole(float)),
                    (_, float) => Self::Double(float),
                }
            }
            Value::String(text) => Self::text(text, node),
            Value::Array(items) => Self::List(items, node),
            Value::Object(map) => Self::Map(map, node),
        }
    }

    /// An object without a schema; null if there is none.
    pub(crate) fn object(object: Option<&'a Map<String, Value>>) -> Self {
        object.map_or(Self::Null, |object| Self::Map(object, None))
    }

    /// A string of the object, or what it means by its format.
    pub(crate) fn text(text: &'a str, node: Option<&Node>) -> Self {
        let read = match node.and_then(|node| node.values.format) {
            Some(Format::DateTime) => text.parse().map(Self::Timestamp).ok(),
            Some(Format::Duration) => duration(text).map(Self::Duration),
            _ => None,
        };
        read.unwrap_or(Self::Text(text.into()))
    }

    /// The word for its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Duration(_) => types::DURATION,
            Self::Timestamp(_) => types::TIMESTAMP,
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Type(_) => "type",
            Self::List(..) | Self::Made(_) => "list",
            Self::Map(..) | Self::MadeMap(_) => "map",
            Self::Optional(_) => "optional_type",
        }
    }

    /// The items of a list, or the keys of a map.
    pub(crate) fn items(&self) -> Option<Vec<Val<'a>>> {
        Some(match self {
            Self::List(items, node) => {
                let node = node.and_then(|node| node.items.as_deref());
                items.iter().map(|item| Val::of(item, node)).collect()
            }
            Self::Made(items) => items.to_vec(),
            Self::Map(map, _) => map.keys().map(|key| Val::Text(key.as_str().into())).collect(),
            Self::MadeMap(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            _ => return None,
        })
    }

    /// An item of a list.
    pub(crate) fn item(&self, at: i64) -> Option<Val<'a>> {
        let at = usize::try_from(at).ok()?;
        match self {
            Self::List(items, node) => {
                let node = node.and_then(|node| node.items.as_deref());
                Some(Val::of(items.get(at)?, node))
            }
            Self::Made(items) => items.get(at).cloned(),
            _ => None,
        }
    }

    /// How many items, entries or characters it has.
    pub(crate) fn len(&self) -> Option<usize> {
        Some(match self {
            Self::List(items, _) => items.len(),
            Self::Made(items) => items.len(),
            Self::Map(map, _) => map.len(),
            Self::MadeMap(entries) => entries.len(),
            Self::Text(text) => text.chars().count(),
            _ => return None,
        })
    }

    /// A field of an object or an entry of a map.
    pub(crate) fn field(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Self::Map(map, node) => {
                let is_plain = node.is_none() && map.contains_key(name);
                let name = if is_plain {
                    name.into()
                } else {
                    field_name(*node, name)
                };
                let value = map.get(name.as_ref())?;
                Some(Val::of(value, node.and_then(|node| node.field(&name))))
            }
            Self::MadeMap(entries) => {
                let is_key = |key: &Val<'_>| matches!(key, Val::Text(key) if **key == *name);
                entries
                    .iter()
                    .find(|(key, _)| is_key(key))
                    .map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// Takes about as many steps off `left` as looking at all of it takes.
    pub(crate) fn charge(&self, left: &mut usize) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        match self {
            Self::Text(text) => *left = left.saturating_sub(text.len() / 16),
            Self::List(items, _) => items.iter().for_each(|item| charge(item, left)),
            Self::Map(map, _) => map.values().for_each(|value| charge(value, left)),
            Self::Made(items) => items.iter().for_each(|item| item.charge(left)),
            Self::MadeMap(entries) => entries.iter().for_each(|(_, value)| value.charge(left)),
            _ => {}
        }
    }

    /// Which of two values is the greater; none if they cannot be compared.
    pub(crate) fn order(&self, other: &Val<'a>) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            (Self::Duration(one), Self::Duration(other)) => Some(one.cmp(other)),
            (Self::Timestamp(one), Self::Timestamp(other)) => Some(one.cmp(other)),
            (Self::Quantity(one), Self::Quantity(other)) => one.partial_cmp(other),
            (Self::Int(one), Self::Int(other)) => Some(one.cmp(other)),
            (one, other) => match (one.integer(), other.integer()) {
                (Some(one), Some(other)) => Some(one.cmp(&other)),
                _ => one.double()?.partial_cmp(&other.double()?),
            },
        }
    }

    /// A key as it is told of.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => (**text).to_owned(),
            Self::Int(integer) => integer.to_string(),
            Self::Uint(integer) => integer.to_string(),
            Self::Bool(value) => value.to_string(),
            other => other.kind().to_owned(),
        }
    }

    fn integer(&self) -> Option<i128> {
        match self {
            Self::Int(integer) => Some((*integer).into()),
            Self::Uint(integer) => Some((*integer).into()),
            _ => None,
        }
    }

    pub(crate) fn double(&self) -> Option<f64> {
        match self {
            Self::Double(float) => Some(*float),
            Self::Int(integer) => Some(*integer as f64),
            Self::Uint(integer) => Some(*integer as f64),
            _ => None,
        }
    }
}

/// The name by which expressions know a field, back as the field's own: what is no identifier is escaped.
fn field_name<'n>(node: Option<&Node>, name: &'n str) -> Cow<'n, str> {
    let is_escaped = name.contains("__") && node.is_none_or(|node| !node.properties.contains_key(name));
    if !is_escaped {
        return name.into();
    }
    let is_word = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
    let inside = if is_word { &name[2..name.len() - 2] } else { name };
    let plain = inside
        .replace("__dot__", ".")
        .replace("__dash__", "-")
        .replace("__slash__", "/")
        .replace("__underscores__", "__");
    plain.into()
}

/// The node of a field that an expression names.
pub(crate) fn field_node<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    node.field(&field_name(Some(node), name))
}

fn charge(value: &Value, left: &mut usize) {
    Val::of(value, None).charge(left);
}

#[allow(clippy::cast_possible_truncation)] // What is beyond an integer becomes the last one.
pub(crate) fn whole(float: f64) -> i64 {
    float as i64
}
