//! An object as it was written: JSON bytes with the metadata parsed once.

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::apart::{Apart, RECORD};
use super::peek::{Lookup, TopLevel, from_json};
use super::typed::Typed;
use super::{Object, ObjectKey, ObjectMeta};
use crate::store::Revision;

/// A whole object as a JSON map, for code that edits objects whatever their kind.
pub type RawObject = Map<String, Value>;

/// An object in its stored form; cheap to clone.
///
/// The bytes hold everything but the resource version, which is the revision of the store's entry.
///
/// ```
/// use orch_core::object::Document;
///
/// let json = r#"{"apiVersion":"v1","kind":"Cat","metadata":{"name":"tom"},"spec":{"lives":9}}"#;
/// let cat = Document::parse(json.into())?;
/// assert_eq!((cat.kind(), cat.meta().name.as_str()), ("Cat", "tom"));
/// assert_eq!(cat.field("spec"), Some(r#"{"lives":9}"#));
/// assert_eq!(cat.lookup("spec.lives"), Some(9.into()));
/// # Ok::<(), orch_core::object::DocumentError>(())
/// ```
#[derive(Clone)]
pub struct Document(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    json: Bytes,
    /// Without the record of who wrote what.
    meta: ObjectMeta,
    /// Where things lie in `json`. Bounded by the store's largest value, so 32 bits are enough.
    api_version: Span,
    kind: Span,
    metadata: Span,
    /// The record of who wrote what, in the metadata; empty if there is none.
    record: Span,
    fields: Box<[(Span, Span)]>,
    typed: Typed,
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Where it lies once what began at `from` begins at `to`.
    fn moved(self, from: u32, to: u32) -> Self {
        let moved = |place: u32| place - from + to;
        Self {
            start: moved(self.start),
            end: moved(self.end),
        }
    }
}

/// Why bytes are no object, or not of the kind asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Not JSON, or a field has the wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A field that every object has is missing or unusable.
    #[error("{field}: {reason}")]
    Field {
        /// The field's path.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Longer than the store takes.
    #[error("object of {actual} bytes, at most {allowed} allowed")]
    TooLarge {
        /// Its length in bytes.
        actual: usize,
        /// The bound in bytes.
        allowed: usize,
    },
}

impl Document {
    /// Reads an object as a client sends it.
    ///
    /// # Errors
    ///
    /// Text that is no JSON object, too long or too deep; metadata, `apiVersion` or `kind` that is missing or of another type.
    pub fn parse(json: Bytes) -> Result<Self, DocumentError> {
        let document = Self::scan(json)?;
        if document.0.meta.resource_version.is_none() {
            return Ok(document);
        }
        // The stored form has no resource version in its bytes.
        document.with_meta(document.0.meta.clone())
    }

