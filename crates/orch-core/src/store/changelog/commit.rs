//! A commit as the log holds it.

use bytes::Bytes;

use crate::store::{Change, Entry, Key, Prefix, Revision};

/// What a key held from one commit on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The value, shared with whoever else holds it.
    pub value: Bytes,
    /// The commit that created the key.
    pub created: Revision,
    /// The commit that wrote this value.
    pub modified: Revision,
}

impl Version {
    /// The entry this version makes under `key`.
    pub fn entry(&self, key: &Key) -> Entry {
        Entry {
            key: key.clone(),
            value: self.value.clone(),
            created: self.created,
            modified: self.modified,
        }
    }
}

/// One key's change: a [`Change`] that holds its key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key that changed.
    pub key: Key,
    /// What it holds now; none if it was deleted.
    pub current: Option<Version>,
    /// What it held before; none if it was created.
    pub previous: Option<Version>,
}

impl Record {
    /// The change as a watcher sees it.
    pub fn change(&self) -> Change {
        let entry =
            |version: &Option<Version>| -> Option<Entry> { version.as_ref().map(|v| v.entry(&self.key)) };
        Change {
            key: self.key.clone(),
            current: entry(&self.current),
            previous: entry(&self.previous),
        }
    }

    fn heap_cost(&self) -> usize {
        let value = |version: &Option<Version>| version.as_ref().map_or(0, |v| v.value.len());
        self.key.as_ref().len() + value(&self.current) + value(&self.previous)
    }
}

/// All that one commit changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commit's revision.
    pub revision: Revision,
    cost: usize,
    records: Records,
}

/// Most commits change one key: those need no second allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Records {
    One(Record),
    Many(Box<[Record]>),
}

impl Commit {
    /// The commit that made `records`, a key at most once in it.
    pub fn new(revision: Revision, mut records: Vec<Record>) -> Self {
        match (records.pop(), records.is_empty()) {
            (Some(record), true) => Self::one(revision, record),
            (last, _) => {
                records.extend(last);
                Self {
                    revision,
                    cost: size_of::<Self>()
                        + records
                            .iter()
                            .map(|r| size_of::<Record>() + r.heap_cost())
                            .sum::<usize>(),
                    records: Records::Many(records.into()),
                }
            }
        }
    }

    /// The commit that made `record` alone.
    pub fn one(revision: Revision, record: Record) -> Self {
        Self {
            revision,
            cost: size_of::<Self>() + record.heap_cost(),
            records: Records::One(record),
        }
    }

    /// What it changed, in the transaction's order.
    pub fn records(&self) -> &[Record] {
        match &self.records {
            Records::One(record) => std::slice::from_ref(record),
            Records::Many(records) => records,
        }
    }

    /// About how many bytes it keeps alive. A value that a later commit replaces is counted in both.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Whether it changed a key under `prefix`.
    pub fn touches(&self, prefix: &Prefix) -> bool {
        self.records().iter().any(|record| prefix.contains(&record.key))
    }

    /// What it changed under `prefix`, as a watcher sees it.
    pub fn changes<'a>(&'a self, prefix: &'a Prefix) -> impl Iterator<Item = (Revision, Change)> + 'a {
        self.records()
            .iter()
            .filter(|record| prefix.contains(&record.key))
            .map(|record| (self.revision, record.change()))
    }
}
