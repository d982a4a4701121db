//! The store's own file as redb reads and writes it, and the lock on it.
//!
//! redb refuses everything after an I/O error until its database is opened anew. The lock outlives the database
//! here, so that the store can do that without letting another opener in between.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{BackendError, Database, DatabaseError, StorageBackend};

use crate::files::OpenFile;

/// An open file. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: OpenFile,
    /// Whether redb has taken its locks, which are kept until [`Disk::release`].
    locked: AtomicBool,
}

impl Disk {
    pub(crate) fn new(file: OpenFile) -> Self {
        Self(Arc::new(Inner {
            file,
            locked: AtomicBool::new(false),
        }))
    }

    /// Opens the database in the file, which no other [`Database`] of this process may have open.
    ///
    /// The first opening takes the lock, or is refused with [`DatabaseError::DatabaseAlreadyOpen`].
    pub(crate) fn open(&self, cache_bytes: usize) -> Result<Database, DatabaseError> {
        let database = redb::Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(self.clone())?;
        self.0.locked.store(true, Ordering::Release);
        Ok(database)
    }

    /// Lets go of the lock, once the database is closed.
    pub(crate) fn release(&self) {
        if let Err(error) = self.0.file.close() {
            tracing::warn!(%error, "store: the lock of the file is kept until this process ends");
        }
    }

    fn lock<T>(
        &self,
        held: T,
        take: impl FnOnce(&dyn StorageBackend) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        if self.0.locked.load(Ordering::Acquire) {
            return Ok(held);
        }
        take(&*self.0.file)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.file.write(offset, data)
    }

    /// The lock is kept; what redb took for an opening that failed goes with the file.
    fn close(&self) -> io::Result<()> {
        if self.0.locked.load(Ordering::Acquire) {
            return Ok(());
        }
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(true, |file| file.try_lock_range(start, end))
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(true, |file| file.try_lock_shared_range(start, end))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock((), |file| file.lock_range(start, end))
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock((), |file| file.lock_shared_range(start, end))
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock((), |file| file.unlock_range(start, end))
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.lock(false, |file| file.query_lock_range(start, end))
    }
}