    /// Reads an object from the store's bytes, last written at `revision`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_stored(json: Bytes, revision: Revision) -> Result<Self, DocumentError> {
        Ok(Self::scan(json)?.at(revision))
    }

    /// The same object, last written at `revision`.
    pub(crate) fn at(mut self, revision: Revision) -> Self {
        self.set_revision(revision);
        self
    }

    /// Says when it was last written.
    pub(crate) fn set_revision(&mut self, revision: Revision) {
        let inner = Arc::make_mut(&mut self.0);
        inner.meta.resource_version = Some(revision);
        inner.typed.set_revision(revision);
    }

    /// Reads an object from a JSON map.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn from_raw(object: &RawObject) -> Result<Self, DocumentError> {
        Self::parse(serde_json::to_vec(object)?.into())
    }

    /// The document of a typed object.
    ///
    /// # Errors
    ///
    /// A value that serde cannot write as a JSON object; else as [`parse`](Self::parse).
    pub fn from_object<K: Object>(object: &K) -> Result<Self, DocumentError> {
        Self::from_raw(&raw_object(object)?)
    }

    fn scan(json: Bytes) -> Result<Self, DocumentError> {
        check_size(&json)?;
        let top: TopLevel<'_> = from_json(&json)?;
        let missing = |field: &str, example| DocumentError::Field {
            field: field.to_owned(),
            reason: format!("required, a string such as {example:?}"),
        };
        let span_of = |text: &str| {
            let start = text.as_ptr() as usize - json.as_ptr() as usize;
            Span {
                start: clipped(start),
                end: clipped(start + text.len()),
            }
        };
        let word = |raw: Option<&RawValue>, field, example| -> Result<Span, DocumentError> {
            // A plain string without escapes, which a kind or version never needs.
            let text = raw.and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"'));
            match text {
                Some(text) if !text.is_empty() && !text.contains('\\') => Ok(span_of(text)),
                _ => Err(missing(field, example)),
            }
        };
        let api_version = word(top.api_version, "apiVersion", "v1")?;
        let kind = word(top.kind, "kind", "Pod")?;
        let Some(metadata) = top.metadata else {
            return Err(DocumentError::Field {
                field: "metadata".to_owned(),
                reason: "required".to_owned(),
            });
        };
        let Apart { meta, record } =
            serde_json::from_str(metadata.get()).map_err(|_| metadata_error(metadata.get()))?;
        let record = record.map_or_else(Span::default, |record| span_of(record.get()));
        let metadata = span_of(metadata.get());
        let fields = top
            .rest
            .iter()
            .map(|(name, value)| (span_of(name), span_of(value.get())))
            .collect();
        Ok(Self(Arc::new(Inner {
            meta,
            api_version,
            kind,
            metadata,
            record,
            fields,
            json,
            typed: Typed::default(),
        })))
    }

    fn text(&self, span: Span) -> &str {
        // The spans were taken from `&str`s of these very bytes.
        std::str::from_utf8(&self.0.json[span.range()]).unwrap_or_default()
    }

    /// The object's `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.text(self.0.api_version)
    }

    /// The object's `kind`.
    pub fn kind(&self) -> &str {
        self.text(self.0.kind)
    }

    /// The metadata, resource version included, but for the record of who wrote what
    /// ([`record`](Self::record)).
    pub fn meta(&self) -> &ObjectMeta {
        &self.0.meta
    }

    /// The record of who wrote what (`metadata.managedFields`) as JSON, if there is one.
    pub fn record(&self) -> Option<&str> {
        Some(self.text(self.0.record)).filter(|record| !record.is_empty())
    }

    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.0.meta.namespace.as_deref(), &self.0.meta.name)
    }

    /// When the store last wrote it; zero for a document that was not read from a store.
    pub fn revision(&self) -> Revision {
        self.0.meta.resource_version.unwrap_or_default()
    }

    /// The bytes as stored: without the resource version.
    pub fn stored(&self) -> &Bytes {
        &self.0.json
    }

    /// The bytes as clients see them: with the resource version.
    pub fn to_json(&self) -> Bytes {
        if self.0.meta.resource_version.is_none() {
            return self.0.json.clone();
        }
        let mut out = Vec::with_capacity(self.0.json.len() + 40);
        self.write_json(&mut out);
        out.into()
    }

    /// Adds the bytes of [`to_json`](Self::to_json) to others, such as a list's.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        self.write_with_revision(0..self.0.json.len(), out);
    }

    /// Writes a part of the bytes that has the metadata in it.
    fn write_with_revision(&self, part: Range<usize>, out: &mut Vec<u8>) {
        let json = &self.0.json[..part.end];
        let Some(revision) = self.0.meta.resource_version else {
            out.extend_from_slice(&json[part]);
            return;
        };
        let inside = self.0.metadata.range().start + 1;
        let empty = json[inside..].trim_ascii_start().starts_with(b"}");
        out.extend_from_slice(&json[part.start..inside]);
        out.extend_from_slice(b"\"resourceVersion\":\"");
        // To memory, which does not fail.
        let _ = write!(out, "{revision}");
        out.push(b'"');
        if !empty {
            out.push(b',');
        }
        out.extend_from_slice(&json[inside..]);
    }

    /// Adds the metadata's bytes, with the resource version, to others.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        self.write_with_revision(self.0.metadata.range(), out);
    }

    /// A top-level field's JSON, `metadata`, `apiVersion` and `kind` apart.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.0.fields.iter().find(|(span, _)| self.text(*span) == name);
        field.map(|(_, value)| self.text(*value))
    }

    /// The value at a dotted path (`spec.nodeName`, `metadata.name`), parsing only what leads to it.
    ///
    /// Lists cannot be looked into, and names with dots are not found.
    pub fn lookup(&self, path: &str) -> Option<Value> {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let json = match first {
            "metadata" => self.text(self.0.metadata),
            "apiVersion" => return rest.is_empty().then(|| self.api_version().into()),
            "kind" => return rest.is_empty().then(|| self.kind().into()),
            name => self.field(name)?,
        };
        Lookup(rest)
            .deserialize(&mut serde_json::Deserializer::from_str(json))
            .ok()
            .flatten()
    }

    /// Decodes it into a Rust type, with its resource version.
    ///
    /// # Errors
    ///
    /// Names the first field that does not fit the type.
    pub fn decode<K: Object>(&self) -> Result<K, DocumentError> {
        Ok(from_json(&self.to_json())?)
    }

    /// Decodes it into a Rust type once, and shares what was decoded with all who ask for the same type.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use orch_core::object::{Document, Object, ObjectMeta};
    /// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
    /// # #[object(group = "example.com", kind = "Cat")]
    /// # struct Cat { metadata: ObjectMeta }
    /// let json = r#"{"apiVersion":"example.com/v1","kind":"Cat","metadata":{"name":"tom"}}"#;
    /// let document = Document::parse(json.into())?;
    /// let (one, other) = (document.typed::<Cat>()?, document.clone().typed::<Cat>()?);
    /// assert!(Arc::ptr_eq(&one, &other));
    /// # Ok::<(), orch_core::object::DocumentError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn typed<K: Object>(&self) -> Result<Arc<K>, DocumentError> {
        self.0.typed.get_or_try(|| self.decode())
    }

    /// What [`typed`](Self::typed) has decoded before, if that was this type.
    pub(crate) fn held<K: Object>(&self) -> Option<Arc<K>> {
        self.0.typed.held()
    }

    /// The whole object as a JSON map, with its resource version.
    ///
    /// # Errors
    ///
    /// None for what was stored through a client, which looks at depth and form before it writes.
    pub fn to_raw(&self) -> Result<RawObject, DocumentError> {
        Ok(from_json(&self.to_json())?)
    }

    /// The same object with top-level fields replaced, or added, and with another record of who wrote what if one is given: null for
    /// none.
    pub(crate) fn with_record_and_fields(
        &self,
        record: Option<&[u8]>,
        fields: &[(&str, &[u8])],
    ) -> Result<Self, DocumentError> {
        let Some(record) = record else {
            return self.rebuild(None, fields);
        };
        let record = Some(checked(record)?).filter(|record| *record != b"null");
        self.rebuild(Some((self.0.meta.clone(), record)), fields)
    }

    /// The same object with other metadata, of the revision that it names.
    pub(crate) fn with_meta(&self, meta: ObjectMeta) -> Result<Self, DocumentError> {
        let record = self.record().map(str::as_bytes);
        self.rebuild(Some((meta, record)), &[])
    }

    /// What is not replaced is copied, not parsed.
    fn rebuild(
        &self,
        meta: Option<(ObjectMeta, Option<&[u8]>)>,
        replace: &[(&str, &[u8])],
    ) -> Result<Self, DocumentError> {
        let more: usize = replace
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut new = Composed::with_capacity(self.0.json.len() + more + 64);
        new.copy(b"{\"apiVersion\":\"");
        let api_version = new.copy(self.api_version().as_bytes());
        new.copy(b"\",\"kind\":\"");
        let kind = new.copy(self.kind().as_bytes());
        new.copy(b"\",\"metadata\":");
        let (metadata, record, meta) = match meta {
            None => {
                let (was, record) = (self.0.metadata, self.0.record);
                let metadata = new.copy(&self.0.json[was.range()]);
                let record = match self.record() {
                    Some(_) => record.moved(was.start, metadata.start),
                    None => record,
                };
                (metadata, record, self.0.meta.clone())
            }
            Some((mut meta, record)) => {
                let revision = meta.resource_version.take();
                let (metadata, record) = new.metadata(&serde_json::to_vec(&meta)?, record);
                meta.resource_version = revision;
                (metadata, record, meta)
            }
        };
        let mut fields = Vec::with_capacity(self.0.fields.len() + replace.len());
        for (name, value) in &self.0.fields {
            let name = self.text(*name);
            let replaced = replace.iter().find(|(other, _)| *other == name);
            fields.push(match replaced {
                None => new.field(name, &self.0.json[value.range()]),
                Some((_, value)) => new.field(name, checked(value)?),
            });
        }
        for (at, (name, value)) in replace.iter().enumerate() {
            let is_taken = matches!(*name, "apiVersion" | "kind" | "metadata");
            let reason = if is_taken || replace[..at].iter().any(|(other, _)| other == name) {
                "given twice"
            } else if name.contains(['"', '\\']) || name.contains(char::is_control) {
                "no name of a field"
            } else {
                ""
            };
            if !reason.is_empty() {
                return Err(DocumentError::Field {
                    field: (*name).to_owned(),
                    reason: reason.to_owned(),
                });
            }
            if self.field(name).is_none() {
                fields.push(new.field(name, checked(value)?));
            }
        }
        new.copy(b"}");
        Ok(Self(Arc::new(Inner {
            meta,
            api_version,
            kind,
            metadata,
            record,
            fields: fields.into(),
            json: new.finish()?,
            typed: Typed::default(),
        })))
    }
}

