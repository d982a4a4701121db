//! One committed state of the file, shared by all who read it.

use std::sync::Arc;

use orch_core::store::changelog::{ChangeLog, Version};
use orch_core::store::{Key, Revision};
use parking_lot::RwLock;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase};

use crate::error::Fault;
use crate::format::{CURRENT, HISTORY, read_value};
use crate::history::RowKey;

/// The state after one group of commits. The writer makes one per group, so that a read costs no transaction
/// and no table look-up of its own.
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) compacted: Revision,
    pub(crate) current: ReadOnlyTable<&'static [u8], &'static [u8]>,
    transaction: ReadTransaction,
}

/// A row of the history as the file has it.
pub(crate) type Row = (RowKey, redb::AccessGuard<'static, &'static [u8]>);

impl Snapshot {
    /// The newest state, of which the caller knows where its history stands.
    pub(crate) fn take(database: &Database, revision: Revision, compacted: Revision) -> Result<Self, Fault> {
        let transaction = database.begin_read()?;
        Ok(Self {
            revision,
            compacted,
            current: transaction.open_table(CURRENT)?,
            transaction,
        })
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Option<Version>, Fault> {
        self.current
            .get(key.as_ref())?
            .map(|stored| read_value(stored.value()))
            .transpose()
    }

    /// The rows that hold the changes after `after`, oldest first.
    pub(crate) fn rows_after(
        &self,
        after: Revision,
    ) -> Result<impl Iterator<Item = Result<Row, Fault>>, Fault> {
        let history = self.transaction.open_table(HISTORY)?;
        let rows = history.range((after.next().get(), 0)..)?;
        Ok(rows.map(|row| row.map(|(key, row)| (key.value(), row)).map_err(Fault::from)))
    }
}

/// What readers, watchers and the writer share.
pub(crate) struct Shared {
    /// None once the store is closed. Written together with `log`: who has a snapshot finds its commits there.
    pub(crate) snapshot: RwLock<Option<Arc<Snapshot>>>,
    pub(crate) log: ChangeLog,
}

impl Shared {
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Fault> {
        self.snapshot.read().clone().ok_or(Fault::Closed)
    }
}
