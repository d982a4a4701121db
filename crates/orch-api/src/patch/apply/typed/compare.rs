//! What differs between two values of a type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::fieldset::FieldSet;
use super::super::path::PathElement;
use super::{Shape, Type, entries, list_items};

/// The fields that differ; each is in one set.
#[derive(Debug, Default)]
pub(in super::super) struct Comparison {
    /// Those that the second has not.
    pub(in super::super) removed: FieldSet,
    /// Those that both have, with other values.
    pub(in super::super) modified: FieldSet,
    /// Those that the first has not.
    pub(in super::super) added: FieldSet,
}

impl Comparison {
    /// This without fields, and without all below them.
    pub(in super::super) fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// What differs between an object as it was and as it is.
pub(in super::super) fn compare(of: &Type, before: &Value, after: &Value) -> Comparison {
    values(of, Some(before), Some(after)).below
}

/// What differs in a value: how it differs itself, and what differs below it.
#[derive(Default)]
struct Found {
    itself: Option<Difference>,
    below: Comparison,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    Removed,
    Modified,
    Added,
}

fn values(of: &Type, before: Option<&Value>, after: Option<&Value>) -> Found {
    use Shape::{Leaf, List, Map, Nothing};
    let mut found = Found::default();
    if before == after {
        return found;
    }
    let shape = match (of.shape(before), of.shape(after)) {
        (Nothing, shape) | (shape, Nothing) => shape,
        (one, other) if one == other => one,
        // Only of what nothing is known there can be another type than before.
        (one, other) => {
            if one != Leaf {
                parts(of, one, before, None, &mut found.below);
            }
            if other == Leaf {
                found.itself = Some(Difference::Modified);
            } else {
                parts(of, other, None, after, &mut found.below);
            }
            return found;
        }
    };
    let is_leaf = match shape {
        Map => entries(before).is_empty() && entries(after).is_empty(),
        List => list_items(before).is_empty() && list_items(after).is_empty(),
        Leaf | Nothing => true,
    };
    if !is_leaf {
        parts(of, shape, before, after, &mut found.below);
    }
    found.itself = match (before, after) {
        (None, _) => Some(Difference::Added),
        (_, None) => Some(Difference::Removed),
        _ => is_leaf.then_some(Difference::Modified),
    };
    found
}

fn parts(of: &Type, shape: Shape, before: Option<&Value>, after: Option<&Value>, found: &mut Comparison) {
    if shape == Shape::List {
        return lists(of, list_items(before), list_items(after), found);
    }
    let (before, after) = (entries(before), entries(after));
    let new = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(new) {
        let differs = values(&of.child(name), before.get(name), after.get(name));
        found.put(PathElement::field(name.as_str()), differs);
    }
}

fn lists(of: &Type, before: &[Value], after: &[Value], found: &mut Comparison) {
    let mut items: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
    for (step, item) in of.elements(before) {
        items.entry(step).or_default().0.push(item);
    }
    for (step, item) in of.elements(after) {
        items.entry(step).or_default().1.push(item);
    }
    let of = of.items();
    for (step, (before, after)) in items {
        // Several items with the same key are one thing.
        let differs = match (&before[..], &after[..]) {
            ([] | [_], [] | [_]) => values(&of, before.first().copied(), after.first().copied()),
            ([_, _, ..], [_, _, ..]) => Found {
                itself: (before != after).then_some(Difference::Modified),
                ..Found::default()
            },
            ([_, _, ..], single) => {
                let added = single
                    .first()
                    .map(|item| values(&of, None, Some(item)))
                    .unwrap_or_default();
                // What was several is removed, though one is there.
                found.put(step.clone(), added);
                Found {
                    itself: Some(Difference::Removed),
                    ..Found::default()
                }
            }
            (single, _) => {
                let removed = single
                    .first()
                    .map(|item| values(&of, Some(item), None))
                    .unwrap_or_default();
                found.put(step.clone(), removed);
                Found {
                    itself: Some(Difference::Added),
                    ..Found::default()
                }
            }
        };
        found.put(step, differs);
    }
}

impl Comparison {
    /// Puts in how what a step leads to differs.
    fn put(&mut self, step: PathElement, found: Found) {
        let Found { itself, below } = found;
        let sets = [
            (&mut self.removed, below.removed, Difference::Removed),
            (&mut self.modified, below.modified, Difference::Modified),
            (&mut self.added, below.added, Difference::Added),
        ];
        for (set, below, difference) in sets {
            let is_member = itself == Some(difference);
            if is_member || !below.is_empty() {
                set.put(step.clone(), is_member, below);
            }
        }
    }
}
