//! The store's own file as redb reads and writes it, and the lock on it.
//!
//! redb refuses everything after an I/O error until its database is opened anew. The lock outlives the database
//! here, so that the store can do that without letting another opener in between.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, Database, DatabaseError, StorageBackend};

/// An open file. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: FileBackend,
    /// Whether redb has taken its locks, which are kept until [`Disk::release`].
    locked: AtomicBool,
    #[cfg(test)]
    faults: Faults,
}

impl Disk {
    pub(crate) fn new(file: File, #[cfg(test)] faults: Faults) -> Result<Self, DatabaseError> {
        Ok(Self(Arc::new(Inner {
            file: FileBackend::new(file)?,
            locked: AtomicBool::new(false),
            #[cfg(test)]
            faults,
        })))
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

    /// The file, unless it is to fail now.
    fn file(&self, _write: bool) -> io::Result<&FileBackend> {
        #[cfg(test)]
        self.0.faults.check(_write)?;
        Ok(&self.0.file)
    }

    fn lock<T>(
        &self,
        held: T,
        take: impl FnOnce(&FileBackend) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        if self.0.locked.load(Ordering::Acquire) {
            return Ok(held);
        }
        take(&self.0.file)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file(false)?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file(false)?.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file(true)?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file(true)?.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file(true)?.write(offset, data)
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

/// What a test has fail; a sync of the file is a write here.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<std::sync::Mutex<Fails>>);

#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fails {
    #[default]
    Nothing,
    /// All writes, as on a full disk.
    Writes,
    /// One write, after so many that do not.
    OneWriteAfter(u32),
    /// Nothing at all can be read or written.
    Everything,
    /// A sync of the journal, once; of the file nothing.
    JournalSync,
}

#[cfg(test)]
impl Faults {
    pub(crate) fn set(&self, fails: Fails) {
        *self.0.lock().unwrap() = fails;
    }

    pub(crate) fn get(&self) -> Fails {
        *self.0.lock().unwrap()
    }

    pub(crate) fn check_journal_sync(&self) -> io::Result<()> {
        let mut fails = self.0.lock().unwrap();
        if *fails == Fails::JournalSync {
            *fails = Fails::Nothing;
            return Err(io::Error::other("the disk has lost it"));
        }
        Ok(())
    }

    fn check(&self, write: bool) -> io::Result<()> {
        let mut fails = self.0.lock().unwrap();
        match &mut *fails {
            Fails::Writes if write => Err(io::ErrorKind::StorageFull.into()),
            Fails::OneWriteAfter(0) if write => {
                *fails = Fails::Nothing;
                Err(io::ErrorKind::StorageFull.into())
            }
            Fails::OneWriteAfter(left) if write => {
                *left -= 1;
                Ok(())
            }
            Fails::Everything => Err(io::Error::other("the disk is gone")),
            _ => Ok(()),
        }
    }
}
