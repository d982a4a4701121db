//! How a memory store behaves.

use crate::store::changelog::LogBounds;

/// How a [`MemoryStore`](super::MemoryStore) behaves.
///
/// ```
/// use orch_core::store::{MemoryStore, MemoryStoreOptions};
///
/// let store = MemoryStore::with_options(MemoryStoreOptions::default().history_commits(1_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStoreOptions {
    bounds: LogBounds,
}

impl MemoryStoreOptions {
    /// How many commits of history to keep at most; 100,000 by default, at least 1.
    #[must_use]
    pub fn history_commits(mut self, commits: usize) -> Self {
        self.bounds.commits = commits;
        self
    }

    /// About how many bytes of history to keep at most; 128 MiB by default. A value that was replaced within
    /// the history is counted twice.
    #[must_use]
    pub fn history_bytes(mut self, bytes: usize) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    pub(super) fn bounds(&self) -> LogBounds {
        self.bounds
    }
}
