//! Every key's versions since the last compaction, in key order.

use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::store::changelog::{Record, Version};
use crate::store::{Expect, Key, Op, Prefix, Revision};

#[derive(Debug, Default)]
pub(super) struct Versions(BTreeMap<Key, History>);

/// What one key held. Most keys have one version, so the older ones cost a pointer.
#[derive(Debug)]
struct History {
    newest: Version,
    /// Oldest first; never an empty box.
    #[expect(
        clippy::box_collection,
        reason = "a deque is four words, and most keys have none"
    )]
    older: Option<Box<VecDeque<Version>>>,
}

impl Versions {
    /// What `key` holds now.
    pub(super) fn newest(&self, key: &Key) -> Option<&Version> {
        self.0.get(key)?.newest.live()
    }

    /// The keys under `prefix`, from `from` on, that existed at `at`, with what they held then.
    pub(super) fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        from: Option<&Key>,
        at: Revision,
    ) -> impl Iterator<Item = (&'a Key, &'a Version)> {
        let prefix: &[u8] = prefix.as_ref();
        let start = from.map_or(prefix, |from| prefix.max(from.as_ref()));
        self.0
            .range::<[u8], _>((Bound::Included(start), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_ref().starts_with(prefix))
            .filter_map(move |(key, history)| Some((key, history.at(at)?)))
    }

    /// Makes the change that `op` asks for as of `revision`, which is later than every other; none if there is
    /// nothing to change. If `expected` does not hold of the key, nothing is changed and the error is its revision.
    pub(super) fn apply(
        &mut self,
        op: Op,
        expected: Option<Expect>,
        revision: Revision,
    ) -> Result<Option<Record>, Option<Revision>> {
        let holds = |previous: Option<&Version>| {
            let actual = previous.map(|version| version.modified);
            match expected {
                Some(expected) if !expected.holds(actual) => Err(actual),
                _ => Ok(()),
            }
        };
        let (key, value) = match op {
            Op::Put { key, value } => (key, Some(value)),
            Op::Delete { key } => (key, None),
        };
        // One search for the key, whatever is to be done: in a large store that is most of a commit.
        match self.0.entry(key) {
            Vacant(entry) => {
                holds(None)?;
                let Some(value) = value else { return Ok(None) };
                let version = Version {
                    value,
                    created: revision,
                    modified: revision,
                };
                let key = entry.key().clone();
                entry.insert(History {
                    newest: version.clone(),
                    older: None,
                });
                Ok(Some(Record {
                    key,
                    current: Some(version),
                    previous: None,
                }))
            }
            Occupied(mut entry) => {
                let previous = entry.get().newest.live().cloned();
                holds(previous.as_ref())?;
                if value.is_none() && previous.is_none() {
                    return Ok(None);
                }
                let current = value.map(|value| Version {
                    value,
                    created: previous.as_ref().map_or(revision, |previous| previous.created),
                    modified: revision,
                });
                let newest = current.clone().unwrap_or_else(|| Version::tombstone(revision));
                entry.get_mut().push(newest);
                Ok(Some(Record {
                    key: entry.key().clone(),
                    current,
                    previous,
                }))
            }
        }
    }

    /// Drops what `key` held before `revision`, one at which it changed; all trace of it if that was a deletion.
    pub(super) fn forget_before(&mut self, key: &Key, revision: Revision) {
        let Some(history) = self.0.get_mut(key) else {
            return;
        };
        if let Some(older) = &mut history.older {
            while older.front().is_some_and(|version| {
                version.modified < revision || version.live().is_none() && version.modified == revision
            }) {
                older.pop_front();
            }
            if older.is_empty() {
                history.older = None;
            }
        }
        if history.older.is_none() && history.newest.modified == revision && history.newest.live().is_none() {
            self.0.remove(key);
        }
    }

    /// How many versions are held, of how many keys.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let older = |history: &History| history.older.as_ref().map_or(0, |older| older.len());
        (
            self.0.values().map(|history| 1 + older(history)).sum(),
            self.0.len(),
        )
    }
}

impl History {
    fn push(&mut self, version: Version) {
        let replaced = std::mem::replace(&mut self.newest, version);
        self.older.get_or_insert_default().push_back(replaced);
    }

    fn at(&self, at: Revision) -> Option<&Version> {
        if self.newest.modified <= at {
            return self.newest.live();
        }
        let older = self.older.as_ref()?;
        let after = older.partition_point(|version| version.modified <= at);
        older.get(after.checked_sub(1)?)?.live()
    }
}

/// A deletion is held as a version that no commit created.
impl Version {
    fn tombstone(revision: Revision) -> Self {
        Self {
            value: Bytes::new(),
            created: Revision::ZERO,
            modified: revision,
        }
    }

    fn live(&self) -> Option<&Self> {
        (self.created != Revision::ZERO).then_some(self)
    }
}
