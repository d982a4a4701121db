//! The keywords of a schema, each read as what it may be.

use orch_core::object::FieldPath;
use serde_json::{Map, Value};

use super::{Node, PatchStrategy, Problem, Schema, SchemaError};

type Json = Map<String, Value>;

/// The keys of a list. Of items of a type that is not read yet they are not looked up.
pub(super) fn list_keys(json: &Json, items: &Schema, at: &FieldPath) -> Result<Vec<Box<str>>, SchemaError> {
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

/// How strategic merge patch merges the field.
pub(super) fn patch_strategy(json: &Json, at: &FieldPath) -> Result<PatchStrategy, SchemaError> {
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
pub(super) fn map_type(json: &Json, at: &FieldPath) -> Result<Option<bool>, SchemaError> {
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

/// What a schema refers to. OpenAPI v3 of Kubernetes wraps a reference with a default beside it in `allOf`.
pub(super) fn reference(json: &Json) -> Option<&str> {
    let direct = |json: &'_ Json| json.get("$ref").is_some();
    let json = match json.get("allOf") {
        Some(Value::Array(all)) if !direct(json) => all.first()?.as_object()?,
        _ => json,
    };
    json.get("$ref")?.as_str()
}

/// A schema as an object, which it must be.
pub(super) fn object<'a>(schema: &'a Value, at: &FieldPath) -> Result<&'a Json, SchemaError> {
    let (keyword, expected) = ("it", "an object");
    schema
        .as_object()
        .ok_or_else(|| wrong(at, Problem::Malformed { keyword, expected }))
}

/// A keyword whose value is a string.
pub(super) fn text<'a>(
    json: &'a Json,
    keyword: &'static str,
    at: &FieldPath,
) -> Result<Option<&'a str>, SchemaError> {
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

/// Whether a keyword is set.
pub(super) fn flag(json: &Json, keyword: &str) -> bool {
    json.get(keyword) == Some(&Value::Bool(true))
}

/// What is wrong, and where.
pub(super) fn wrong(at: &FieldPath, problem: Problem) -> SchemaError {
    SchemaError {
        path: at.clone(),
        problem,
    }
}
