//! Reads YAML, and JSON as the part of it that it is, into documents that know the place of every value.
//!
//! The text is cut at its document markers first, so that a fault in one document hides none in another.
//! (`---` at the start of a line can be nothing but a marker: no scalar may contain it there, YAML 1.2.2
//! section 9.1.2.)

mod builder;
mod chunk;

use orch_core::object::FieldPath;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use builder::{Builder, Frame, MapFrame, Open, Pending, key_text};
use chunk::{Chunk, chunks, join_surrogates};

use super::Limits;
use super::node::{Content, Entry, Node, Position};
use super::scalar;

/// A document that holds something.
pub(super) struct Document {
    /// Counts the documents that hold something, from 1.
    pub(super) number: usize,
    pub(super) root: Node,
}

/// A fault of the text itself.
pub(super) struct Fault {
    pub(super) document: usize,
    pub(super) position: Position,
    pub(super) path: FieldPath,
    pub(super) message: String,
    /// As much of the document as was read before the text became unreadable.
    pub(super) fragment: Option<Node>,
}

/// The most faults told of one text.
const MAX_FAULTS: usize = 1000;

/// Reads all documents of a text, and its faults.
pub(super) fn load(text: &str, limits: &Limits) -> (Vec<Document>, Vec<Fault>) {
    let mut reader = Reader {
        limits,
        documents: Vec::new(),
        faults: Vec::new(),
        number: 1,
        values: 0,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > limits.bytes {
        let message = format!("{} bytes; allowed are at most {}", text.len(), limits.bytes);
        reader.fault(Position { line: 1, column: 1 }, FieldPath::root(), message);
        return (reader.documents, reader.faults);
    }
    for chunk in chunks(text) {
        if reader.read(&chunk).is_err() {
            break;
        }
    }
    (reader.documents, reader.faults)
}
/// The whole file has to be given up.
struct GiveUp;

struct Reader<'a> {
    limits: &'a Limits,
    documents: Vec<Document>,
    faults: Vec<Fault>,
    number: usize,
    values: usize,
}

