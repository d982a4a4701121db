//! Merges maps, and does what directives in them say.

use std::collections::HashSet;

use orch_core::object::FieldPath;
use serde_json::Value;

use super::error::{Error, Fault};
use super::{DELETE_FROM, Json, PATCH, RETAIN_KEYS, SET_ORDER, list, order, taken};
use crate::schema::{PatchStrategy, Schema};

/// Merges a map of the patch into the one that the object has.
pub(super) fn merge(original: Json, patch: &Json, schema: &Schema, at: &FieldPath) -> Result<Json, Error> {
    match patch.get(PATCH) {
        None => {}
        Some(directive) if directive == "replace" => return Ok(taken::map(patch)),
        Some(directive) if directive == "delete" => return Ok(Json::new()),
        Some(other) => {
            return Err(Error::new(
                at,
                Fault::Directive {
                    found: other.to_string(),
                },
            ));
        }
    }
    let mut merged = original;
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain(&mut merged, keys, patch, at)?;
    }
    // What an order is given for is merged with it; the rest as it comes; then things are removed.
    let mut ordered = HashSet::new();
    for (name, wanted, step) in directives(patch, SET_ORDER, at)? {
        ordered.insert(name);
        let field = FieldOf::find(schema, name);
        let listed = order::merge(
            merged.remove(name),
            patch.get(name),
            wanted,
            &field,
            &at.child(name.to_owned()),
            &step,
        )?;
        merged.extend(listed.map(|list| (name.to_owned(), Value::Array(list))));
    }
    for (name, value) in patch {
        if taken::is_directive(name) || ordered.contains(name.as_str()) {
            continue;
        }
        // A null in the object is as good as nothing.
        let before = merged.remove(name).filter(|before| !before.is_null());
        let after = match (before, value) {
            (_, Value::Null) => None,
            (Some(Value::Object(before)), Value::Object(patch)) => {
                let field = FieldOf::find(schema, name);
                Some(Value::Object(if field.strategy.replace {
                    taken::map(patch)
                } else {
                    merge(before, patch, &field.schema, &at.child(name.clone()))?
                }))
            }
            (Some(Value::Array(before)), Value::Array(patch)) => {
                let field = FieldOf::find(schema, name);
                Some(Value::Array(list::merge(
                    before,
                    patch,
                    &field,
                    &at.child(name.clone()),
                )?))
            }
            (_, value) => taken::value(value),
        };
        merged.extend(after.map(|after| (name.clone(), after)));
    }
    for (name, unwanted, step) in directives(patch, DELETE_FROM, at)? {
        if let Some(Value::Array(items)) = merged.get_mut(name) {
            list::remove(items, unwanted, &step)?;
        }
    }
    Ok(merged)
}

/// A field as merging sees it: of what the schema does not have, nothing is known.
pub(super) struct FieldOf {
    pub(super) schema: Schema,
    pub(super) strategy: PatchStrategy,
}

impl FieldOf {
    fn find(schema: &Schema, name: &str) -> Self {
        match schema.field(name) {
            Some(field) => Self {
                schema: field.schema.clone(),
                strategy: field.patch.clone(),
            },
            None => Self {
                schema: schema.child(name).unwrap_or_else(Schema::untyped),
                strategy: PatchStrategy::default(),
            },
        }
    }
}

/// The directives of a patch that are about lists beside them: the list's name, what the directive says, and
/// its own path.
fn directives<'a>(
    patch: &'a Json,
    directive: &'static str,
    at: &FieldPath,
) -> Result<Vec<(&'a str, &'a [Value], FieldPath)>, Error> {
    let found = patch.iter().filter(|(name, _)| name.starts_with(directive));
    let read = found.map(|(name, value)| {
        let step = at.child(name.clone());
        let field = name[directive.len()..]
            .strip_prefix('/')
            .filter(|field| !field.is_empty());
        let Some(field) = field else {
            return Err(Error::new(&step, Fault::NamesNoList { directive }));
        };
        match value {
            Value::Array(items) => Ok((field, &items[..], step)),
            _ => Err(Error::new(&step, Fault::NoList { what: "it" })),
        }
    });
    read.collect()
}

/// Removes all fields but those that `$retainKeys` names, which must be all that the patch itself sets.
fn retain(original: &mut Json, keys: &Value, patch: &Json, at: &FieldPath) -> Result<(), Error> {
    let malformed = || Error::new(&at.child(RETAIN_KEYS), Fault::RetainKeysMalformed);
    let keys = keys.as_array().ok_or_else(malformed)?;
    let keys: HashSet<&str> = keys
        .iter()
        .map(|key| key.as_str().ok_or_else(malformed))
        .collect::<Result<_, _>>()?;
    for (name, value) in patch {
        if !value.is_null() && !taken::is_directive(name) && !keys.contains(name.as_str()) {
            return Err(Error::new(&at.child(name.clone()), Fault::NotRetained));
        }
    }
    original.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
}
