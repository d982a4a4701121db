//! Documents decoded lately, so that what was just written is not decoded again by everybody who reads it.

use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;

use crate::object::{Document, DocumentError};
use crate::store::{Entry, Key, Revision};

/// How many are kept: a power of two, each key in one place of its own.
const PLACES: usize = 4096;
/// Longer documents are not kept, which bounds all of them to 16 MiB of JSON. What was decoded of one is held with it,
/// up to seven times as much.
const LONGEST: usize = 4 << 10;

/// The newest documents by key, each kept until another key takes its place.
///
/// A key's revision says all about its content, so what is found here is never out of date.
pub(super) struct Documents(Box<[Mutex<Option<(Key, Document)>>]>);

impl Documents {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::new(None)).collect())
    }

    /// The document of a store's entry.
    pub(super) fn decode(&self, entry: &Entry) -> Result<Document, DocumentError> {
        if let Some(document) = self.find(&entry.key, entry.modified) {
            return Ok(document);
        }
        let document = Document::from_stored(entry.value.clone(), entry.modified)?;
        self.keep(entry.key.clone(), &document);
        Ok(document)
    }

    /// Keeps a document that its key holds, unless a newer one is here.
    pub(super) fn keep(&self, key: Key, document: &Document) {
        if document.stored().len() > LONGEST {
            return;
        }
        let mut place = self.place(&key).lock();
        let is_newer =
            |(kept, other): &(Key, Document)| *kept != key || other.revision() < document.revision();
        if place.as_ref().is_none_or(is_newer) {
            *place = Some((key, document.clone()));
        }
    }

    fn find(&self, key: &Key, modified: Revision) -> Option<Document> {
        let place = self.place(key).lock();
        let (kept, document) = place.as_ref()?;
        (kept == key && document.revision() == modified).then(|| document.clone())
    }

    fn place(&self, key: &Key) -> &Mutex<Option<(Key, Document)>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default();
        &self.0[hash]
    }
}
