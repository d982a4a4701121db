//! Objects in Kubernetes' protobuf, read as the JSON that they would have been.
//!
//! A body is four bytes, `k8s\0`, and then a `runtime.Unknown`: the kind, and the message of that kind. Which messages there are
//! says a table (`messages.txt`), made by `scripts/protobuf-messages` from Kubernetes' own sources: first the kinds, as
//! `apiVersion kind message` (`*`: of any version), then the messages, each with its fields as `number name type`:
//!
//! - `[]` before a type is a list, `{}` a map with keys that are strings;
//! - the name `-` is of a message whose fields stand in JSON beside those of the one it is in;
//! - `!` after a type is of a scalar whose zero counts: in Go it is a pointer, or it has no `omitempty`;
//! - `?` is of a time that is left out if it is zero (`omitzero`).
//!
//! Go writes on the wire what is no pointer even if it is zero, and in JSON leaves it out where it has `omitempty`. So a zero
//! (`""`, `0`, `false`) is left out unless it has the mark: `metadata.namespace: ""` says nothing, `spec.replicas: 0` and
//! `storageClassName: ""` do. A message on the wire is a map in JSON, an empty one too, as in Go. An empty list or map is nothing on
//! the wire, and so nothing here, where Go's JSON may have `null`, which Kubernetes takes for the same.

mod table;
#[cfg(test)]
mod tests;
mod value;
mod wire;

use std::fmt;

use orch_core::object::{DEEPEST, RawObject, depth};
use serde_json::Value;
use thiserror::Error;

use wire::Reader;

/// As what such a body is sent.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// With what each body begins.
const START: &[u8] = b"k8s\0";

/// Why bytes are no object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProtobufError {
    /// The field, the innermost first; none of what is not in one.
    path: Vec<Box<str>>,
    problem: Problem,
}

/// What is wrong with bytes.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Problem {
    #[error("it must begin with \"k8s\\0\"")]
    Start,
    #[error("apiVersion and kind must be given (got {api_version:?} and {kind:?})")]
    NoKind { api_version: String, kind: String },
    #[error("kind {kind:?} of {api_version:?} is not read in this form; send it as application/json")]
    Kind { api_version: String, kind: String },
    #[error("contentEncoding: {0:?}: must be left out")]
    Encoding(String),
    #[error("contentType: {0:?}: must be {MEDIA_TYPE}, or left out")]
    ContentType(String),
    #[error("it ends in the middle of a field")]
    End,
    #[error("a number is longer than 64 bits")]
    TooLong,
    #[error("wire type {0} does not exist")]
    NoWireType(u64),
    #[error("a group ends that did not begin")]
    Group,
    #[error("field numbers must be from 1 to 536870911, got {0}")]
    Number(u64),
    #[error("wire type {got} is not that of the field's type, {wanted}")]
    WireType { got: u8, wanted: &'static str },
    #[error("it must be UTF-8")]
    Utf8,
    #[error("{0} s and {1} ns since 1970 must be a time in the years 1 to 9999, with 0 to 999999999 ns")]
    Time(i64, i64),
    #[error("type {0}: must be 0, a number, or 1, a string")]
    IntOrString(i64),
    #[error("it must be JSON: {0}")]
    Json(String),
    #[error("it nests more than {DEEPEST} levels of maps and lists")]
    TooDeep,
}

impl From<Problem> for ProtobufError {
    fn from(problem: Problem) -> Self {
        Self {
            path: Vec::new(),
            problem,
        }
    }
}

impl ProtobufError {
    /// The same, in a field.
    fn under(mut self, name: &str) -> Self {
        self.path.push(name.into());
        self
    }
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for name in self.path.iter().rev() {
            write!(f, "{between}{name}")?;
            between = ".";
        }
        if !between.is_empty() {
            f.write_str(": ")?;
        }
        self.problem.fmt(f)
    }
}

/// The object that a body is, with `apiVersion` and `kind`.
pub(crate) fn read(body: &[u8]) -> Result<RawObject, ProtobufError> {
    let Unknown {
        api_version,
        kind,
        raw,
    } = Unknown::read(body)?;
    if api_version.is_empty() || kind.is_empty() {
        return Err(Problem::NoKind { api_version, kind }.into());
    }
    let Some(message) = table::kind(&api_version, &kind) else {
        return Err(Problem::Kind { api_version, kind }.into());
    };
    let mut object = RawObject::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    value::message(message, raw, &mut object, DEEPEST)?;
    // What is JSON within it nests by itself.
    let object = Value::Object(object);
    match object {
        object if depth(&object, DEEPEST + 1) > DEEPEST => Err(Problem::TooDeep.into()),
        Value::Object(object) => Ok(object),
        _ => Ok(RawObject::new()),
    }
}

/// `runtime.Unknown`: what it is, and the message.
#[derive(Default)]
struct Unknown<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

impl<'a> Unknown<'a> {
    fn read(body: &'a [u8]) -> Result<Self, ProtobufError> {
        let body = body.strip_prefix(START).ok_or(Problem::Start)?;
        let mut unknown = Self::default();
        let mut fields = Reader::new(body);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => unknown.type_meta(wire.bytes()?)?,
                2 => unknown.raw = wire.bytes()?,
                3 if !wire.bytes()?.is_empty() => return Err(Problem::Encoding(wire.string()?).into()),
                4 if !matches!(wire.bytes()?, b"" | b"application/vnd.kubernetes.protobuf") => {
                    return Err(Problem::ContentType(wire.string()?).into());
                }
                _ => {}
            }
        }
        Ok(unknown)
    }

    fn type_meta(&mut self, bytes: &[u8]) -> Result<(), ProtobufError> {
        let mut fields = Reader::new(bytes);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => self.api_version = wire.string()?,
                2 => self.kind = wire.string()?,
                _ => {}
            }
        }
        Ok(())
    }
}
