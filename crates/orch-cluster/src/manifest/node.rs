//! A document as read, with the place of every value.

use orch_core::object::{FieldPath, Segment};
use serde_json::Value;

/// A place in a file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) content: Content,
    /// How a boolean or number is written, where JSON writes it otherwise.
    pub(super) written: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its place, and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// How the key is written, where it is a boolean or number that becomes another string.
    pub(super) written: Option<Box<str>>,
    pub(super) position: Position,
    pub(super) value: Node,
}

impl Entry {
    fn place(&self) -> Found<'_> {
        Found {
            position: self.position,
            key: self.written.as_deref(),
            value: &self.value,
        }
    }
}

/// Where a path leads.
struct Found<'a> {
    /// Of the key, or of the element of a list.
    position: Position,
    /// How the key is written, where it becomes another string.
    key: Option<&'a str>,
    value: &'a Node,
}

impl Node {
    pub(super) fn new(position: Position, content: Content) -> Self {
        Self {
            position,
            content,
            written: None,
        }
    }

    /// The value without places.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect(),
            ),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    /// The entry of a map under this key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The string under this key of a map.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Where the field is: its key, or its beginning in a list. Where it is absent, the nearest thing
    /// around it that is there.
    pub(super) fn locate(&self, path: &FieldPath) -> Position {
        self.follow(path).position
    }

    /// How the scalar at a field is written, where that differs from what it means, in words for a message.
    pub(super) fn written(&self, path: &FieldPath) -> Option<String> {
        let Found { value, key, .. } = self.follow(path);
        let key = key.map(|key| format!("the key is written {key}"));
        key.or_else(|| Some(format!("it is written {}", value.written.as_deref()?)))
    }

    /// The keys that become another string than is written, and how they are written.
    pub(super) fn rewritten_keys(&self, at: &FieldPath) -> Vec<(FieldPath, &str)> {
        let mut found = Vec::new();
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    found.extend(item.rewritten_keys(&at.index(index)));
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    let at = at.child(entry.key.clone());
                    found.extend(entry.written.as_deref().map(|written| (at.clone(), written)));
                    found.extend(entry.value.rewritten_keys(&at));
                }
            }
        }
        found
    }

    fn follow(&self, path: &FieldPath) -> Found<'_> {
        let mut place = Found {
            position: self.position,
            key: None,
            value: self,
        };
        for segment in path.segments() {
            let step = match segment {
                Segment::Field(name) | Segment::Key(name) => place.value.walk(name),
                Segment::Index(index) => match &place.value.content {
                    Content::List(items) => items.get(*index).map(|item| Found {
                        position: item.position,
                        key: None,
                        value: item,
                    }),
                    _ => None,
                },
            };
            let Some(next) = step else { break };
            place = next;
        }
        place
    }

    /// The value under a key, or under several keys joined by dots, as paths are written now and then.
    fn walk(&self, name: &str) -> Option<Found<'_>> {
        if let Some(entry) = self.entry(name) {
            return Some(entry.place());
        }
        let mut found = None;
        let mut node = self;
        if name.contains('.') {
            for key in name.split('.') {
                let Some(entry) = node.entry(key) else { break };
                node = &entry.value;
                found = Some(entry.place());
            }
        }
        found
    }
}
