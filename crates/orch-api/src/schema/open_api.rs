//! Reads schemas as OpenAPI and CustomResourceDefinitions write them.

use orch_core::object::{DEEPEST, FieldPath, depth};
use serde_json::{Map, Value};

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

/// The keys of a list. Of items of a type that is not read yet they are not looked up.
fn list_keys(json: &Json, items: &Schema, at: &FieldPath) -> Result<Vec<Box<str>>, SchemaError> {
    let malformed = || {
        let (keyword, expected) = ("x-kubernetes-list-map-keys", "a list of names of fields");
        wrong(at, Problem::Malformed { keyword, expected })
    };
    let keys: Vec<&str> = match json.get("x-kubernetes-list-map-keys") {
        None => Vec::new(),
        Some(Value::Array(keys)) => keys
            .iter()
            .map(|key| key.as_str().ok_or_else(malformed))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(malformed()),
    };
    if keys.is_empty() {
        return Err(wrong(at, Problem::NoKeys));
    }
    let is_known = items.0.get().is_some();
    let is_scalar = |key: &str| {
        items
            .field(key)
            .is_some_and(|field| matches!(field.schema.node(), Node::Scalar))
    };
    match keys.iter().find(|key| is_known && !is_scalar(key)) {
        Some(key) => Err(wrong(
            at,
            Problem::UnknownKey {
                key: (*key).to_owned(),
            },
        )),
        None => Ok(keys.into_iter().map(Into::into).collect()),
    }
}

fn patch_strategy(json: &Json, at: &FieldPath) -> Result<PatchStrategy, SchemaError> {
    const KEYWORD: &str = "x-kubernetes-patch-strategy";
    let mut strategy = PatchStrategy {
        merge_key: text(json, "x-kubernetes-patch-merge-key", at)?.map(Into::into),
        ..PatchStrategy::default()
    };
    for word in text(json, KEYWORD, at)?
        .unwrap_or_default()
        .split(',')
        .filter(|word| !word.is_empty())
    {
        match word {
            "merge" => strategy.merge = true,
            "replace" => strategy.replace = true,
            "retainKeys" => strategy.retain_keys = true,
            other => {
                return Err(wrong(
                    at,
                    Problem::NotSupported {
                        keyword: KEYWORD,
                        value: other.to_owned(),
                        allowed: "\"merge\", \"replace\", \"retainKeys\"",
                    },
                ));
            }
        }
    }
    Ok(strategy)
}

/// Whether a map is applied as a whole, if that is said.
fn map_type(json: &Json, at: &FieldPath) -> Result<Option<bool>, SchemaError> {
    const KEYWORD: &str = "x-kubernetes-map-type";
    match text(json, KEYWORD, at)? {
        None => Ok(None),
        Some("atomic") => Ok(Some(true)),
        Some("granular") => Ok(Some(false)),
        Some(other) => Err(wrong(
            at,
            Problem::NotSupported {
                keyword: KEYWORD,
                value: other.to_owned(),
                allowed: "\"atomic\", \"granular\"",
            },
        )),
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

/// What a schema refers to. OpenAPI v3 of Kubernetes wraps a reference with a default beside it in `allOf`.
fn reference(json: &Json) -> Option<&str> {
    let direct = |json: &'_ Json| json.get("$ref").is_some();
    let json = match json.get("allOf") {
        Some(Value::Array(all)) if !direct(json) => all.first()?.as_object()?,
        _ => json,
    };
    json.get("$ref")?.as_str()
}

fn object<'a>(schema: &'a Value, at: &FieldPath) -> Result<&'a Json, SchemaError> {
    let (keyword, expected) = ("it", "an object");
    schema
        .as_object()
        .ok_or_else(|| wrong(at, Problem::Malformed { keyword, expected }))
}

fn text<'a>(json: &'a Json, keyword: &'static str, at: &FieldPath) -> Result<Option<&'a str>, SchemaError> {
    match json.get(keyword) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(
            at,
            Problem::Malformed {
                keyword,
                expected: "a string",
            },
        )),
    }
}

fn flag(json: &Json, keyword: &str) -> bool {
    json.get(keyword) == Some(&Value::Bool(true))
}

fn wrong(at: &FieldPath, problem: Problem) -> SchemaError {
    SchemaError {
        path: at.clone(),
        problem,
    }
}
