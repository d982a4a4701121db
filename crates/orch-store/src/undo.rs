//! What keys held at a past revision: the changes since then, undone.

use std::collections::BTreeMap;

use bytes::Bytes;
use orch_core::store::changelog::Version;
use orch_core::store::{Key, Prefix, Revision};
use parking_lot::Mutex;

use crate::error::Fault;
use crate::history::{RowKey, RowReader};
use crate::snapshot::{Recent, Snapshot};

/// Rows of the file read before other tasks may run; a row is 64 KiB or one change.
const STEP_ROWS: usize = 32;
/// Commits in memory looked at before other tasks may run.
const STEP_COMMITS: usize = 1024;
/// Most bytes of keys and values that are kept from one page of a list to the next.
const KEPT_BYTES: usize = 4 << 20;

/// What changed keys held before; none where they did not exist.
pub(crate) type Undone = BTreeMap<Key, Option<Version>>;

/// The changes after a revision, undone as far as they have been read.
///
/// What a key held at a revision is told by the oldest change after it, and never changes any more: a later snapshot
/// only adds keys. So the next page of a list goes on with what the page before has read.
pub(crate) struct Undoing {
    at: Revision,
    prefix: Prefix,
    /// Keys before this one are not asked for.
    from: Key,
    /// The first change that was not read stands in this row of the history, or a later one.
    next: RowKey,
    undone: Undone,
}

impl Undoing {
    pub(crate) fn new(at: Revision, prefix: &Prefix, from: &Key) -> Self {
        Self {
            at,
            prefix: prefix.clone(),
            from: from.clone(),
            next: (at.next().get(), 0),
            undone: Undone::new(),
        }
    }

    /// What the keys held that changed up to the snapshots it was brought to.
    pub(crate) fn undone(&self) -> &Undone {
        &self.undone
    }

    /// Undoes what came before the snapshot and was not undone yet; gives way to other tasks as it goes.
    pub(crate) async fn bring_to(&mut self, snapshot: &Snapshot, recent: &Recent) -> Result<(), Fault> {
        // The oldest change tells: first those that only the file has.
        while self.next.0 <= recent.after.get() {
            if !self.step(snapshot)? {
                break;
            }
            tokio::task::yield_now().await;
        }
        let first = recent
            .commits
            .partition_point(|commit| commit.revision.get() < self.next.0);
        for some in recent.commits[first..].chunks(STEP_COMMITS) {
            for record in some.iter().flat_map(|commit| commit.records()) {
                if self.asks_for(record.key.as_ref()) {
                    self.undo(record.key.clone(), || record.previous.clone());
                }
            }
            if some.len() == STEP_COMMITS {
                tokio::task::yield_now().await;
            }
        }
        self.next = self.next.max((snapshot.revision.next().get(), 0));
        Ok(())
    }

    /// Reads some rows of the file; false if there were no more.
    fn step(&mut self, snapshot: &Snapshot) -> Result<bool, Fault> {
        let mut rows = snapshot.base.rows_from(self.next)?;
        for _ in 0..STEP_ROWS {
            let Some(row) = rows.next() else {
                return Ok(false);
            };
            let ((revision, position), row) = row?;
            for change in RowReader::new(row.value())?.0 {
                let change = change?;
                if change.revision > self.at && self.asks_for(change.key) {
                    let key = Key::from(Bytes::copy_from_slice(change.key));
                    self.undo(key, || change.previous());
                }
            }
            self.next = (revision, position.saturating_add(1));
        }
        Ok(true)
    }

    fn asks_for(&self, key: &[u8]) -> bool {
        key >= self.from.as_ref() && key.starts_with(self.prefix.as_ref())
    }

    fn undo(&mut self, key: Key, previous: impl FnOnce() -> Option<Version>) {
        self.undone.entry(key).or_insert_with(previous);
    }

    /// Forgets the keys before `from`; how many bytes are left.
    fn go_on_from(&mut self, from: &Key) -> usize {
        self.undone = self.undone.split_off(from);
        self.from = from.clone();
        let value = |version: &Option<Version>| version.as_ref().map_or(0, |version| version.value.len());
        let sizes = self.undone.iter();
        sizes
            .map(|(key, version)| key.as_ref().len() + value(version))
            .sum()
    }
}

/// Keeps what the last page of a list of the past has read, for the next one.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Option<Undoing>>);

impl Kept {
    /// What was kept if it is of use for this list.
    pub(crate) fn take(&self, at: Revision, prefix: &Prefix, from: &Key) -> Option<Undoing> {
        self.0
            .lock()
            .take_if(|kept| kept.at == at && kept.prefix == *prefix && kept.from <= *from)
    }

    /// Keeps it for a page from `next` on, unless it is large, or nothing was read.
    pub(crate) fn keep(&self, mut undoing: Undoing, next: &Key) {
        let read = undoing.next > (undoing.at.next().get(), 0);
        if read && undoing.go_on_from(next) <= KEPT_BYTES {
            *self.0.lock() = Some(undoing);
        }
    }
}
