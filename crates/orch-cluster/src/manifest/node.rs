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
    pub(super) position: Position,
    pub(super) value: Node,
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
        self.follow(path).0
    }

    /// How the scalar at a field is written, where that differs from what it means.
    pub(super) fn written(&self, path: &FieldPath) -> Option<&str> {
        self.follow(path).1.written.as_deref()
    }

    fn follow(&self, path: &FieldPath) -> (Position, &Self) {
        let mut position = self.position;
        let mut node = self;
        for segment in path.segments() {
            let step = match segment {
                Segment::Field(name) | Segment::Key(name) => node.walk(name),
                Segment::Index(index) => match &node.content {
                    Content::List(items) => items.get(*index).map(|item| (item.position, item)),
                    _ => None,
                },
            };
            let Some((at, next)) = step else { break };
            (position, node) = (at, next);
        }
        (position, node)
    }

    /// The value under a key, or under several keys joined by dots, as paths are written now and then.
    fn walk(&self, name: &str) -> Option<(Position, &Self)> {
        let direct = |node: &'_ Self, key: &str| node.entry(key).map(|entry| entry.position);
        if let Some(position) = direct(self, name) {
            return Some((position, &self.entry(name)?.value));
        }
        let mut found = None;
        let mut node = self;
        if name.contains('.') {
            for key in name.split('.') {
                let Some(entry) = node.entry(key) else { break };
                node = &entry.value;
                found = Some((entry.position, node));
            }
        }
        found
    }
}
