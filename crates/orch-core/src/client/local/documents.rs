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

/// The newest documents by key, and those that they replaced, as watchers ask for both; kept until another key takes
/// their place, or they become too heavy.
///
/// A key's revision says all about its content, so what is found here is never out of date. What is being written has
/// no revision yet; it is known by its bytes, which the store hands out as it took them.
pub(crate) struct Documents {
    shelves: [Mutex<Vec<Option<Kept>>>; SHELVES],
    weight: AtomicUsize,
    /// The place that is cleared next.
    hand: AtomicUsize,
}

struct Kept {
    key: Key,
    document: Document,
    /// Whether it may be written one day: its revision is then still to come.
    is_expected: bool,
    /// What the key held before.
    before: Option<Document>,
}

impl Kept {
    /// The document, if it is what `key` holds since `modified`: it has the revision, or is to get it and has the bytes.
    fn find(&mut self, key: &Key, value: Option<&Bytes>, modified: Revision) -> Option<Document> {
        if self.key != *key {
            return None;
        }
        let stored = self.document.stored();
        let is_it = |value: &Bytes| value.as_ptr() == stored.as_ptr() && value.len() == stored.len();
        if self.is_expected && value.is_some_and(is_it) {
            self.document.set_revision(modified);
            self.is_expected = false;
        }
        let newest = (!self.is_expected).then_some(&self.document);
        let mut kept = newest.into_iter().chain(&self.before);
        kept.find(|kept| kept.revision() == modified).cloned()
    }

    fn weight(&self) -> usize {
        let before = self.before.as_ref().map_or(0, |before| before.stored().len());
        weight(self.document.stored().len() + before)
    }
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
        if let Some(document) = self.find(key, Some(value), modified) {
            return Ok(document);
        }
        let document = Document::from_stored(value.clone(), modified)?;
        self.put(key, &document, false);
        Ok(document)
    }

    /// Keeps a document that is about to be written, so that who reads it need not decode it; what was decoded of it
    /// stays with it. False if it is not kept.
    ///
    /// Nobody else should hold it: it is to get a revision.
    pub(super) fn expect(&self, key: &Key, document: &Document) -> bool {
        self.put(key, document, true)
    }

    /// Keeps a document, unless a newer one is here.
    fn put(&self, key: &Key, document: &Document, is_expected: bool) -> bool {
        if document.stored().len() > LONGEST {
            return false;
        }
        let (shelf, place) = Self::place(key);
        let mut shelf = self.shelves[shelf].lock();
        if shelf.is_empty() {
            shelf.resize_with(SHELF, || None);
        }
        let place = &mut shelf[place];
        let is_newer =
            |kept: &Kept| is_expected || kept.key != *key || kept.document.revision() < document.revision();
        if !place.as_ref().is_none_or(is_newer) {
            return false;
        }
        let replaced = place.take();
        let of_this_key = replaced.as_ref().filter(|kept| kept.key == *key);
        let before = of_this_key.and_then(|kept| match kept.is_expected {
            true => kept.before.clone(),
            false => Some(kept.document.clone()),
        });
        let kept = Kept {
            key: key.clone(),
            document: document.clone(),
            is_expected,
            before,
        };
        // Added first: the sum never runs below what is there.
        self.weight.fetch_add(kept.weight(), Relaxed);
        *place = Some(kept);
        drop(shelf);
        self.let_go(replaced);
        while self.weight.load(Relaxed) > HEAVIEST {
            let hand = self.hand.fetch_add(1, Relaxed) % PLACES;
            let mut shelf = self.shelves[hand / SHELF].lock();
            let kept = shelf.get_mut(hand % SHELF).and_then(Option::take);
            drop(shelf);
            self.let_go(kept);
        }
        true
    }

    fn let_go(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            self.weight.fetch_sub(kept.weight(), Relaxed);
        }
    }

    fn find(&self, key: &Key, value: Option<&Bytes>, modified: Revision) -> Option<Document> {
        let (shelf, place) = Self::place(key);
        let mut shelf = self.shelves[shelf].lock();
        shelf.get_mut(place)?.as_mut()?.find(key, value, modified)
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
            documents.put(&key, &document, false);
            documents.find(&key, None, Revision::new(1)).is_some()
        };
        assert!((0..10_000).all(|number| keep(number, 3_000)));
        let kept = || {
            let shelves = documents.shelves.iter();
            shelves.flat_map(|shelf| {
                let shelf = shelf.lock();
                let kept = shelf.iter().flatten();
                kept.map(Kept::weight).collect::<Vec<_>>()
            })
        };
        let weighs = || kept().sum::<usize>();
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

    #[test]
    fn what_is_written_is_not_decoded_again_and_nothing_else_is_taken_for_it() {
        let json = r#"{"apiVersion":"v1","kind":"Cat","metadata":{"name":"tom"}}"#;
        let before = Document::from_stored(json.into(), Revision::new(1)).unwrap();
        let (key, two) = (Key::from("tom".to_owned()), Revision::new(2));
        let expect = || {
            let documents = Documents::new();
            documents.put(&key, &before, false);
            let new = Document::from_stored(json.as_bytes().to_vec().into(), Revision::new(1)).unwrap();
            assert!(documents.expect(&key, &new));
            (documents, new.stored().clone(), new.meta() as *const _)
        };

        let (documents, bytes, meta) = expect();
        assert_eq!(
            documents.find(&key, None, Revision::new(1)).as_ref(),
            Some(&before),
            "the other is not written yet"
        );
        let written = documents.decode_value(&key, &bytes, two).unwrap();
        assert_eq!(
            (written.revision(), std::ptr::from_ref(written.meta())),
            (two, meta)
        );
        assert_eq!(documents.find(&key, None, two), Some(written));
        assert_eq!(
            documents.find(&key, None, Revision::new(1)).as_ref(),
            Some(&before)
        );

        let (documents, _, meta) = expect();
        let alike = Bytes::copy_from_slice(json.as_bytes());
        let other = documents.decode_value(&key, &alike, two).unwrap();
        assert_ne!(
            std::ptr::from_ref(other.meta()),
            meta,
            "who wrote these was another"
        );
        assert_eq!(documents.find(&key, None, two), Some(other));
    }
}
