//! Documents decoded lately, so that what was just written is not decoded again by everybody who reads it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::object::{Document, DocumentError};
use crate::store::{Entry, Key, Revision};

/// How many are kept at most, each key in one place of its own.
const PLACES: usize = SHELVES * SHELF;
/// They stand on so many shelves, each with a lock of its own.
const SHELVES: usize = 64;
/// So many on each, which takes memory once the first is put there.
const SHELF: usize = 64;
/// Longer documents are not kept.
const LONGEST: usize = 4 << 10;
/// What all that are kept may [weigh](weight).
const HEAVIEST: usize = 32 << 20;

/// What a value of so many bytes may come to in memory, in bytes: its JSON, and with it the metadata and whatever type
/// was decoded of it, which measured up to seven times as much for a pod.
pub(super) fn weight(json: usize) -> usize {
    8 * json
}

/// The newest documents by key, each kept until another key takes its place, or they become too heavy.
///
/// A key's revision says all about its content, so what is found here is never out of date.
pub(crate) struct Documents {
    shelves: [Mutex<Vec<Option<(Key, Document)>>>; SHELVES],
    weight: AtomicUsize,
    /// The place that is cleared next.
    hand: AtomicUsize,
}

impl Documents {
    pub(crate) fn new() -> Self {
        Self {
            shelves: [const { Mutex::new(Vec::new()) }; SHELVES],
            weight: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
        }
    }

    /// The document of a store's entry.
    pub(super) fn decode(&self, entry: &Entry) -> Result<Document, DocumentError> {
        self.decode_value(&entry.key, &entry.value, entry.modified)
    }

    /// The document that `key` holds since `modified`.
    pub(crate) fn decode_value(
        &self,
        key: &Key,
        value: &Bytes,
        modified: Revision,
    ) -> Result<Document, DocumentError> {
        if let Some(document) = self.find(key, modified) {
            return Ok(document);
        }
        let document = Document::from_stored(value.clone(), modified)?;
        self.keep(key.clone(), &document);
        Ok(document)
    }

    /// Keeps a document that its key holds, unless a newer one is here.
    pub(super) fn keep(&self, key: Key, document: &Document) {
        if document.stored().len() > LONGEST {
            return;
        }
        let (shelf, place) = Self::place(&key);
        let mut shelf = self.shelves[shelf].lock();
        if shelf.is_empty() {
            shelf.resize_with(SHELF, || None);
        }
        let place = &mut shelf[place];
        let is_newer =
            |(kept, other): &(Key, Document)| *kept != key || other.revision() < document.revision();
        if !place.as_ref().is_none_or(is_newer) {
            return;
        }
        // Added first: the sum never runs below what is there.
        self.weight.fetch_add(weight(document.stored().len()), Relaxed);
        let before = place.replace((key, document.clone()));
        drop(shelf);
        self.let_go(before);
        while self.weight.load(Relaxed) > HEAVIEST {
            let hand = self.hand.fetch_add(1, Relaxed) % PLACES;
            let mut shelf = self.shelves[hand / SHELF].lock();
            let kept = shelf.get_mut(hand % SHELF).and_then(Option::take);
            drop(shelf);
            self.let_go(kept);
        }
    }

    fn let_go(&self, kept: Option<(Key, Document)>) {
        if let Some((_, document)) = kept {
            self.weight.fetch_sub(weight(document.stored().len()), Relaxed);
        }
    }

    fn find(&self, key: &Key, modified: Revision) -> Option<Document> {
        let (shelf, place) = Self::place(key);
        let shelf = self.shelves[shelf].lock();
        let (kept, document) = shelf.get(place)?.as_ref()?;
        (kept == key && document.revision() == modified).then(|| document.clone())
    }

    /// The shelf and the place on it where a key's document stands.
    fn place(key: &Key) -> (usize, usize) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let hash = usize::try_from(hasher.finish() % PLACES as u64).unwrap_or_default();
        (hash / SHELF, hash % SHELF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_weighs_no_more_than_it_may() {
        let documents = Documents::new();
        let keep = |number: usize, bytes: usize| {
            let name = format!("cat-{number}");
            let json = format!(
                r#"{{"apiVersion":"v1","kind":"Cat","metadata":{{"name":"{name}"}},"text":"{}"}}"#,
                "x".repeat(bytes)
            );
            let document = Document::from_stored(json.into(), Revision::new(1)).unwrap();
            let key = Key::from(name);
            documents.keep(key.clone(), &document);
            documents.find(&key, Revision::new(1)).is_some()
        };
        assert!((0..10_000).all(|number| keep(number, 3_000)));
        let kept = || {
            let shelves = documents.shelves.iter();
            shelves.flat_map(|shelf| shelf.lock().iter().flatten().cloned().collect::<Vec<_>>())
        };
        let weighs = || {
            kept()
                .map(|(_, document)| weight(document.stored().len()))
                .sum::<usize>()
        };
        assert_eq!(weighs(), documents.weight.load(Relaxed));
        assert!(
            weighs() <= HEAVIEST && kept().count() > 1_000,
            "{} {}",
            weighs(),
            kept().count()
        );
        assert!(
            (0..10_000).all(|number| keep(number, 10)),
            "lighter ones take their places"
        );
        assert_eq!(weighs(), documents.weight.load(Relaxed));
        assert!(!keep(0, LONGEST));
    }
}
