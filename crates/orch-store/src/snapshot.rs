//! One committed state of the store, shared by all who read it.

use std::sync::Arc;

use orch_core::store::changelog::{Appended, ChangeLog, Commit, Version};
use orch_core::store::{Key, Revision};
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use crate::error::Fault;
use crate::format::{CURRENT, HISTORY, read_value};
use crate::history::RowKey;
use crate::layer::Layer;
use crate::undo::Kept;

/// The state after one group of commits: what the file holds, and over it what it does not hold yet.
///
/// The three parts belong together. A checkpoint moves commits from one to the next, which changes no answer: a
/// reader holds one snapshot, with the parts as they were.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    /// All commits up to its own revision.
    pub(crate) base: Arc<Base>,
    /// The commits after `base` that a checkpoint is bringing into the file.
    pub(crate) frozen: Layer,
    /// The commits after `frozen`.
    pub(crate) fresh: Layer,
}

/// The file as of a checkpoint. A read costs no transaction of its own.
pub(crate) struct Base {
    pub(crate) revision: Revision,
    pub(crate) current: ReadOnlyTable<&'static [u8], &'static [u8]>,
    transaction: ReadTransaction,
}

/// A row of the history as the file has it.
pub(crate) type Row = (RowKey, redb::AccessGuard<'static, &'static [u8]>);

impl Base {
    /// What the file holds now, which is everything up to `revision`.
    pub(crate) fn take(database: &Database, revision: Revision) -> Result<Arc<Self>, Fault> {
        let transaction = database.begin_read()?;
        Ok(Arc::new(Self {
            revision,
            current: transaction.open_table(CURRENT)?,
            transaction,
        }))
    }

    /// The rows that hold the changes after `after`, up to the base's own revision, oldest first.
    pub(crate) fn rows_after(
        &self,
        after: Revision,
    ) -> Result<impl Iterator<Item = Result<Row, Fault>> + use<>, Fault> {
        self.rows_from((after.next().get(), 0))
    }

    /// The rows from this one on.
    pub(crate) fn rows_from(
        &self,
        first: RowKey,
    ) -> Result<impl Iterator<Item = Result<Row, Fault>> + use<>, Fault> {
        let history = self.transaction.open_table(HISTORY)?;
        let rows = history.range(first..)?;
        Ok(rows.map(|row| row.map(|(key, row)| (key.value(), row)).map_err(Fault::from)))
    }
}

impl Snapshot {
    /// The state of a file to which nothing was added.
    pub(crate) fn of(base: Arc<Base>, compacted: Revision) -> Self {
        Self {
            revision: base.revision,
            compacted,
            base,
            frozen: Layer::default(),
            fresh: Layer::default(),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Version>, Fault> {
        if let Some(version) = self.fresh.get(key).or_else(|| self.frozen.get(key)) {
            return Ok(version.clone());
        }
        self.base
            .current
            .get(key.as_ref())?
            .map(|stored| read_value(stored.value()))
            .transpose()
    }
}

/// What readers, watchers and the writer share.
pub(crate) struct Shared {
    /// None once the store is closed. Written together with `log`: who has a snapshot finds its commits there.
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    /// **Invariant**: holds every commit after the snapshot's base, but for those that are compacted.
    pub(crate) log: ChangeLog,
    pub(crate) kept: Kept,
}

/// The newest commits of a snapshot.
pub(crate) struct Recent {
    /// All commits after this revision are there.
    pub(crate) after: Revision,
    pub(crate) commits: Vec<Arc<Commit>>,
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot, log: ChangeLog) -> Self {
        Self {
            snapshot: RwLock::new(Some(Arc::new(snapshot))),
            log,
            kept: Kept::default(),
        }
    }

    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Fault> {
        self.snapshot.read().clone().ok_or(Fault::Closed)
    }

    /// The newest snapshot, and its commits after `at`; if they are not all in memory, those that its file lacks.
    ///
    /// None are given of a past that is compacted or not yet.
    pub(crate) fn snapshot_since(&self, at: Option<Revision>) -> Result<(Arc<Snapshot>, Recent), Fault> {
        // Held until both are read: the log lets go of what a newer snapshot finds in its file.
        let newest = self.snapshot.read();
        let snapshot = newest.clone().ok_or(Fault::Closed)?;
        let Some(at) = at.filter(|at| (snapshot.compacted..snapshot.revision).contains(at)) else {
            let after = snapshot.revision;
            let commits = Vec::new();
            return Ok((snapshot, Recent { after, commits }));
        };
        let commits_after = |after| {
            let commits = self.log.commits(after, snapshot.revision)?;
            Some(Recent { after, commits })
        };
        let recent = commits_after(at)
            .or_else(|| commits_after(at.max(snapshot.base.revision)))
            .expect("the log holds what is neither in the file nor compacted");
        Ok((snapshot, recent))
    }

    /// Makes a new snapshot of the newest, with these commits, which are new with it.
    ///
    /// Nothing is done once the store is closed.
    pub(crate) fn publish(
        &self,
        commits: Vec<Arc<Commit>>,
        change: impl FnOnce(&mut Snapshot),
    ) -> Vec<Appended> {
        let mut appended = Vec::with_capacity(commits.len());
        let mut newest = self.snapshot.write();
        let Some(replaced) = newest.take() else {
            return appended;
        };
        let mut snapshot = Snapshot::clone(&replaced);
        change(&mut snapshot);
        let compacted = snapshot.compacted;
        *newest = Some(Arc::new(snapshot));
        appended.extend(commits.into_iter().map(|commit| self.log.append(commit)));
        drop(newest);
        // After the snapshot that says so.
        if compacted > replaced.compacted {
            self.log.trim(compacted, usize::MAX);
        }
        appended
    }

    /// Lets nobody read any more.
    pub(crate) fn end_reads(&self) {
        let last = self.snapshot.write().take();
        drop(last);
    }
}