/// A document's bytes as they are put together.
struct Composed(Vec<u8>);

impl Composed {
    fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Says where the bytes lie.
    fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = self.0.len();
        self.0.extend_from_slice(bytes);
        Span {
            start: clipped(start),
            end: clipped(self.0.len()),
        }
    }

    /// Says where its name and value lie.
    fn field(&mut self, name: &str, value: &[u8]) -> (Span, Span) {
        self.copy(b",\"");
        let name = self.copy(name.as_bytes());
        self.copy(b"\":");
        (name, self.copy(value))
    }

    /// Says where the metadata and, in it, the record lie.
    fn metadata(&mut self, json: &[u8], record: Option<&[u8]>) -> (Span, Span) {
        let Some(record) = record else {
            return (self.copy(json), Span::default());
        };
        // It always has a name.
        let metadata = self.copy(json.strip_suffix(b"}").unwrap_or(json));
        let (_, record) = self.field(RECORD, record);
        let end = self.copy(b"}").end;
        (Span { end, ..metadata }, record)
    }

    fn finish(self) -> Result<Bytes, DocumentError> {
        check_size(&self.0)?;
        Ok(self.0.into())
    }
}

/// The value without white space around it, if it is JSON.
fn checked(value: &[u8]) -> Result<&[u8], DocumentError> {
    let value: &RawValue = from_json(value)?;
    Ok(value.get().as_bytes())
}

