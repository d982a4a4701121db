//! A schema as a tree, read once: what the rest of this module walks beside an object.

use std::collections::BTreeMap;

use serde_json::Value;

use super::format::Format;
use super::pattern::Pattern;
use super::rules::Rule;

/// One schema: of an object, of one of its fields, of a list's items, or of one case of a junctor.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) kind: Option<Type>,
    pub(super) nullable: bool,
    pub(super) titled: bool,
    pub(super) described: bool,
    pub(super) default: Option<Value>,
    pub(super) items: Option<Box<Node>>,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Option<Additional>,
    pub(super) preserves_unknown: bool,
    pub(super) is_embedded: bool,
    pub(super) is_int_or_string: bool,
    pub(super) list_type: Option<ListType>,
    pub(super) list_map_keys: Vec<String>,
    pub(super) map_type: Option<MapType>,
    pub(super) values: Values,
    /// Rules as they are written, until they are read.
    pub(super) written_rules: Vec<Value>,
    pub(super) rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub(super) has_rules: bool,
}

/// `additionalProperties`.
#[derive(Debug)]
pub(super) enum Additional {
    /// Whether fields of any name and value may be there.
    Any(bool),
    /// What fields of any name must look like.
    Schema(Box<Node>),
}

/// What values must satisfy beside having their type.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) format: Option<Format>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<Pattern>,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) required: Vec<String>,
    pub(super) allowed: Vec<Value>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    /// Whether `any_of` is what `x-kubernetes-int-or-string` means, written out: an integer, or a string.
    pub(super) any_of_int_or_string: bool,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

/// A minimum or maximum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) is_exclusive: bool,
}

impl Node {
    /// The schema of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Node> {
        match (self.properties.get(name), &self.additional) {
            (Some(node), _) => Some(node),
            (None, Some(Additional::Schema(node))) => Some(node),
            _ => None,
        }
    }

    /// Whether a null is none of its values.
    pub(super) fn refuses(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }

    /// The types that a value may have; of any if there are none.
    pub(super) fn types(&self) -> &[Type] {
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
        pub(super) enum $name { $($variant),+ }

        impl $name {
            /// All of them, as schemas have them.
            pub(super) const WORDS: &[&str] = &[$($word),+];

            pub(super) fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            pub(super) fn word(self) -> &'static str {
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
