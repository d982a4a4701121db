//! Reads a schema, and refuses what Kubernetes refuses of a CustomResourceDefinition's.

mod defaults;
mod fields;
mod lists;
mod rules;
mod structural;
mod values;

use orch_core::object::{DEEPEST, FieldError, FieldErrors, FieldPath};
use serde_json::{Map, Value};

use self::fields::Fields;
use super::node::{Additional, ListType, MapType, Node, Type};
use super::pattern::Patterns;

/// How many schemas one may be made of. The largest in use have some 20,000.
const MOST_NODES: usize = 65_536;

/// The keywords of JSON Schema that Kubernetes does not have.
const UNSUPPORTED: [&str; 7] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
    "$schema",
];

/// The fields that every object has.
pub(super) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Reads the schema of a kind: apiextensions' `validateCustomResourceDefinitionValidation`.
pub(super) fn read(schema: &Value, at: &FieldPath) -> Result<Node, FieldErrors> {
    let mut reader = Reader::default();
    let mut root = reader.node(schema, at, &Within::default(), 1);
    if !reader.malformed.is_empty() {
        return Err(reader.malformed);
    }
    if root.nullable {
        let nullable = at.child("nullable");
        let detail = "nullable cannot be true at the root";
        reader.refused.push(FieldError::forbidden(&nullable, detail));
    }
    let mut errors = FieldErrors::default();
    if !reader.is_unsupported {
        structural::check(&root, at, &mut reader.structural);
        let mut found: Vec<FieldError> = reader.structural.into_iter().collect();
        found.sort_by_cached_key(ToString::to_string);
        errors.extend(found);
        if errors.is_empty() {
            errors.extend(defaults::check(&mut root, at));
        }
    }
    errors.extend(reader.refused);
    if errors.is_empty() {
        errors.extend(rules::read(&mut root, at, &mut reader.patterns));
    }
    errors.into_result()?;
    Ok(root)
}

/// What has been read so far, and what is wrong with it.
#[derive(Default)]
struct Reader {
    nodes: usize,
    patterns: Patterns,
    /// Keywords of the wrong type, and too many schemas: there is nothing to go on with.
    malformed: FieldErrors,
    /// What makes it no structural schema.
    structural: FieldErrors,
    /// What else there may not be.
    refused: FieldErrors,
    /// Whether a keyword is there for which structural schemas have no place.
    is_unsupported: bool,
}

/// Where in a schema another stands.
#[derive(Clone, Default)]
struct Within {
    /// Why there may be no default; empty if there may.
    no_default: &'static str,
    is_meta: bool,
    is_below_root: bool,
}

impl Within {
    fn below(&self) -> Self {
        Self {
            is_below_root: true,
            ..self.clone()
        }
    }

    /// The place of a field.
    fn field(&self, name: &str, is_embedded: bool) -> Self {
        let mut field = self.below();
        if META_FIELDS.contains(&name) && (is_embedded || !self.is_below_root) {
            field.is_meta = true;
            if !self.is_below_root {
                field.no_default = match name {
                    "apiVersion" => "in top-level apiVersion",
                    "kind" => "in top-level kind",
                    _ => "in top-level metadata",
                };
            }
        }
        field
    }
}

impl Reader {
    fn node(&mut self, schema: &Value, at: &FieldPath, within: &Within, depth: usize) -> Node {
        self.nodes += 1;
        let map = match schema {
            // As Kubernetes' decoder has it.
            Value::Null => &Map::new(),
            Value::Object(map) => map,
            _ => {
                self.malformed
                    .push(FieldError::malformed(at, "must be an object"));
                return Node::default();
            }
        };
        if depth > DEEPEST || self.nodes > MOST_NODES {
            if self.malformed.is_empty() {
                let detail = format!(
                    "a schema may be at most {DEEPEST} levels deep and be made of at most {MOST_NODES} others"
                );
                self.malformed.push(FieldError::forbidden(at, detail));
            }
            return Node::default();
        }
        let fields = Fields::new(map, at);
        self.refuse_unsupported(fields, within);
        let mut node = self.structure(fields, within, depth);
        node.values = self.values(fields, node.types(), within, depth);
        lists::check(&node, at, &mut self.refused);
        node
    }

    /// apiextensions' `specStandardValidatorV3`.
    fn refuse_unsupported(&mut self, fields: Fields<'_>, within: &Within) {
        for name in UNSUPPORTED.into_iter().filter(|name| fields.is_given(name)) {
            self.is_unsupported = true;
            let detail = format!("{name} is not supported");
            self.refused
                .push(FieldError::forbidden(&fields.at.child(name), detail));
        }
        if matches!(fields.get("items"), Some(Value::Array(_))) {
            self.is_unsupported = true;
            let detail = "items must be a schema object and not an array";
            self.refused
                .push(FieldError::forbidden(&fields.at.child("items"), detail));
        }
        if fields.get("default").is_some() && !within.no_default.is_empty() {
            let detail = format!("must not be set {}", within.no_default);
            self.refused
                .push(FieldError::forbidden(&fields.at.child("default"), detail));
        }
        if fields.boolean(&mut self.malformed, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.refused
                .push(FieldError::forbidden(&fields.at.child("uniqueItems"), detail));
        }
    }

