//! What the store holds, as oracles and scenarios see it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::object::{Document, Object};
use crate::store::{Key, Revision};

/// What the store holds after some commit.
#[derive(Clone, Debug, Default)]
pub struct State {
    held: BTreeMap<Key, Held>,
    pub(super) revision: Revision,
}

/// What a key holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) revision: Revision,
    pub(super) value: Bytes,
    /// The object that it is; none if it is no object.
    pub(super) document: Option<Document>,
}

impl State {
    /// The commit after which it is so.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All keys with the commits that wrote them and their values, in key order.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, Revision, &Bytes)> {
        self.held
            .iter()
            .map(|(key, held)| (key, held.revision, &held.value))
    }

    /// All objects, in key order. What is no object is left out.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.held.values().filter_map(|held| held.document.as_ref())
    }

    /// All objects of a kind, in key order. What does not decode is left out.
    pub fn all<K: Object>(&self) -> Vec<Arc<K>> {
        let prefix = crate::client::prefix_of(&K::resource());
        let start: &[u8] = prefix.as_ref();
        self.held
            .range::<[u8], _>((Bound::Included(start), Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
            .filter_map(|(_, held)| held.document.as_ref()?.typed().ok())
            .collect()
    }

    /// Writes what `key` holds now; what it held before.
    pub(super) fn put(&mut self, key: &Key, held: Held) -> Option<Held> {
        self.held.insert(key.clone(), held)
    }

    /// Deletes what `key` holds; what it held.
    pub(super) fn delete(&mut self, key: &Key) -> Option<Held> {
        self.held.remove(key)
    }

    pub(super) fn held(&self, key: &Key) -> Option<&Held> {
        self.held.get(key)
    }
}

/// One key's change in a commit, and the state that it led to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Written<'a> {
    /// When, since the start.
    pub at: Duration,
    /// Which component committed it.
    pub by: &'a str,
    /// The key.
    pub key: &'a Key,
    /// Everything, after this commit.
    pub state: &'a State,
    /// Whether nothing has gone wrong in this run so far: then more can be asked for than in a storm.
    pub is_calm: bool,
    pub(super) before: Option<&'a Held>,
}

impl<'a> Written<'a> {
    /// The object that the key held before; none if it did not exist, or held none.
    pub fn before(&self) -> Option<&'a Document> {
        self.before?.document.as_ref()
    }

    /// The object that the key holds now; none if it was deleted, or holds none.
    pub fn after(&self) -> Option<&'a Document> {
        self.state.held(self.key)?.document.as_ref()
    }

    /// What the key held before, as an object of this kind; none if it is of another.
    pub fn was<K: Object>(&self) -> Option<Arc<K>> {
        self.typed(self.before())
    }

    /// What the key holds now, as an object of this kind; none if it is of another.
    pub fn is<K: Object>(&self) -> Option<Arc<K>> {
        self.typed(self.after())
    }

    fn typed<K: Object>(&self, document: Option<&Document>) -> Option<Arc<K>> {
        if !crate::client::prefix_of(&K::resource()).contains(self.key) {
            return None;
        }
        document?.typed().ok()
    }
}
