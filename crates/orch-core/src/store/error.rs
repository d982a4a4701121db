//! What can go wrong, per operation.

use super::{Expect, Key, Revision};

/// The cause behind an unavailable store, kept as the backend gave it.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The revision asked for is no longer held.
    #[error("revision {requested} has been compacted; the oldest still readable is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest that can be read.
        oldest: Revision,
    },
    /// The revision asked for does not exist yet.
    #[error("revision {requested} is in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest there is.
        newest: Revision,
    },
    /// The store cannot be reached or read.
    #[error("store unavailable: {0}")]
    Unavailable(#[source] Source),
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A compare did not hold. Nothing was written.
    #[error("{key}: expected {expected}, found {}", found(.actual))]
    Conflict {
        /// The key whose compare failed: the first in the transaction's order.
        key: Key,
        /// What the transaction required.
        expected: Expect,
        /// When the key was last written; none if it does not exist.
        actual: Option<Revision>,
    },
    /// The transaction breaks a bound or names a key twice. Nothing was written.
    #[error("transaction refused: {reason}")]
    Invalid {
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The store cannot take commits now. Nothing was written.
    #[error("store unavailable: {0}")]
    Unavailable(#[source] Source),
    /// It is not known whether the commit was applied. Read back to learn it.
    #[error("outcome of the commit unknown: {0}")]
    Unknown(#[source] Source),
}

/// Why a watch could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// History that the watcher has not seen is gone: list again and watch from there.
    #[error("changes after revision {after} are no longer held; the oldest still held follow {oldest}")]
    Compacted {
        /// The revision after which the watcher wanted changes.
        after: Revision,
        /// The earliest revision after which a watch can start.
        oldest: Revision,
    },
    /// The revision to start after does not exist yet.
    #[error("revision {requested} is in the future; the newest is {newest}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest there is.
        newest: Revision,
    },
    /// The store cannot be reached or read; watch again from the last batch's revision.
    #[error("store unavailable: {0}")]
    Unavailable(#[source] Source),
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => f.write_str("no such key"),
            Self::Present => f.write_str("an existing key"),
            Self::Modified(revision) => write!(f, "revision {revision}"),
        }
    }
}

fn found(actual: &Option<Revision>) -> String {
    actual.map_or_else(
        || "no such key".to_owned(),
        |revision| format!("revision {revision}"),
    )
}
