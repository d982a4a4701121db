//! Reads schemas as OpenAPI and CustomResourceDefinitions write them.

use orch_core::object::{DEEPEST, FieldPath, depth};
use serde_json::{Map, Value};

use super::keywords::{flag, list_keys, map_type, object, patch_strategy, reference, text, wrong};
use super::{
    Field, ListOf, ListType, MapOf, Node, PatchStrategy, Problem, Schema, SchemaError, Struct, built_in,
};

type Json = Map<String, Value>;

impl Schema {
    /// Reads a schema of OpenAPI v3 with Kubernetes' extensions, which refers to no other.
    ///
    /// What only restricts values (`pattern`, `anyOf`, ...) is passed over. As Kubernetes does, a list of
    /// which nothing is said is atomic, and an object of which nothing is said holds anything.
    ///
    /// ```
    /// use orch_api::schema::{Node, Schema};
    /// use serde_json::json;
    ///
    /// let schema = Schema::from_open_api(&json!({
    ///     "type": "object",
    ///     "properties": {
    ///         "rules": {
    ///             "type": "array",
    ///             "x-kubernetes-list-type": "map",
    ///             "x-kubernetes-list-map-keys": ["host"],
    ///             "items": { "type": "object", "properties": { "host": { "type": "string" } } },
    ///         },
    ///     },
    /// }));
    /// assert!(matches!(schema.unwrap().at(&["rules"]).unwrap().node(), Node::List(_)));
    ///
    /// let wrong = Schema::from_open_api(&json!({
    ///     "type": "object",
    ///     "properties": { "rules": { "type": "array", "x-kubernetes-list-type": "map" } },
    /// }));
    /// assert_eq!(
    ///     wrong.unwrap_err().to_string(),
    ///     "properties[rules]: x-kubernetes-list-type is \"map\", but x-kubernetes-list-map-keys names no field: \
    ///      name at least one"
    /// );
    /// ```
    pub fn from_open_api(schema: &Value) -> Result<Self, SchemaError> {
        check_depth(schema)?;
        Reader {
            resolve: &mut |_| None,
        }
        .schema(schema, &FieldPath::root())
    }

    /// Reads the schema of a version in a CustomResourceDefinition: `apiVersion`, `kind` and `metadata` are
    /// every object's, whatever it says of them.
    pub fn custom_resource(schema: &Value) -> Result<Self, SchemaError> {
        check_depth(schema)?;
        let root = FieldPath::root();
        let json = object(schema, &root)?;
        let node = Reader {
            resolve: &mut |_| None,
        }
        .node(json, &root)?;
        Ok(Self::of(embedded(node)))
    }
}

fn check_depth(schema: &Value) -> Result<(), SchemaError> {
    if depth(schema, DEEPEST + 1) > DEEPEST {
        return Err(wrong(&FieldPath::root(), Problem::TooDeep { limit: DEEPEST }));
    }
    Ok(())
}

/// Reads schemas, of which the caller knows those referred to by name.
pub(super) struct Reader<'a> {
    pub(super) resolve: &'a mut dyn FnMut(&str) -> Option<Schema>,
}

