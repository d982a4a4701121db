//! The document that is being built.

use std::collections::HashMap;

use orch_core::object::FieldPath;
use saphyr_parser::Span;
use serde_json::Value;

use super::super::node::{Content, Entry, Node, Position};
use super::super::scalar;
use super::chunk::Chunk;

/// The document being built: what is open, from the outside in.
pub(super) struct Builder {
    pub(super) first_line: u32,
    /// The last line that is not blank: where a document that breaks off is said to end.
    pub(super) last_line: u32,
    pub(super) frames: Vec<Frame>,
    pub(super) root: Option<Node>,
    /// Values that aliases can refer to, with the number of values in them.
    pub(super) anchors: HashMap<usize, (Node, usize)>,
}

pub(super) struct Frame {
    pub(super) position: Position,
    pub(super) anchor: usize,
    pub(super) values_before: usize,
    pub(super) open: Open,
}

pub(super) enum Open {
    List(Vec<Node>),
    Map(MapFrame),
}

#[derive(Default)]
pub(super) struct MapFrame {
    pub(super) entries: Vec<Entry>,
    pub(super) merges: Vec<Node>,
    pub(super) seen: HashMap<String, Position>,
    pub(super) pending: Option<Pending>,
}

/// What the next value in a map is for.
pub(super) enum Pending {
    Key(Key),
    Merge,
    /// The key was at fault; its value is read and forgotten.
    Dropped,
}

pub(super) struct Key {
    text: String,
    /// How it is written, if otherwise.
    written: Option<Box<str>>,
    position: Position,
}

impl Key {
    pub(super) fn entry(self, value: Node) -> Entry {
        Entry {
            key: self.text,
            written: self.written,
            position: self.position,
            value,
        }
    }
}

impl MapFrame {
    pub(super) fn key(&mut self, node: &Node, is_merge: bool) -> (Pending, Option<String>) {
        if is_merge {
            return (Pending::Merge, None);
        }
        let Some(text) = key_text(node) else {
            return (Pending::Dropped, Some("a key must be a string".to_owned()));
        };
        let written = as_written(node).filter(|written| *written != text);
        if let Some(first) = self.seen.get(&text) {
            let mut message = format!("given twice, first on line {}", first.line);
            if let Some(written) = written {
                message.push_str(&format!(" (the key is written {written})"));
            }
            return (Pending::Dropped, Some(message));
        }
        self.seen.insert(text.clone(), node.position);
        let key = Key {
            text,
            written: written.map(String::into_boxed_str),
            position: node.position,
        };
        (Pending::Key(key), None)
    }
}

impl Builder {
    pub(super) fn new(chunk: &Chunk<'_>) -> Self {
        let lines = chunk.text.trim_end().lines().count().max(1);
        Self {
            first_line: chunk.line,
            last_line: chunk
                .line
                .saturating_add(u32::try_from(lines - 1).unwrap_or(u32::MAX)),
            frames: Vec::new(),
            root: None,
            anchors: HashMap::new(),
        }
    }

    pub(super) fn position(&self, span: &Span) -> Position {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = count(span.start.line().saturating_sub(1)).saturating_add(self.first_line);
        Position {
            line: line.min(self.last_line),
            column: count(span.start.col()).saturating_add(1),
        }
    }

    /// The entries of the document read so far, if it is an object.
    pub(super) fn fragment(&mut self) -> Option<Node> {
        let mut value: Option<Node> = None;
        while let Some(frame) = self.frames.pop() {
            let Open::Map(mut map) = frame.open else {
                value = None;
                continue;
            };
            if let (Some(Pending::Key(key)), Some(value)) = (map.pending, value.take()) {
                map.entries.push(key.entry(value));
            }
            value = Some(Node::new(frame.position, Content::Map(map.entries)));
        }
        value
    }

    /// The field that is being read.
    pub(super) fn path(&self) -> FieldPath {
        let mut path = FieldPath::root();
        for frame in &self.frames {
            path = match &frame.open {
                Open::List(items) => path.index(items.len()),
                Open::Map(map) => match &map.pending {
                    Some(Pending::Key(key)) => path.child(key.text.clone()),
                    _ => path,
                },
            };
        }
        path
    }
}

/// A key as JSON can have it: a string. Numbers and booleans become one as kubectl has it (`n` is `false`), which is
/// seldom meant.
pub(super) fn key_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Some(text.clone()),
        Content::Scalar(Value::Bool(value)) => Some(value.to_string()),
        Content::Scalar(Value::Number(_)) => scalar::number_key(&as_written(node)?),
        _ => None,
    }
}

/// How a boolean or number is written.
fn as_written(node: &Node) -> Option<String> {
    match (&node.content, &node.written) {
        (Content::Scalar(Value::Bool(_) | Value::Number(_)), Some(written)) => Some(written.to_string()),
        (Content::Scalar(value @ (Value::Bool(_) | Value::Number(_))), None) => Some(value.to_string()),
        _ => None,
    }
}
