//! How a value of a kind merges: which fields there are, and what Kubernetes says of its lists and maps.
//!
//! A [`Schema`] is a tree of types, shared by reference. Those of the built-in kinds are made of k8s-openapi's
//! types and a table of what Kubernetes' OpenAPI says beside them, once, when first asked for ([`built_in`]);
//! those of custom kinds from the schemas in their definitions ([`Schema::custom_resource`]).

mod built_in;
mod error;
mod facts;
mod keywords;
mod open_api;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub(crate) use built_in::Definitions;
pub use built_in::built_in;
#[cfg(test)]
pub(crate) use built_in::every_kind;
pub use error::{Problem, SchemaError};

/// The type of a value, as far as merging asks: cheap to clone, and the same however it came to be.
///
/// ```
/// use orch_api::schema::{ListType, Node, built_in};
///
/// let deployment = built_in("apps/v1", "Deployment").unwrap();
/// let containers = deployment.at(&["spec", "template", "spec", "containers"]).unwrap();
/// let Node::List(containers) = containers.node() else { panic!("containers are a list") };
/// assert_eq!(containers.kind, ListType::Map(vec!["name".into()]));
/// ```
#[derive(Clone)]
pub struct Schema(
    /// Filled in once: a type may have itself in a field, as the schemas of custom resources do.
    Arc<OnceLock<Node>>,
);

/// What a value is.
///
/// Kubernetes' structured-merge-diff calls this an atom. Scalars are not told apart: that a value is a string
/// where it must be is for others to check.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Node {
    /// A string, a number, a boolean, or one of several (`x-kubernetes-int-or-string`).
    Scalar,
    /// Anything. Maps in it merge field by field, lists are replaced.
    Untyped,
    /// A map whose fields are known by name.
    Struct(Struct),
    /// A map with keys of the writer's choice.
    Map(MapOf),
    /// A list.
    List(ListOf),
}

/// A map whose fields are known by name.
#[derive(Clone, Debug)]
pub struct Struct {
    /// The fields by name, sorted.
    fields: Box<[(Box<str>, Field)]>,
    /// What further fields hold, if there may be any (`x-kubernetes-preserve-unknown-fields`).
    pub others: Option<Schema>,
    /// Whether a value is applied as a whole (`x-kubernetes-map-type: atomic`).
    pub is_atomic: bool,
}

/// A map with keys of the writer's choice.
#[derive(Clone, Debug)]
pub struct MapOf {
    /// What all values are.
    pub values: Schema,
    /// Whether a value is applied as a whole (`x-kubernetes-map-type: atomic`).
    pub is_atomic: bool,
}

/// A list.
#[derive(Clone, Debug)]
pub struct ListOf {
    /// What all items are.
    pub items: Schema,
    /// How it is applied.
    pub kind: ListType,
}

/// How a list is applied by server-side apply (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// As a whole.
    #[default]
    Atomic,
    /// By item; none occurs twice.
    Set,
    /// By item, told apart by the fields named (`x-kubernetes-list-map-keys`).
    Map(Vec<Box<str>>),
}

/// A field of a [`Struct`].
#[derive(Clone, Debug)]
pub struct Field {
    /// What it holds.
    pub schema: Schema,
    /// How strategic merge patch merges it.
    pub patch: PatchStrategy,
    /// What a scalar is if it is left out; keys of lists may be.
    pub default: Option<Value>,
    /// Whether the map in it is applied as a whole, where that is said of the field and not of the type.
    atomic: Option<bool>,
}

/// How strategic merge patch merges a field (`x-kubernetes-patch-strategy`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged item by item; without it a list in a patch replaces the one there was.
    pub merge: bool,
    /// A map in a patch replaces the one there was; without it maps are merged.
    pub replace: bool,
    /// Who makes a patch lists all fields to keep (`$retainKeys`), for of these a value may have one alone.
    pub retain_keys: bool,
    /// The field by which items of a merged list of maps are told apart (`x-kubernetes-patch-merge-key`).
    pub merge_key: Option<Box<str>>,
}

impl Schema {
    /// The schema of anything.
    pub fn untyped() -> Self {
        static UNTYPED: OnceLock<Schema> = OnceLock::new();
        UNTYPED.get_or_init(|| Self::of(Node::Untyped)).clone()
    }

    /// The schema of a scalar.
    pub fn scalar() -> Self {
        static SCALAR: OnceLock<Schema> = OnceLock::new();
        SCALAR.get_or_init(|| Self::of(Node::Scalar)).clone()
    }

    fn of(node: Node) -> Self {
        Self(Arc::new(OnceLock::from(node)))
    }

    /// A schema that is named before it is known.
    fn pending() -> Self {
        Self(Arc::new(OnceLock::new()))
    }

    /// What a value is.
    pub fn node(&self) -> &Node {
        self.0.get().unwrap_or(&Node::Untyped)
    }

    /// The field of a struct, or none: it is no struct, or has no such field of its own.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match self.node() {
            Node::Struct(of) => of.field(name),
            _ => None,
        }
    }

    /// What the field of a struct, or the entry of a map, holds; none where a value may have no such field.
    pub fn child(&self, name: &str) -> Option<Schema> {
        match self.node() {
            Node::Struct(of) => of
                .field(name)
                .map(|field| &field.schema)
                .or(of.others.as_ref())
                .cloned(),
            Node::Map(of) => Some(of.values.clone()),
            Node::Untyped => Some(Self::untyped()),
            Node::Scalar | Node::List(_) => None,
        }
    }

    /// What is found below, going down by names of fields; through lists, by their items.
    pub fn at(&self, path: &[&str]) -> Option<Schema> {
        path.iter()
            .try_fold(self.clone(), |schema, name| match schema.node() {
                Node::List(list) => list.items.child(name),
                _ => schema.child(name),
            })
    }
}

/// Shallow, for types may hold themselves.
impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.node() {
            Node::Scalar => "scalar",
            Node::Untyped => "untyped",
            Node::Struct(_) => "struct",
            Node::Map(_) => "map",
            Node::List(_) => "list",
        })
    }
}

impl Struct {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let found = self.fields.binary_search_by(|(known, _)| (**known).cmp(name));
        found.ok().map(|index| &self.fields[index].1)
    }

    /// All fields, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().map(|(name, field)| (&**name, field))
    }
}

impl Field {
    /// Whether a map in it is applied as a whole.
    pub fn is_atomic(&self) -> bool {
        let of_type = match self.schema.node() {
            Node::Struct(of) => of.is_atomic,
            Node::Map(of) => of.is_atomic,
            _ => false,
        };
        self.atomic.unwrap_or(of_type)
    }
}