impl Reader<'_> {
    fn schema(&mut self, schema: &Value, at: &FieldPath) -> Result<Schema, SchemaError> {
        let json = object(schema, at)?;
        if let Some(to) = reference(json) {
            let name = to.rsplit('/').next().unwrap_or(to);
            return (self.resolve)(name).ok_or_else(|| wrong(at, Problem::Unresolved { to: to.to_owned() }));
        }
        let node = self.node(json, at)?;
        Ok(match node {
            Node::Scalar => Schema::scalar(),
            Node::Untyped => Schema::untyped(),
            _ if flag(json, "x-kubernetes-embedded-resource") => Schema::of(embedded(node)),
            _ => Schema::of(node),
        })
    }

    /// What a schema that is written out says a value is.
    pub(super) fn node(&mut self, json: &Json, at: &FieldPath) -> Result<Node, SchemaError> {
        if flag(json, "x-kubernetes-int-or-string") {
            return Ok(Node::Scalar);
        }
        let keeps_unknown = flag(json, "x-kubernetes-preserve-unknown-fields");
        match text(json, "type", at)? {
            Some("string" | "integer" | "number" | "boolean") => Ok(Node::Scalar),
            Some("array") => self.list(json, at),
            Some("object") => self.map(json, keeps_unknown, at),
            None if json.contains_key("properties") || json.contains_key("additionalProperties") => {
                self.map(json, keeps_unknown, at)
            }
            None if json.contains_key("items") => self.list(json, at),
            // An embedded resource is a map, though any may be one.
            None if flag(json, "x-kubernetes-embedded-resource") => self.map(json, true, at),
            None => Ok(Node::Untyped),
            Some(other) => Err(wrong(
                at,
                Problem::NotSupported {
                    keyword: "type",
                    value: other.to_owned(),
                    allowed: "\"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"",
                },
            )),
        }
    }

    fn map(&mut self, json: &Json, keeps_unknown: bool, at: &FieldPath) -> Result<Node, SchemaError> {
        let is_atomic = map_type(json, at)?.unwrap_or(false);
        let mut others = match json.get("additionalProperties") {
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(Schema::untyped()),
            Some(values) => Some(self.schema(values, &at.child("additionalProperties"))?),
        };
        let mut fields = Vec::new();
        if let Some(properties) = json.get("properties") {
            let at = at.child("properties");
            for (name, property) in object(properties, &at)? {
                fields.push((name.as_str().into(), self.field(property, &at.key(name.clone()))?));
            }
            fields.sort_by(|(one, _): &(Box<str>, Field), (other, _)| one.cmp(other));
        }
        // Of what an object holds of which nothing is said, nothing is known.
        if keeps_unknown || (fields.is_empty() && !json.contains_key("additionalProperties")) {
            others.get_or_insert_with(Schema::untyped);
        }
        Ok(match others {
            Some(values) if fields.is_empty() => Node::Map(MapOf { values, is_atomic }),
            others => Node::Struct(Struct {
                fields: fields.into(),
                others,
                is_atomic,
            }),
        })
    }

    fn field(&mut self, schema: &Value, at: &FieldPath) -> Result<Field, SchemaError> {
        let json = object(schema, at)?;
        let default = json
            .get("default")
            .filter(|value| !value.is_object() && !value.is_array());
        // Of a type that is written out here the type itself says it.
        let atomic = if reference(json).is_some() {
            map_type(json, at)?
        } else {
            None
        };
        Ok(Field {
            schema: self.schema(schema, at)?,
            patch: patch_strategy(json, at)?,
            default: default.cloned(),
            atomic,
        })
    }

    fn list(&mut self, json: &Json, at: &FieldPath) -> Result<Node, SchemaError> {
        let items = match json.get("items") {
            Some(items) => self.schema(items, &at.child("items"))?,
            None => Schema::untyped(),
        };
        let kind = match text(json, "x-kubernetes-list-type", at)? {
            None | Some("atomic") => ListType::Atomic,
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(list_keys(json, &items, at)?),
            Some(other) => {
                return Err(wrong(
                    at,
                    Problem::NotSupported {
                        keyword: "x-kubernetes-list-type",
                        value: other.to_owned(),
                        allowed: "\"atomic\", \"map\", \"set\"",
                    },
                ));
            }
        };
        Ok(Node::List(ListOf { items, kind }))
    }
}

/// An object, which has `apiVersion`, `kind` and `metadata`, whatever its schema says of them.
fn embedded(node: Node) -> Node {
    let mut of = match node {
        Node::Struct(of) => of,
        Node::Map(MapOf { values, is_atomic }) => Struct {
            fields: Box::default(),
            others: Some(values),
            is_atomic,
        },
        Node::Scalar | Node::Untyped | Node::List(_) => return node,
    };
    let mut fields = Vec::from(of.fields);
    let every = [
        ("apiVersion", Schema::scalar()),
        ("kind", Schema::scalar()),
        ("metadata", built_in::object_meta()),
    ];
    fields.retain(|(name, _)| every.iter().all(|(known, _)| **name != **known));
    fields.extend(every.map(|(name, schema)| (name.into(), Field::of(schema))));
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    of.fields = fields.into();
    Node::Struct(of)
}

impl Field {
    fn of(schema: Schema) -> Self {
        Self {
            schema,
            patch: PatchStrategy::default(),
            default: None,
            atomic: None,
        }
    }
}
