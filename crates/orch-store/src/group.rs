//! Applies a group of transactions, one after the other, to one redb transaction.

use std::collections::HashMap;

use orch_core::store::changelog::{Commit, Record, Version};
use orch_core::store::{CommitError, Committed, Key, Op, Revision, Txn};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::error::Fault;
use crate::format::{CURRENT, HISTORY, VALUE_HEADER, read_value, write_value};
use crate::history::RowWriter;

/// The transactions of a group that were applied so far.
pub(crate) struct Group<'txn> {
    current: Table<'txn, &'static [u8], &'static [u8]>,
    /// What keys hold that were looked at or written: a compare and the write after it look once.
    known: HashMap<Key, Option<Version>>,
    rows: RowWriter,
    revision: Revision,
    commits: Vec<Commit>,
}

impl<'txn> Group<'txn> {
    /// Begins after `revision` and `history_end` bytes of history.
    pub(crate) fn begin(
        txn: &'txn WriteTransaction,
        revision: Revision,
        history_end: u64,
    ) -> Result<Self, Fault> {
        Ok(Self {
            current: txn.open_table(CURRENT)?,
            known: HashMap::new(),
            rows: RowWriter::new(history_end),
            revision,
            commits: Vec::new(),
        })
    }

    /// The revision of the last transaction that changed something.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Applies one transaction, or answers why not. A fault means that the group must be given up.
    pub(crate) fn apply(&mut self, txn: Txn) -> Result<Result<Committed, CommitError>, Fault> {
        for compare in &txn.compares {
            let actual = self
                .look_up(&compare.key)?
                .as_ref()
                .map(|version| version.modified);
            if !compare.expect.holds(actual) {
                return Ok(Err(CommitError::Conflict {
                    key: compare.key.clone(),
                    expected: compare.expect,
                    actual,
                }));
            }
        }
        let revision = self.revision.next();
        let mut records = Vec::with_capacity(txn.ops.len());
        for op in txn.ops {
            if let Some(record) = self.change(op, revision)? {
                let position =
                    u32::try_from(records.len()).expect("a transaction has at most 1,024 operations");
                self.rows.push(revision, position, &record);
                records.push(record);
            }
        }
        let changed = !records.is_empty();
        if changed {
            self.revision = revision;
            self.commits.push(Commit::new(revision, records));
        }
        Ok(Ok(Committed {
            revision: self.revision,
            changed,
        }))
    }

    /// Writes the history of the group; gives its commits and the end of the history.
    pub(crate) fn finish(self, txn: &WriteTransaction) -> Result<(Vec<Commit>, u64), Fault> {
        let (rows, end) = self.rows.finish();
        let mut history = txn.open_table(HISTORY)?;
        for (key, row) in rows {
            history.insert(key, row.as_slice())?;
        }
        Ok((self.commits, end))
    }

    fn look_up(&mut self, key: &Key) -> Result<&Option<Version>, Fault> {
        if !self.known.contains_key(key) {
            let stored = self.current.get(key.as_ref())?;
            let version = stored.map(|stored| read_value(stored.value())).transpose()?;
            self.known.insert(key.clone(), version);
        }
        Ok(&self.known[key])
    }

    /// Makes one change; none if a key to delete is absent.
    fn change(&mut self, op: Op, revision: Revision) -> Result<Option<Record>, Fault> {
        let previous = self.look_up(op.key())?.clone();
        Ok(match op {
            Op::Put { key, value } => {
                let version = Version {
                    value,
                    created: previous.as_ref().map_or(revision, |version| version.created),
                    modified: revision,
                };
                let length = VALUE_HEADER + version.value.len();
                write_value(
                    self.current.insert_reserve(key.as_ref(), length)?.as_mut(),
                    &version,
                );
                self.known.insert(key.clone(), Some(version.clone()));
                Some(Record {
                    key,
                    current: Some(version),
                    previous,
                })
            }
            Op::Delete { .. } if previous.is_none() => None,
            Op::Delete { key } => {
                self.current.remove(key.as_ref())?;
                self.known.insert(key.clone(), None);
                Some(Record {
                    key,
                    current: None,
                    previous,
                })
            }
        })
    }
}
