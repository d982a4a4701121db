//! Merges what is applied into what there is. Nothing is removed by it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::path::PathElement;
use super::{Shape, Type, element, entries, list_items};

/// The value that there is with all that is applied. Lists and maps that are owned as a whole are replaced,
/// the others merged; items of lists stand as what is applied has them, and those that it does not have where
/// they were.
pub(in super::super) fn merge(of: &Type, live: &Value, applied: &Value) -> Value {
    use Shape::{List, Map, Nothing};
    match (of.shape(Some(live)), of.shape(Some(applied))) {
        (Map, Map) => {
            let (live, applied) = (entries(Some(live)), entries(Some(applied)));
            let mut merged = live.clone();
            for (name, value) in applied {
                let before = live.get(name);
                let value =
                    before.map_or_else(|| value.clone(), |before| merge(&of.child(name), before, value));
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (List, List) => Value::Array(lists(of, list_items(Some(live)), list_items(Some(applied)))),
        // An explicit null keeps what there is: to own nothing of a map removes nothing of it.
        (Map, Nothing) if !entries(Some(live)).is_empty() => live.clone(),
        (List, Nothing) if !list_items(Some(live)).is_empty() => live.clone(),
        _ => applied.clone(),
    }
}

/// The items of one side, in order and by what tells them apart.
struct Side<'a> {
    items: Vec<(PathElement, &'a Value)>,
    /// None where several have the same.
    found: BTreeMap<PathElement, Option<&'a Value>>,
}

impl<'a> Side<'a> {
    fn of(of: &Type, items: &'a [Value]) -> Self {
        let items = of.elements(items);
        let mut found = BTreeMap::new();
        for (step, item) in &items {
            found
                .entry(step.clone())
                .and_modify(|several| *several = None)
                .or_insert(Some(*item));
        }
        Self { items, found }
    }

    fn has(&self, step: &PathElement) -> bool {
        self.found.contains_key(step)
    }
}

fn lists(of: &Type, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (left, right) = (Side::of(of, live), Side::of(of, applied));
    let items = of.items();
    let merged_item = |step: &PathElement, applied: &Value| match left.found.get(step).copied().flatten() {
        Some(live) => merge(&items, live, applied),
        None => applied.clone(),
    };
    // What both have, in the order of what is applied: items that only one has stand between the same of these
    // as there.
    let mut shared = right
        .items
        .iter()
        .map(|(step, _)| step)
        .filter(|step| left.has(step));
    let mut next = shared.next();
    let mut done = BTreeSet::new();
    let mut merged = Vec::with_capacity(left.items.len().max(right.items.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.items.len() || r < right.items.len() {
        if let (Some((ours, _)), Some((theirs, applied))) = (left.items.get(l), right.items.get(r)) {
            if ours == theirs {
                merged.push(merged_item(ours, applied));
                done.insert(ours);
                (l, r) = (l + 1, r + 1);
                next = shared.next();
                continue;
            }
            if right.has(ours) && next.is_some_and(|next| next != ours) {
                // It comes later.
                l += 1;
                continue;
            }
        }
        if let Some((ours, live)) = left.items.get(l) {
            if !right.has(ours) {
                merged.push((*live).clone());
                l += 1;
                continue;
            }
            if done.contains(ours) {
                l += 1;
            }
        }
        if let Some((theirs, applied)) = right.items.get(r) {
            merged.push(merged_item(theirs, applied));
            done.insert(theirs);
            r += 1;
            if next == Some(theirs) {
                next = shared.next();
            }
        }
    }
    // What nothing tells apart cannot be merged with, and stays.
    merged.extend(
        live.iter()
            .filter(|item| of.list().is_none_or(|list| element(list, item).is_err()))
            .cloned(),
    );
    merged
}
