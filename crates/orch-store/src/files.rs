//! Where a store lies: files of the system's, or of a disk that is simulated.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orch_core::random::Random;
use redb::StorageBackend;
use redb::backends::FileBackend;

/// An open file, of the store itself or of its journal.
pub(crate) type OpenFile = Box<dyn StorageBackend>;

/// What a store asks of the directory that it lies in.
pub(crate) trait Files: fmt::Debug + Send + Sync {
    /// Opens a file to be read and written; none if there is no such file.
    fn open(&self, path: &Path) -> io::Result<Option<OpenFile>>;

    /// The same, and makes one if there is none: for its owner alone, since it holds secrets.
    fn open_or_make(&self, path: &Path) -> io::Result<OpenFile>;

    /// The same, and locks it for as long as it is open; none if another has it locked.
    fn open_or_make_locked(&self, path: &Path) -> io::Result<Option<OpenFile>>;

    /// Gives a file another name. One that had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names beside `path` durable: without this a crash could lose a new file with all that was acknowledged.
    fn sync_names(&self, path: &Path) -> io::Result<()>;
}

/// Where one store lies.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Of the store's own file.
    pub(crate) path: PathBuf,
    pub(crate) files: Arc<dyn Files>,
    /// If there is one, all that happens by itself (when a checkpoint is made, say) is drawn from it, and happens in the
    /// calls of those who commit: no thread of the store's own and no clock, so that the same calls do the same, to the byte.
    pub(crate) drawn: Option<Random>,
}

impl Place {
    /// A file of the system's.
    pub(crate) fn of_system(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: Arc::new(System),
            drawn: None,
        }
    }

    /// Where a file lies whose name goes on like this.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }
}

/// The operating system's files.
#[derive(Debug)]
struct System;

impl System {
    fn make(path: &Path) -> io::Result<File> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        how.open(path)
    }

    fn opened(file: File) -> io::Result<OpenFile> {
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }
}

impl Files for System {
    fn open(&self, path: &Path) -> io::Result<Option<OpenFile>> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::opened(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_or_make(&self, path: &Path) -> io::Result<OpenFile> {
        Self::opened(Self::make(path)?)
    }

    fn open_or_make_locked(&self, path: &Path) -> io::Result<Option<OpenFile>> {
        let file = Self::make(path)?;
        match file.try_lock() {
            Ok(()) => Self::opened(file).map(Some),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_names(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(parent) = path.parent() {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            File::open(parent)?.sync_all()?;
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}
