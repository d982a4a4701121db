//! Brings commits into the file, and removes history that is no longer wanted.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use orch_core::store::Revision;
use redb::{Database, ReadableDatabase, ReadableTable, Table, WriteTransaction};

use crate::RedbStoreOptions;
use crate::disk::Disk;
use crate::error::Fault;
use crate::format::{CURRENT, HISTORY, META, META_COMPACTED, META_IDENTITY, VALUE_HEADER, write_value};
use crate::history::{RowKey, RowReader, RowWriter};
use crate::layer::Pending;
use crate::snapshot::Base;

/// Rows of compacted history that a checkpoint removes beyond twice as many as it writes: it neither takes
/// long nor falls behind.
const ROWS_REMOVED: usize = 256;

/// The open file and where its history stands.
pub(crate) struct File {
    disk: Disk,
    cache_bytes: usize,
    /// None after a fault, until it is opened anew.
    database: Option<Database>,
    identity: u64,
    pub(crate) state: State,
    /// Most bytes of history.
    keep_bytes: u64,
}

/// What the file holds.
#[derive(Clone)]
pub(crate) struct State {
    /// All commits up to this one.
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    /// Offsets of the first byte of history that is held, and of the end, in all rows ever written.
    pub(crate) history: Range<u64>,
    /// Whether rows may be left that compaction has made useless.
    pub(crate) garbage: bool,
}

impl File {
    /// The file in which `database` was just opened.
    pub(crate) fn new(disk: Disk, database: Database, options: &RedbStoreOptions) -> Result<Self, Fault> {
        let (identity, state) = read_state(&database)?;
        Ok(Self {
            disk,
            cache_bytes: options.cache_bytes,
            database: Some(database),
            identity,
            state,
            keep_bytes: options.history_bytes,
        })
    }

    /// What its journal has to carry too.
    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }

    /// The file as it is now.
    pub(crate) fn base(&self) -> Result<Arc<Base>, Fault> {
        Base::take(self.database()?, self.state.revision)
    }

    fn database(&self) -> Result<&Database, Fault> {
        self.database.as_ref().ok_or(Fault::Closed)
    }

    /// Opens the file anew, which redb asks for after an I/O error.
    ///
    /// What an earlier opening gave to read fails from now on. If this fails too, it may be called again.
    pub(crate) fn reopen(&mut self) -> Result<Arc<Base>, Fault> {
        self.database = None;
        let database = self.disk.open(self.cache_bytes)?;
        let (identity, state) = read_state(&database)?;
        if identity != self.identity {
            return Err(Fault::Damaged("it has become the file of another store"));
        }
        // All commits are in two phases, the one that made the file too: a commit names new pages only after their own sync.
        // If that failed, the file still names the old ones, and the groups are written again. If the sync of the header
        // failed, opening has just written and synced the header anew.
        self.state = state;
        self.database = Some(database);
        self.base()
    }

    /// Whether a checkpoint of these has nothing to do.
    pub(crate) fn holds(&self, pending: &Pending, compacted: Revision) -> bool {
        let last = pending.commits.last();
        compacted <= self.state.compacted && last.is_none_or(|last| last.revision <= self.state.revision)
    }

    /// Makes the file hold these commits, which follow its own, and forget what is compacted.
    ///
    /// Durable when it returns. After a fault it is not known whether the file holds them; it holds what it held.
    /// Commits that it holds already, all of them, are passed over.
    pub(crate) fn checkpoint(&mut self, pending: &Pending, compacted: Revision) -> Result<Arc<Base>, Fault> {
        let started = Instant::now();
        if self.database.is_none() {
            self.reopen()?;
        }
        let nothing = Pending::default();
        let pending = if self.holds(pending, Revision::ZERO) {
            &nothing
        } else {
            pending
        };
        let first = pending.commits.first();
        if first.is_some_and(|first| first.revision != self.state.revision.next()) {
            return Err(Fault::Damaged(
                "it lacks commits that a checkpoint had brought into it",
            ));
        }
        let mut txn = self.database()?.begin_write()?;
        // So that an opening after a crash need not walk the file.
        txn.set_two_phase_commit(true);
        txn.set_quick_repair(true);
        let mut state = self.state.clone();
        if compacted > state.compacted {
            state.compacted = compacted;
            state.garbage = true;
        }
        write_current(&txn, pending)?;
        let rows = write_history(&txn, pending, &mut state)?;
        self.forget(&txn, ROWS_REMOVED + 2 * rows, &mut state)?;
        if state.compacted > self.state.compacted {
            let stated = state.compacted.get().to_le_bytes();
            txn.open_table(META)?.insert(META_COMPACTED, stated.as_slice())?;
        }
        txn.commit()?;
        self.state = state;
        tracing::debug!(
            revision = %self.state.revision,
            commits = pending.commits.len(),
            rows,
            elapsed = ?started.elapsed(),
            "store: checkpoint"
        );
        self.base()
    }

    /// Removes up to `most` rows that are past compaction, or beyond the bound on bytes.
    fn forget(&self, txn: &WriteTransaction, most: usize, state: &mut State) -> Result<(), Fault> {
        let held = state.history.end - state.history.start;
        if !state.garbage && held <= self.keep_bytes.saturating_add(self.keep_bytes / 16) {
            return Ok(());
        }
        let mut history = txn.open_table(HISTORY)?;
        for _ in 0..most {
            let Some((key, size)) = removable(&history, state, self.keep_bytes)? else {
                state.garbage = false;
                return Ok(());
            };
            history.remove(key)?;
            state.history.start += size;
            state.compacted = state.compacted.max(Revision::new(key.0));
        }
        state.garbage = true;
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.database = None;
        self.disk.release();
    }
}

