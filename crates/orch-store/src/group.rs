//! Applies a group of transactions, one after the other, to a snapshot.

use std::sync::Arc;

use orch_core::store::changelog::{Commit, Record, Version};
use orch_core::store::{CommitError, Committed, Key, Op, Revision, Txn};

use crate::error::Fault;
use crate::known::Known;
use crate::snapshot::Snapshot;

/// The transactions of a group that were applied so far.
pub(crate) struct Group<'a> {
    snapshot: &'a Snapshot,
    known: &'a mut Known,
    revision: Revision,
    commits: Vec<Arc<Commit>>,
}

impl<'a> Group<'a> {
    /// A group that follows `snapshot`, of which `known` tells the truth. If the group is given up, it does no longer.
    pub(crate) fn begin(snapshot: &'a Snapshot, known: &'a mut Known) -> Self {
        Self {
            snapshot,
            known,
            revision: snapshot.revision,
            commits: Vec::new(),
        }
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
            records.extend(self.change(op, revision)?);
        }
        let changed = !records.is_empty();
        if changed {
            self.revision = revision;
            self.commits.push(Arc::new(Commit::new(revision, records)));
        }
        Ok(Ok(Committed {
            revision: self.revision,
            changed,
        }))
    }

    /// The commits of the group.
    pub(crate) fn finish(self) -> Vec<Arc<Commit>> {
        self.commits
    }

    fn look_up(&mut self, key: &Key) -> Result<&mut Option<Version>, Fault> {
        self.known.look_up(key, || self.snapshot.get(key))
    }

    /// Makes one change; none if a key to delete is absent.
    fn change(&mut self, op: Op, revision: Revision) -> Result<Option<Record>, Fault> {
        let known = self.look_up(op.key())?;
        let previous = known.clone();
        let (key, current) = match op {
            Op::Put { key, value } => {
                let version = Version {
                    value,
                    created: previous.as_ref().map_or(revision, |version| version.created),
                    modified: revision,
                };
                (key, Some(version))
            }
            Op::Delete { .. } if previous.is_none() => return Ok(None),
            Op::Delete { key } => (key, None),
        };
        known.clone_from(&current);
        self.known.count(&current);
        Ok(Some(Record {
            key,
            current,
            previous,
        }))
    }
}
