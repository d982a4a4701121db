//! Merges lists: scalars as sets, maps by their merge key.

use std::collections::{HashMap, HashSet};

use orch_core::object::FieldPath;
use serde_json::Value;

use super::error::{Error, Fault, Origin};
use super::map::{self, FieldOf};
use super::order::{Positions, arrange};
use super::{Json, PATCH, taken};
use crate::schema::{Node, Schema};

/// Merges a list of the patch into the one that the object has.
pub(super) fn merge(
    original: Vec<Value>,
    patch: &[Value],
    field: &FieldOf,
    at: &FieldPath,
) -> Result<Vec<Value>, Error> {
    if !field.strategy.merge {
        return Ok(taken::list(patch));
    }
    let Some(kind) = kind(original.iter().chain(patch), at)? else {
        return Ok(original);
    };
    let key = field.strategy.merge_key.as_deref();
    match (kind, key) {
        (Kind::Maps, None) => Err(Error::new(at, Fault::NoKeyKnown)),
        (Kind::Maps, Some(key)) => merge_maps(original, patch, key, &items(&field.schema), at),
        (_, Some(_)) => {
            let (found, expected) = ("scalars", "maps");
            Err(Error::new(at, Fault::WrongItem { found, expected }))
        }
        (_, None) => Ok(merge_scalars(original, patch)),
    }
}

/// Removes scalars.
pub(super) fn remove(items: &mut Vec<Value>, unwanted: &[Value], at: &FieldPath) -> Result<(), Error> {
    if let Some(Kind::Maps) = kind(items.iter().chain(unwanted), at)? {
        return Err(Error::new(at, Fault::DeletesMaps));
    }
    let unwanted: HashSet<&Value> = unwanted.iter().collect();
    items.retain(|item| !unwanted.contains(item));
    Ok(())
}

/// What the items of a list are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Maps,
    Strings,
    Numbers,
    Booleans,
}

/// What the items of lists that are merged are; none where there are none.
pub(super) fn kind<'a>(
    items: impl Iterator<Item = &'a Value>,
    at: &FieldPath,
) -> Result<Option<Kind>, Error> {
    let expected = "maps, or scalars";
    let mut all = None;
    for item in items {
        let kind = match item {
            Value::Object(_) => Kind::Maps,
            Value::String(_) => Kind::Strings,
            Value::Number(_) => Kind::Numbers,
            Value::Bool(_) => Kind::Booleans,
            Value::Array(_) => {
                return Err(Error::new(
                    at,
                    Fault::WrongItem {
                        found: "a list",
                        expected,
                    },
                ));
            }
            Value::Null => {
                return Err(Error::new(
                    at,
                    Fault::WrongItem {
                        found: "a null",
                        expected,
                    },
                ));
            }
        };
        if *all.get_or_insert(kind) != kind {
            return Err(Error::new(at, Fault::Mixed));
        }
    }
    Ok(all)
}

fn merge_scalars(original: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let live = Positions::of(original.iter().cloned());
    let wanted = Positions::of(patch.iter().cloned());
    let mut seen = HashSet::new();
    let both = original.into_iter().chain(patch.iter().cloned());
    let merged = both.filter(|item| seen.insert(item.clone())).collect();
    arrange(merged, Value::clone, &wanted, &live)
}

fn merge_maps(
    original: Vec<Value>,
    patch: &[Value],
    key: &str,
    items: &Schema,
    at: &FieldPath,
) -> Result<Vec<Value>, Error> {
    let patch = Directed::read(patch, key, at)?;
    if patch.replaces {
        return Ok(patch
            .items
            .into_iter()
            .map(|item| Value::Object(taken::map(item.map)))
            .collect());
    }
    let mut merged = Vec::with_capacity(original.len());
    let mut live = Vec::with_capacity(original.len());
    for (item, key) in original.iter().zip(keys(&original, key, Origin::Object, at)?) {
        if !patch.deleted.contains(&key) {
            merged.push(item.clone());
            live.push(key);
        }
    }
    let live = Positions::of(live);
    // Of several items with one key the first is the one that is merged into, as in Kubernetes.
    let mut first: HashMap<Value, usize> = live.clone().into();
    let mut wanted = Vec::with_capacity(patch.items.len());
    for item in patch.items {
        wanted.push(item.key.clone());
        match first.get(item.key) {
            Some(&found) => {
                let before = match merged[found].take() {
                    Value::Object(before) => before,
                    _ => Json::new(),
                };
                merged[found] = Value::Object(map::merge(before, item.map, items, &at.index(item.index))?);
            }
            None => {
                first.insert(item.key.clone(), merged.len());
                merged.push(Value::Object(taken::map(item.map)));
            }
        }
    }
    let key = |item: &Value| item.get(key).cloned().unwrap_or_default();
    Ok(arrange(merged, key, &Positions::of(wanted), &live))
}

/// A list of maps of a patch, with what `$patch` in its items says.
struct Directed<'a> {
    /// The items without `$patch`.
    items: Vec<Item<'a>>,
    /// The keys of those to be removed.
    deleted: HashSet<Value>,
    /// Whether the items are all that is to be left.
    replaces: bool,
}

/// An item of a patch's list.
struct Item<'a> {
    index: usize,
    map: &'a Json,
    key: &'a Value,
}

impl<'a> Directed<'a> {
    fn read(patch: &'a [Value], key: &str, at: &FieldPath) -> Result<Self, Error> {
        let (mut items, mut deleted, mut replaces) = (Vec::with_capacity(patch.len()), HashSet::new(), false);
        for (index, item) in patch.iter().enumerate() {
            let Value::Object(map) = item else { continue };
            let at = at.index(index);
            match map.get(PATCH) {
                None => items.push(Item {
                    index,
                    map,
                    key: key_of(item, key, Origin::Patch, &at)?,
                }),
                Some(directive) if directive == "replace" => replaces = true,
                Some(directive) if directive == "delete" => {
                    deleted.insert(key_of(item, key, Origin::Patch, &at)?.clone());
                }
                Some(other) => {
                    return Err(Error::new(
                        &at,
                        Fault::Directive {
                            found: other.to_string(),
                        },
                    ));
                }
            }
        }
        Ok(Self {
            items,
            deleted,
            replaces,
        })
    }
}

/// The merge keys of items.
pub(super) fn keys(items: &[Value], key: &str, of: Origin, at: &FieldPath) -> Result<Vec<Value>, Error> {
    let keys = items
        .iter()
        .enumerate()
        .map(|(index, item)| key_of(item, key, of, &at.index(index)).cloned());
    keys.collect()
}

/// What tells an item apart.
pub(super) fn key_of<'a>(item: &'a Value, key: &str, of: Origin, at: &FieldPath) -> Result<&'a Value, Error> {
    item.get(key)
        .ok_or_else(|| Error::new(at, Fault::NoMergeKey { key: key.into(), of }))
}

fn items(schema: &Schema) -> Schema {
    match schema.node() {
        Node::List(list) => list.items.clone(),
        _ => Schema::untyped(),
    }
}
