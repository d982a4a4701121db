//! The table of messages, read once when first needed.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The message that a kind is.
pub(super) fn kind(api_version: &str, kind: &str) -> Option<&'static str> {
    let of = |api_version| TABLE.kinds.get(&(api_version, kind)).copied();
    of(api_version).or_else(|| of("*"))
}

/// A field of a message by its number; none is of one that is newer than the table.
pub(super) fn field(message: &str, number: u32) -> Option<&'static Field> {
    TABLE.messages.get(message)?.get(&number)
}

/// A field of a message.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its name in JSON; none of a message whose fields stand beside those of the one it is in.
    pub(super) name: Option<&'static str>,
    pub(super) shape: Shape,
    pub(super) type_: Type,
    /// Whether JSON has it if it is zero.
    pub(super) keeps_zero: bool,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
    /// By strings.
    Map,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Int32,
    Int64,
    String,
    /// Base64 in JSON.
    Bytes,
    /// A message that is a list of strings in JSON.
    Strings,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    /// JSON in a message: `runtime.RawExtension`, `meta.v1.FieldsV1`.
    Json,
    Message(&'static str),
}

struct Table {
    kinds: HashMap<(&'static str, &'static str), &'static str>,
    messages: HashMap<&'static str, HashMap<u32, Field>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut blocks = include_str!("messages.txt").split("\n\n").skip(1);
    let kinds = blocks.next().unwrap_or_default().lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some(((words.next()?, words.next()?), words.next()?))
    });
    let kinds = kinds.collect();
    let messages = blocks.filter_map(|block| {
        let mut lines = block.lines();
        Some((lines.next()?, lines.filter_map(read_field).collect()))
    });
    let messages = messages.collect();
    Table { kinds, messages }
});

fn read_field(line: &'static str) -> Option<(u32, Field)> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next().filter(|name| *name != "-");
    let word = words.next()?;
    let (shape, word) = match (word.strip_prefix("[]"), word.strip_prefix("{}")) {
        (Some(item), _) => (Shape::List, item),
        (_, Some(value)) => (Shape::Map, value),
        _ => (Shape::One, word),
    };
    let type_ = match word {
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "strings" => Type::Strings,
        "quantity" => Type::Quantity,
        "intOrString" => Type::IntOrString,
        "time" => Type::Time,
        "microTime" => Type::MicroTime,
        "raw" | "fields" => Type::Json,
        message => Type::Message(message),
    };
    let is_scalar = matches!(
        type_,
        Type::Bool | Type::Int32 | Type::Int64 | Type::String | Type::Bytes
    );
    let keeps_zero = match words.next() {
        Some(mark) => mark == "!",
        None => !is_scalar,
    };
    let field = Field {
        name,
        shape,
        type_,
        keeps_zero,
    };
    Some((number, field))
}

/// All kinds, and all messages with their fields, for tests.
#[cfg(test)]
pub(super) fn all() -> (Vec<[&'static str; 3]>, Vec<(&'static str, Vec<Field>)>) {
    let kinds = TABLE.kinds.iter();
    let kinds = kinds.map(|((version, kind), message)| [*version, *kind, *message]);
    let messages = TABLE.messages.iter();
    let messages = messages.map(|(name, fields)| (*name, fields.values().cloned().collect()));
    (kinds.collect(), messages.collect())
}
