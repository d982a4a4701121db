//! What the store holds, as oracles and scenarios see it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use crate::object::{Document, Object};
use crate::store::{Key, Op, Revision};

/// What the store holds after some commit.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(super) held: BTreeMap<Key, (Revision, Bytes)>,
    pub(super) revision: Revision,
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
            .map(|(key, (revision, value))| (key, *revision, value))
    }

    /// All objects, in key order. What is no object is left out.
    pub fn documents(&self) -> impl Iterator<Item = Document> {
        self.entries()
            .filter_map(|(_, revision, value)| Document::from_stored(value.clone(), revision).ok())
    }

    /// All objects of a kind, in key order. What does not decode is left out.
    pub fn all<K: Object>(&self) -> Vec<K> {
        let prefix = crate::client::prefix_of(&K::resource());
        let start: &[u8] = prefix.as_ref();
        self.held
            .range::<[u8], _>((Bound::Included(start), Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
            .filter_map(|(_, (revision, value))| Document::from_stored(value.clone(), *revision).ok())
            .filter_map(|document| document.decode().ok())
            .collect()
    }

    /// Makes a change; what it changed, if it did.
    pub(super) fn apply(
        &mut self,
        op: Op,
        revision: Revision,
    ) -> Option<(Key, Option<Bytes>, Option<Bytes>)> {
        let (key, before, after) = match op {
            Op::Put { key, value } => {
                let before = self.held.insert(key.clone(), (revision, value.clone()));
                (key, before, Some(value))
            }
            Op::Delete { key } => {
                let before = self.held.remove(&key);
                before.as_ref()?;
                (key, before, None)
            }
        };
        Some((key, before.map(|(_, value)| value), after))
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
    /// What it held before; none if it did not exist.
    pub before: Option<&'a Bytes>,
    /// What it holds now; none if it was deleted.
    pub after: Option<&'a Bytes>,
    /// Everything, after this commit.
    pub state: &'a State,
}

impl Written<'_> {
    /// What the key held before, as an object of this kind; none if it is of another.
    pub fn was<K: Object>(&self) -> Option<K> {
        self.decode(self.before)
    }

    /// What the key holds now, as an object of this kind; none if it is of another.
    pub fn is<K: Object>(&self) -> Option<K> {
        self.decode(self.after)
    }

    fn decode<K: Object>(&self, value: Option<&Bytes>) -> Option<K> {
        if !crate::client::prefix_of(&K::resource()).contains(self.key) {
            return None;
        }
        let document = Document::from_stored(value?.clone(), self.state.revision).ok()?;
        document.decode().ok()
    }
}
