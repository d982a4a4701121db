//! Pruning: takes out of an object what its schema does not have (KEP-1904, apiextensions' `pruning`).

use serde_json::{Map, Value};

use super::node::{Additional, Node};
use super::read::META_FIELDS;

/// How many bytes of paths are told of one object; the first is told however long it is.
const MOST_TOLD: usize = 64 * 1024;

/// Prunes a whole object, and gives the paths taken out, sorted.
pub(super) fn object(root: &Node, object: &mut Map<String, Value>) -> Vec<String> {
    let mut pruner = Pruner::default();
    pruner.map(Some(root), object, true, root.preserves_unknown);
    pruner.taken.sort();
    pruner.taken
}

/// Prunes a value of a schema that may be that of a kind.
pub(super) fn value(node: &Node, value: &mut Value, is_root: bool) {
    let mut pruner = Pruner::default();
    match value {
        Value::Object(map) if is_root => pruner.map(Some(node), map, true, node.preserves_unknown),
        other => pruner.value(Some(node), other, node.preserves_unknown),
    }
}

#[derive(Default)]
struct Pruner {
    path: Vec<Step>,
    taken: Vec<String>,
    told: usize,
}

enum Step {
    Field(String),
    Index(usize),
}

impl Pruner {
    /// `keeps` says that what the schema does not have is kept; a schema that has something to say of a field is
    /// listened to nevertheless.
    fn value(&mut self, node: Option<&Node>, value: &mut Value, keeps: bool) {
        match value {
            Value::Object(map) => {
                let is_embedded = node.is_some_and(|node| node.is_embedded);
                self.map(node, map, is_embedded, keeps);
            }
            Value::Array(items) => {
                let node = node.and_then(|node| node.items.as_deref());
                if keeps && node.is_none() {
                    return;
                }
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.push(Step::Index(index));
                    // Unlike a field, an item is kept whole where the list is.
                    let keeps = keeps || node.is_some_and(|node| node.preserves_unknown);
                    self.value(node, item, keeps);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn map(&mut self, node: Option<&Node>, map: &mut Map<String, Value>, is_object: bool, keeps: bool) {
        map.retain(|name, value| {
            if is_object && META_FIELDS.contains(&name.as_str()) {
                return true;
            }
            let field = node.and_then(|node| node.field(name));
            let takes_others = node.is_some_and(|node| matches!(node.additional, Some(Additional::Any(_))));
            if field.is_none() && !takes_others {
                if !keeps {
                    self.tell(name);
                }
                return keeps;
            }
            self.path.push(Step::Field(name.clone()));
            self.value(field, value, field.is_some_and(|field| field.preserves_unknown));
            self.path.pop();
            true
        });
    }

    fn tell(&mut self, name: &str) {
        if self.told > MOST_TOLD {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => path.extend([name, "."]),
                Step::Index(index) => {
                    if path.ends_with('.') {
                        path.pop();
                    }
                    path.push_str(&format!("[{index}]."));
                }
            }
        }
        path.push_str(name);
        self.told += path.len();
        self.taken.push(path);
    }
}