impl Reader<'_> {
    fn read(&mut self, chunk: &Chunk<'_>) -> Result<(), GiveUp> {
        let text = join_surrogates(chunk.text);
        let mut parser = Parser::new_from_str(&text);
        let mut builder = Builder::new(chunk);
        let mut faults_before = self.faults.len();
        while let Some(event) = parser.next_event() {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let position = builder.position(&Span::new(*error.marker(), *error.marker()));
                    let path = builder.path();
                    self.fault(position, path, format!("not valid YAML: {}", error.info()));
                    if let Some(fault) = self.faults.last_mut() {
                        fault.fragment = builder.fragment();
                    }
                    self.number += 1;
                    return Ok(());
                }
            };
            if let Event::DocumentEnd = event {
                let faulty = self.faults.len() > faults_before;
                let root = builder.root.take().filter(|root| !root.is_null());
                if let Some(root) = &root
                    && self.number > self.limits.documents
                {
                    let allowed = self.limits.documents;
                    let message = format!("more than {allowed} documents, which is all that is allowed");
                    self.fault(root.position, FieldPath::root(), message);
                    return Err(GiveUp);
                }
                if root.is_some() || faulty {
                    self.documents.extend(root.map(|root| Document {
                        number: self.number,
                        root,
                    }));
                    self.number += 1;
                }
                faults_before = self.faults.len();
                builder.anchors.clear();
                continue;
            }
            self.take(&mut builder, event, &span)?;
        }
        Ok(())
    }

    fn take(&mut self, builder: &mut Builder, event: Event<'_>, span: &Span) -> Result<(), GiveUp> {
        let position = builder.position(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, builder, position)?;
                let value = scalar_value(&text, style, tag.as_deref()).unwrap_or_else(|message| {
                    self.fault(position, builder.path(), message);
                    Value::Null
                });
                let is_merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                let differs = !value.is_null() && !value.is_string() && value.to_string() != text;
                let node = Node {
                    position,
                    content: Content::Scalar(value),
                    written: differs.then(|| text.into()),
                };
                self.complete(builder, node, anchor, 1, is_merge)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(builder, position, anchor, Open::List(Vec::new()), tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => self.open(
                builder,
                position,
                anchor,
                Open::Map(MapFrame::default()),
                tag.as_deref(),
            ),
            Event::SequenceEnd | Event::MappingEnd => match builder.frames.pop() {
                None => Ok(()),
                Some(frame) => {
                    let size = self.values - frame.values_before;
                    let content = match frame.open {
                        Open::List(items) => Content::List(items),
                        Open::Map(map) => Content::Map(self.merged(builder, map)),
                    };
                    let node = Node::new(frame.position, content);
                    self.complete(builder, node, frame.anchor, size, false)
                }
            },
            Event::Alias(anchor) => {
                let Some((node, size)) = builder.anchors.get(&anchor) else {
                    let message = "this alias refers to the value that it is part of".to_owned();
                    self.fault(position, builder.path(), message);
                    let content = Content::Scalar(Value::Null);
                    return self.complete(builder, Node::new(position, content), 0, 1, false);
                };
                // Counted before it is copied: aliases of aliases grow without bound otherwise.
                self.count(*size, builder, position)?;
                let (node, size) = (node.clone(), *size);
                if builder.frames.len() + depth(&node) > self.limits.depth {
                    return self.too_deep(builder, position);
                }
                self.complete(builder, node, 0, size, false)
            }
            _ => Ok(()),
        }
    }

    fn open(
        &mut self,
        builder: &mut Builder,
        position: Position,
        anchor: usize,
        open: Open,
        tag: Option<&Tag>,
    ) -> Result<(), GiveUp> {
        if builder.frames.len() >= self.limits.depth {
            return self.too_deep(builder, position);
        }
        let own = if matches!(open, Open::List(_)) {
            "seq"
        } else {
            "map"
        };
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == own)
        {
            self.fault(
                position,
                builder.path(),
                format!("tag {tag} is not supported here"),
            );
        }
        let values_before = self.values;
        self.count(1, builder, position)?;
        builder.frames.push(Frame {
            position,
            anchor,
            values_before,
            open,
        });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn complete(
        &mut self,
        builder: &mut Builder,
        node: Node,
        anchor: usize,
        size: usize,
        is_merge: bool,
    ) -> Result<(), GiveUp> {
        if anchor > 0 {
            self.count(size, builder, node.position)?;
            builder.anchors.insert(anchor, (node.clone(), size));
        }
        let path = builder.path();
        match builder.frames.last_mut().map(|frame| &mut frame.open) {
            None => builder.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(map)) => match map.pending.take() {
                None => {
                    let (pending, message) = map.key(&node, is_merge);
                    map.pending = Some(pending);
                    if let Some(message) = message {
                        let path = key_text(&node).map_or_else(|| path.clone(), |key| path.child(key));
                        self.fault(node.position, path, message);
                    }
                }
                Some(Pending::Key(key)) => map.entries.push(key.entry(node)),
                Some(Pending::Merge) => map.merges.push(node),
                Some(Pending::Dropped) => {}
            },
        }
        Ok(())
    }

    /// The entries of a map with those that `<<` brings in, which give way to its own.
    fn merged(&mut self, builder: &Builder, map: MapFrame) -> Vec<Entry> {
        let MapFrame {
            mut entries,
            merges,
            mut seen,
            ..
        } = map;
        for merge in merges {
            let position = merge.position;
            let sources = match merge.content {
                Content::List(items) => items,
                content => vec![Node::new(position, content)],
            };
            for source in sources {
                let Content::Map(more) = source.content else {
                    let message = "'<<' takes an object or a list of objects".to_owned();
                    self.fault(source.position, builder.path(), message);
                    continue;
                };
                for entry in more {
                    if seen.insert(entry.key.clone(), entry.position).is_none() {
                        entries.push(entry);
                    }
                }
            }
        }
        entries
    }

    fn count(&mut self, values: usize, builder: &Builder, position: Position) -> Result<(), GiveUp> {
        self.values = self.values.saturating_add(values);
        if self.values <= self.limits.values {
            return Ok(());
        }
        let allowed = self.limits.values;
        let message =
            format!("more than {allowed} values with all aliases resolved, which is all that is allowed");
        self.fault(position, builder.path(), message);
        Err(GiveUp)
    }

    fn too_deep(&mut self, builder: &Builder, position: Position) -> Result<(), GiveUp> {
        let allowed = self.limits.depth;
        let message = format!("nested deeper than {allowed} levels, which is all that is allowed");
        self.fault(position, builder.path(), message);
        Err(GiveUp)
    }

    fn fault(&mut self, position: Position, path: FieldPath, message: String) {
        // Nobody reads more, and a file of faults must not cost more than one without.
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        self.faults.push(Fault {
            document: self.number,
            position,
            path,
            message,
            fragment: None,
        });
    }
}

/// How many levels a value has.
fn depth(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 0,
        Content::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Content::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text),
        // A lone `!` says: as it stands.
        Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(Value::String(text.to_owned())),
        Some(tag) => Err(format!("tag {tag} is not supported")),
        None if style == ScalarStyle::Plain => scalar::plain(text),
        None => Ok(Value::String(text.to_owned())),
    }
}
