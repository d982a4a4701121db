//! In which order the items of a merged list stand.

use std::collections::{HashMap, HashSet};

use orch_core::object::FieldPath;
use serde_json::Value;

use super::error::{Error, Fault, Origin};
use super::map::FieldOf;
use super::{PATCH, list, taken};

/// Where each key stands in a list, at first.
#[derive(Clone)]
pub(super) struct Positions(HashMap<Value, usize>);

impl Positions {
    pub(super) fn of(keys: impl IntoIterator<Item = Value>) -> Self {
        let mut positions = HashMap::new();
        for (position, key) in keys.into_iter().enumerate() {
            positions.entry(key).or_insert(position);
        }
        Self(positions)
    }

    fn get(&self, key: &Value) -> Option<usize> {
        self.0.get(key).copied()
    }
}

impl From<Positions> for HashMap<Value, usize> {
    fn from(positions: Positions) -> Self {
        positions.0
    }
}

/// Puts items in order: those that are `wanted` as that says, the others as they stood in the `live` list. One
/// of the others comes before a wanted item only if it did so in the live list, so wanted items that are new
/// come first.
pub(super) fn arrange(
    items: Vec<Value>,
    key: impl Fn(&Value) -> Value,
    wanted: &Positions,
    live: &Positions,
) -> Vec<Value> {
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for item in items {
        let key = key(&item);
        let was = live.get(&key);
        match wanted.get(&key) {
            Some(position) => chosen.push((position, was, item)),
            None => others.push((was.unwrap_or(usize::MAX), was, item)),
        }
    }
    chosen.sort_by_key(|(position, ..)| *position);
    others.sort_by_key(|(position, ..)| *position);

    let mut arranged = Vec::with_capacity(chosen.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, chosen_was, item) in chosen {
        let goes_before = |other: &(usize, Option<usize>, Value)| match (other.1, chosen_was) {
            (Some(other), Some(chosen)) => other < chosen,
            _ => false,
        };
        while let Some((.., other)) = others.next_if(goes_before) {
            arranged.push(other);
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(.., other)| other));
    arranged
}

/// Merges a list for which the patch has `$setElementOrder`; none if neither the object nor the patch has it.
/// `at` is the list's path, `step` the directive's.
pub(super) fn merge(
    original: Option<Value>,
    patch: Option<&Value>,
    wanted: &[Value],
    field: &FieldOf,
    at: &FieldPath,
    step: &FieldPath,
) -> Result<Option<Vec<Value>>, Error> {
    let no_list = |what| Error::new(at, Fault::NoList { what });
    let original = match original {
        None | Some(Value::Null) => None,
        Some(Value::Array(items)) => Some(items),
        Some(_) => return Err(no_list("the field of the object")),
    };
    let patch = match patch {
        None => None,
        Some(Value::Array(items)) => Some(&items[..]),
        Some(_) => return Err(no_list("a field with an order")),
    };
    let key = field.strategy.merge_key.as_deref();
    let wanted = keys(wanted, key, Origin::Order, step)?;
    if let Some(patch) = patch {
        check(patch, &wanted, key, at, step)?;
    }
    let live = match &original {
        Some(items) => keys(items, key, Origin::Object, at)?,
        None => Vec::new(),
    };
    let live = Positions::of(match (key, patch) {
        (Some(key), Some(patch)) => refilled(live, patch, key),
        _ => live,
    });
    let merged = match (original, patch) {
        (None, None) => return Ok(None),
        (Some(items), None) => items,
        (None, Some(patch)) => taken::list(patch),
        (Some(items), Some(patch)) => list::merge(items, patch, field, at)?,
    };
    list::kind(merged.iter(), at)?;
    keys(&merged, key, Origin::Patch, at)?;
    let key_of = |item: &Value| match key {
        Some(key) => item.get(key).cloned().unwrap_or_default(),
        None => item.clone(),
    };
    Ok(Some(arrange(merged, key_of, &Positions::of(wanted), &live)))
}

/// The order of the object's list once items were deleted from it. In Kubernetes new items come to stand in
/// the places at its end that became free, by accident, but its own tests hold on to it.
fn refilled(live: Vec<Value>, patch: &[Value], key: &str) -> Vec<Value> {
    let (marked, merged): (Vec<&Value>, Vec<&Value>) =
        patch.iter().partition(|item| item.get(PATCH).is_some());
    let deletes = marked
        .iter()
        .filter(|item| item.get(PATCH).is_some_and(|directive| directive == "delete"));
    let deleted: HashSet<&Value> = deletes.filter_map(|item| item.get(key)).collect();
    let places = live.len();
    let mut live: Vec<Value> = live.into_iter().filter(|key| !deleted.contains(key)).collect();
    let free = places - live.len();
    let kept: HashSet<Value> = live.iter().cloned().collect();
    let new = merged
        .iter()
        .filter_map(|item| item.get(key))
        .filter(|key| !kept.contains(key));
    live.extend(new.take(free).cloned());
    live
}

/// What tells items apart: their merge keys, or themselves.
fn keys(items: &[Value], key: Option<&str>, of: Origin, at: &FieldPath) -> Result<Vec<Value>, Error> {
    match key {
        Some(key) => list::keys(items, key, of, at),
        None => Ok(items.to_vec()),
    }
}

/// Refuses an order that does not name the patch's own items in the order in which they stand. An order or a
/// list with nothing in it says nothing of the other.
fn check(
    patch: &[Value],
    wanted: &[Value],
    key: Option<&str>,
    at: &FieldPath,
    step: &FieldPath,
) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let mut rest = wanted.iter();
    for (index, item) in patch.iter().enumerate() {
        if item.get(PATCH).is_some() {
            continue;
        }
        let own = match key {
            Some(key) => list::key_of(item, key, Origin::Patch, &at.index(index))?,
            None => item,
        };
        if !rest.any(|wanted| wanted == own) {
            return Err(Error::new(step, Fault::Order));
        }
    }
    Ok(())
}