fn check_size(json: &[u8]) -> Result<(), DocumentError> {
    let allowed = crate::store::limits::VALUE_BYTES;
    if json.len() > allowed {
        return Err(DocumentError::TooLarge {
            actual: json.len(),
            allowed,
        });
    }
    Ok(())
}

/// Where metadata does not fit: found by reading it again, for keeping track of the path costs as much as reading.
fn metadata_error(json: &str) -> DocumentError {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let error = serde_path_to_error::deserialize::<_, ObjectMeta>(&value).err();
    let path = error.as_ref().map(serde_path_to_error::Error::path);
    let reason = error.as_ref().map(|error| error.inner().to_string());
    DocumentError::Field {
        field: match path.filter(|path| path.iter().next().is_some()) {
            Some(path) => format!("metadata.{path}"),
            None => "metadata".to_owned(),
        },
        reason: reason.unwrap_or_else(|| "a field is given twice".to_owned()),
    }
}

/// A typed object as a JSON map, with its `apiVersion` and `kind`.
pub(crate) fn raw_object<K: Object>(object: &K) -> Result<RawObject, DocumentError> {
    let Value::Object(mut raw) = serde_json::to_value(object)? else {
        return Err(DocumentError::Field {
            field: String::new(),
            reason: "an object must be a JSON map".to_owned(),
        });
    };
    let resource = K::resource();
    raw.entry("apiVersion")
        .or_insert_with(|| resource.api_version().into());
    raw.entry("kind").or_insert_with(|| resource.kind.as_ref().into());
    Ok(raw)
}

/// Places beyond 32 bits are in no document: it would be longer than the store's largest value, and refused.
fn clipped(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.revision() == other.revision() && self.0.json == other.0.json
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