    fn structure(&mut self, fields: Fields<'_>, within: &Within, depth: usize) -> Node {
        let at = fields.at;
        let mut node = Node {
            kind: self.word(fields, "type", Type::of, Type::WORDS),
            nullable: fields.boolean(&mut self.malformed, "nullable"),
            titled: fields.string(&mut self.malformed, "title").is_some(),
            described: fields.string(&mut self.malformed, "description").is_some(),
            default: fields.get("default").cloned(),
            preserves_unknown: fields.boolean(&mut self.malformed, "x-kubernetes-preserve-unknown-fields"),
            is_embedded: fields.boolean(&mut self.malformed, "x-kubernetes-embedded-resource"),
            is_int_or_string: fields.boolean(&mut self.malformed, "x-kubernetes-int-or-string"),
            list_type: self.word(fields, "x-kubernetes-list-type", ListType::of, ListType::WORDS),
            list_map_keys: fields.strings(&mut self.malformed, "x-kubernetes-list-map-keys"),
            map_type: self.word(fields, "x-kubernetes-map-type", MapType::of, MapType::WORDS),
            written_rules: fields
                .list(&mut self.malformed, "x-kubernetes-validations")
                .to_vec(),
            ..Node::default()
        };
        if within.is_meta && node.is_embedded {
            let path = at.child("x-kubernetes-embedded-resource");
            let detail = "must not be used inside of resource meta";
            self.refused.push(FieldError::forbidden(&path, detail));
        }
        if fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.is_unsupported = true;
            let path = at.child("x-kubernetes-preserve-unknown-fields");
            let error = FieldError::invalid(&path, false, "must be true or undefined");
            self.refused.push(error);
        }
        for (name, schema) in fields
            .map(&mut self.malformed, "properties")
            .into_iter()
            .flatten()
        {
            let field = within.field(name, node.is_embedded);
            let path = at.child("properties").key(name.clone());
            if name == "metadata" && !within.is_below_root && !restricts_names_alone(schema) {
                let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
                self.structural.push(FieldError::forbidden(&path, detail));
            }
            let child = self.node(schema, &path, &field, depth + 1);
            node.properties.insert(name.clone(), child);
        }
        match fields.get("items") {
            None | Some(Value::Array(_)) => {}
            Some(items) => {
                let items = self.node(items, &at.child("items"), &within.below(), depth + 1);
                node.items = Some(Box::new(items));
            }
        }
        node.additional = self.additional(fields, within, depth);
        let takes_others = matches!(node.additional, None | Some(Additional::Any(true)));
        if !takes_others && !node.properties.is_empty() {
            let path = at.child("additionalProperties");
            let detail = "additionalProperties and properties are mutual exclusive";
            self.refused.push(FieldError::forbidden(&path, detail));
        }
        node
    }

    fn additional(&mut self, fields: Fields<'_>, within: &Within, depth: usize) -> Option<Additional> {
        match fields.get("additionalProperties")? {
            Value::Bool(allowed) => Some(Additional::Any(*allowed)),
            schema => {
                let mut below = within.below();
                if within.is_meta {
                    below.no_default = "inside additionalProperties applying to object metadata";
                }
                let path = fields.at.child("additionalProperties");
                let node = self.node(schema, &path, &below, depth + 1);
                Some(Additional::Schema(Box::new(node)))
            }
        }
    }

    /// A keyword whose value is one of a few words.
    fn word<T>(
        &mut self,
        fields: Fields<'_>,
        name: &'static str,
        of: fn(&str) -> Option<T>,
        words: &[&'static str],
    ) -> Option<T> {
        let word = fields.string(&mut self.malformed, name)?;
        let known = of(word);
        if known.is_none() {
            let path = fields.at.child(name);
            let error = FieldError::not_supported(&path, word, words.iter().copied());
            self.refused.push(error);
        }
        known
    }
}

/// Whether the schema of an object's metadata says nothing but what `name` and `generateName` must be; what else
/// metadata is, it is for every kind.
fn restricts_names_alone(metadata: &Value) -> bool {
    let only = |schema: &Value, names: &[&str]| {
        let fields = schema.as_object();
        fields.is_none_or(|fields| {
            let at = FieldPath::root();
            let given = Fields::new(fields, &at);
            let mut names_given = fields.keys().filter(|name| given.is_given(name));
            names_given.all(|name| names.contains(&name.as_str()))
        })
    };
    only(metadata, &["type", "default", "properties"])
        && metadata.get("properties").is_none_or(|fields| {
            let mut names = fields.as_object().into_iter().flat_map(Map::keys);
            names.all(|name| name == "name" || name == "generateName")
        })
}
