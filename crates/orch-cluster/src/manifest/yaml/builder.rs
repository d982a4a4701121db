//! The document that is being built.

use std::collections::HashMap;

use orch_core::object::FieldPath;
use saphyr_parser::Span;
use serde_json::Value;

use super::super::node::{Content, Entry, Node, Position};
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
    Key(String, Position),
    Merge,
    /// The key was at fault; its value is read and forgotten.
    Dropped,
}

impl MapFrame {
    pub(super) fn key(&mut self, node: &Node, is_merge: bool) -> (Pending, Option<String>) {
        if is_merge {
            return (Pending::Merge, None);
        }
        let Some(key) = key_text(node) else {
            return (Pending::Dropped, Some("a key must be a string".to_owned()));
        };
        if let Some(first) = self.seen.get(&key) {
            let message = format!("given twice, first on line {}", first.line);
            return (Pending::Dropped, Some(message));
        }
        self.seen.insert(key.clone(), node.position);
        (Pending::Key(key, node.position), None)
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
            if let (Some(Pending::Key(key, position)), Some(value)) = (map.pending, value.take()) {
                map.entries.push(Entry { key, position, value });
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
                    Some(Pending::Key(key, _)) => path.child(key.clone()),
                    _ => path,
                },
            };
        }
        path
    }
}

/// A key as JSON can have it: kubectl writes numbers and booleans as strings.
pub(super) fn key_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Some(text.clone()),
        Content::Scalar(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.to_string()),
        _ => None,
    }
}
