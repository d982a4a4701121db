//! How a store keeps its file.

use std::path::Path;

use orch_core::store::changelog::LogBounds;

use crate::files::Place;
use crate::layer::LIVE;
use crate::{OpenError, RedbStore};

/// How a [`RedbStore`] keeps its file.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("state.redb");
/// let store = orch_store::RedbStoreOptions::new().history_commits(10_000).open(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedbStoreOptions {
    pub(crate) history_commits: u64,
    pub(crate) history_bytes: u64,
    pub(crate) cache_bytes: usize,
    pub(crate) journal_bytes: usize,
    /// Only tests have another.
    pub(crate) live: LogBounds,
}

impl RedbStoreOptions {
    /// 100,000 commits or 256 MiB of history, 256 MiB of cache, 32 MiB of journal.
    pub fn new() -> Self {
        Self {
            history_commits: 100_000,
            history_bytes: 256 << 20,
            cache_bytes: 256 << 20,
            journal_bytes: 32 << 20,
            live: LIVE,
        }
    }

    /// How many of the newest commits stay readable as history. What is older is compacted when it exceeds
    /// this by a sixteenth.
    #[must_use]
    pub fn history_commits(mut self, commits: u64) -> Self {
        self.history_commits = commits;
        self
    }

    /// How many bytes of history to keep, which holds the new and the replaced value of each change.
    #[must_use]
    pub fn history_bytes(mut self, bytes: u64) -> Self {
        self.history_bytes = bytes;
        self
    }

    /// Most bytes of the file to hold in memory. They are taken as pages are read and written.
    ///
    /// Beside it the store remembers what it wrote lately, some 32,000 keys with their values, 32 MiB of them:
    /// whoever writes a key again needs no page.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How many bytes of commits may wait beside the file, in `<file>-journal` and `<file>-journal2`, until they are
    /// written into it.
    ///
    /// A checkpoint writes what is in one of the two while commits go on in the other. More makes sustained writing
    /// faster, up to what may wait in memory too (twice 16,384 commits or 32 MiB, the replaced values counted); less
    /// makes opening after a crash quicker and takes less disk: the default is replayed in a fraction of a second.
    #[must_use]
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// Opens the store at `path`, or makes one if there is no file.
    ///
    /// This reads the file, and after a crash replays the journal, before it returns; and it waits up to two
    /// seconds for another who has the file open to close it, or to be gone: call it where blocking is allowed.
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        RedbStore::open_with(&Place::of_system(path.as_ref()), &self)
    }
}

impl Default for RedbStoreOptions {
    fn default() -> Self {
        Self::new()
    }
}
