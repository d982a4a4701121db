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
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// What differs between an object as it was and as it is.
pub(in super::super) fn compare(of: &Type, before: &Value, after: &Value) -> Comparison {
    let mut walk = Walk {
        path: Vec::new(),
        found: Comparison::default(),
    };
    walk.values(of, Some(before), Some(after));
    walk.found
}

struct Walk {
    path: Vec<PathElement>,
    found: Comparison,
}

impl Walk {
    fn values(&mut self, of: &Type, before: Option<&Value>, after: Option<&Value>) {
        use Shape::{Leaf, List, Map, Nothing};
        let shape = match (of.shape(before), of.shape(after)) {
            (Nothing, shape) | (shape, Nothing) => shape,
            (one, other) if one == other => one,
            // Only of what nothing is known there can be another type than before.
            (one, other) => {
                if one != Leaf {
                    self.parts(of, one, before, None);
                }
                if other == Leaf {
                    self.found.modified.insert(&self.path);
                } else {
                    self.parts(of, other, None, after);
                }
                return;
            }
        };
        let is_empty = match shape {
            Map => entries(before).is_empty() && entries(after).is_empty(),
            List => list_items(before).is_empty() && list_items(after).is_empty(),
            Leaf | Nothing => true,
        };
        if !is_empty {
            self.parts(of, shape, before, after);
        }
        match (before, after) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(before), Some(after)) if is_empty && before != after => {
                self.found.modified.insert(&self.path);
            }
            _ => {}
        }
    }

    fn parts(&mut self, of: &Type, shape: Shape, before: Option<&Value>, after: Option<&Value>) {
        if shape == Shape::List {
            return self.lists(of, list_items(before), list_items(after));
        }
        let (before, after) = (entries(before), entries(after));
        let new = after.keys().filter(|name| !before.contains_key(*name));
        for name in before.keys().chain(new) {
            let step = PathElement::field(name.as_str());
            self.below(step, &of.child(name), before.get(name), after.get(name));
        }
    }

    fn lists(&mut self, of: &Type, before: &[Value], after: &[Value]) {
        let mut items: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (step, item) in of.elements(before) {
            items.entry(step).or_default().0.push(item);
        }
        for (step, item) in of.elements(after) {
            items.entry(step).or_default().1.push(item);
        }
        let type_of_items = of.items();
        for (step, (before, after)) in items {
            // Several items with the same key are one thing.
            if before.len() > 1 && after.len() > 1 {
                if before != after {
                    self.at(step, |found, path| found.modified.insert(path));
                }
                continue;
            }
            let single = |items: &[&'_ Value]| items.len() <= 1;
            let (one, other) = (
                before.first().copied().filter(|_| single(&before)),
                after.first().copied().filter(|_| single(&after)),
            );
            if one.is_some() || other.is_some() {
                self.below(step.clone(), &type_of_items, one, other);
            }
            if !single(&before) {
                self.at(step, |found, path| found.removed.insert(path));
            } else if !single(&after) {
                self.at(step, |found, path| found.added.insert(path));
            }
        }
    }

    fn below(&mut self, step: PathElement, of: &Type, before: Option<&Value>, after: Option<&Value>) {
        self.path.push(step);
        self.values(of, before, after);
        self.path.pop();
    }

    fn at(&mut self, step: PathElement, put: impl FnOnce(&mut Comparison, &[PathElement])) {
        self.path.push(step);
        put(&mut self.found, &self.path);
        self.path.pop();
    }
}