fn write_current(txn: &WriteTransaction, pending: &Pending) -> Result<(), Fault> {
    let mut current = txn.open_table(CURRENT)?;
    for (key, version) in pending.layer.iter() {
        match version {
            Some(version) => {
                let length = VALUE_HEADER + version.value.len();
                write_value(current.insert_reserve(key.as_ref(), length)?.as_mut(), version);
            }
            None => {
                current.remove(key.as_ref())?;
            }
        }
    }
    Ok(())
}

/// Adds the rows of the commits that are not compacted already; how many.
fn write_history(txn: &WriteTransaction, pending: &Pending, state: &mut State) -> Result<usize, Fault> {
    let Some(last) = pending.commits.last() else {
        return Ok(0);
    };
    state.revision = last.revision;
    let mut history = txn.open_table(HISTORY)?;
    let mut rows = RowWriter::new(state.history.end);
    let mut written = 0;
    let mut write = |sealed: Vec<(RowKey, Vec<u8>)>| -> Result<(), Fault> {
        for (key, row) in sealed {
            history.insert(key, row.as_slice())?;
            written += 1;
        }
        Ok(())
    };
    for commit in &pending.commits {
        // The last row is always there: it tells the revision.
        if commit.revision <= state.compacted && commit.revision != state.revision {
            continue;
        }
        for (position, record) in (0_u32..).zip(commit.records()) {
            rows.push(commit.revision, position, record);
        }
        write(rows.sealed())?;
    }
    let (sealed, end) = rows.finish();
    write(sealed)?;
    state.history.end = end;
    Ok(written)
}

/// The oldest row and its size, if compaction or the bound on bytes asks to remove it. The newest row stays:
/// it tells the store's revision.
fn removable(
    history: &Table<'_, RowKey, &[u8]>,
    state: &State,
    keep_bytes: u64,
) -> Result<Option<(RowKey, u64)>, Fault> {
    let (Some((first, row)), Some((last, _))) = (history.first()?, history.last()?) else {
        return Ok(None);
    };
    let key = first.value();
    let past = key.0 <= state.compacted.get() || state.history.end - state.history.start > keep_bytes;
    Ok((past && key != last.value()).then(|| (key, row.value().len() as u64)))
}

/// The store's identity, and what the file itself holds, without its journal.
fn read_state(database: &Database) -> Result<(u64, State), Fault> {
    let read = database.begin_read()?;
    let meta = read.open_table(META)?;
    let number = |name| -> Result<Option<u64>, Fault> {
        let Some(stated) = meta.get(name)? else {
            return Ok(None);
        };
        let stated = stated.value().try_into();
        let stated =
            stated.map_err(|_| Fault::Damaged("its identity or compacted revision is not 8 bytes"))?;
        Ok(Some(u64::from_le_bytes(stated)))
    };
    let history = read.open_table(HISTORY)?;
    let offset = |row: &[u8]| RowReader::new(row).map(|(_, end)| end);
    let start = match history.first()? {
        None => 0,
        Some((_, row)) => offset(row.value())?.saturating_sub(row.value().len() as u64),
    };
    let (revision, end) = match history.last()? {
        None => (0, 0),
        Some((key, row)) => (key.value().0, offset(row.value())?),
    };
    let identity = number(META_IDENTITY)?.ok_or(Fault::Damaged("it has no identity"))?;
    let state = State {
        revision: Revision::new(revision),
        compacted: Revision::new(number(META_COMPACTED)?.unwrap_or(0)),
        history: start..end,
        garbage: true,
    };
    Ok((identity, state))
}
