//! A schema as a tree, read once: what the rest of this module walks beside an object.

use std::collections::BTreeMap;

use serde_json::Value;

use super::format::Format;
use super::pattern::Pattern;
use super::rules::Rule;

/// One schema: of an object, of one of its fields, of a list's items, or of one case of a junctor.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: Option<Type>,
    pub(crate) nullable: bool,
    pub(crate) titled: bool,
    pub(crate) described: bool,
    pub(crate) default: Option<Value>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) additional: Option<Additional>,
    pub(crate) preserves_unknown: bool,
    pub(crate) is_embedded: bool,
    pub(crate) is_int_or_string: bool,
    pub(crate) list_type: Option<ListType>,
    pub(crate) list_map_keys: Vec<String>,
    pub(crate) map_type: Option<MapType>,
    pub(crate) values: Values,
    /// Rules as they are written, until they are read.
    pub(crate) written_rules: Vec<Value>,
    pub(crate) rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub(crate) has_rules: bool,
}

/// `additionalProperties`.
#[derive(Debug)]
pub(crate) enum Additional {
    /// Whether fields of any name and value may be there.
    Any(bool),
    /// What fields of any name must look like.
    Schema(Box<Node>),
}

/// What values must satisfy beside having their type.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) format: Option<Format>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<i64>,
    pub(crate) max_length: Option<i64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) min_items: Option<i64>,
    pub(crate) max_items: Option<i64>,
    pub(crate) min_properties: Option<i64>,
    pub(crate) max_properties: Option<i64>,
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Vec<Value>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    /// Whether `any_of` is what `x-kubernetes-int-or-string` means, written out: an integer, or a string.
    pub(crate) any_of_int_or_string: bool,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// A minimum or maximum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) value: f64,
    pub(crate) is_exclusive: bool,
}

impl Node {
    /// The schema of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        match (self.properties.get(name), &self.additional) {
            (Some(node), _) => Some(node),
            (None, Some(Additional::Schema(node))) => Some(node),
            _ => None,
        }
    }

    /// Whether a null is none of its values.
    pub(crate) fn refuses(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }

    /// The types that a value may have; of any if there are none.
    pub(crate) fn types(&self) -> &[Type] {
        match &self.kind {
            _ if self.is_int_or_string => &[Type::Integer, Type::String],
            Some(kind) => std::slice::from_ref(kind),
            None => &[],
        }
    }
}

/// Words of a schema that are one of a few.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            /// All of them, as schemas have them.
            pub(crate) const WORDS: &[&str] = &[$($word),+];

            pub(crate) fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            pub(crate) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }
    };
}

words! {
    /// `type`.
    Type { Array = "array", Boolean = "boolean", Integer = "integer", Number = "number", Object = "object", String = "string" }
}

words! {
    /// `x-kubernetes-list-type`.
    ListType { Atomic = "atomic", Set = "set", Map = "map" }
}

words! {
    /// `x-kubernetes-map-type`.
    MapType { Atomic = "atomic", Granular = "granular" }
}
