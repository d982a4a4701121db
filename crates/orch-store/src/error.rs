//! What can go wrong with the file.

use std::path::PathBuf;
use std::sync::Arc;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another store, of this process or another, has the file open, and did not close it while this one
    /// waited, which is two seconds.
    #[error("store {path}: in use by {by}; end that, or choose another directory", path = path.display(), by = user(*.holder))]
    Locked {
        /// The file.
        path: PathBuf,
        /// The process that has it open, if the system tells.
        holder: Option<u32>,
    },
    /// The file, or the journal beside it, was written in a format that this version does not know. What is in them
    /// is left as it is.
    #[error("store {path}: format version {found}, this version reads {supported}", path = path.display())]
    Format {
        /// The file, of the store or of its journal.
        path: PathBuf,
        /// The version it has.
        found: u32,
        /// The version that is understood.
        supported: u32,
    },
    /// The file is something else.
    #[error("store {path}: not a store of orch: {reason}", path = path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file is a store, but broken: cut short or overwritten.
    #[error("store {path}: damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file cannot be created, read or written.
    #[error("store {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn user(holder: Option<u32>) -> String {
    match holder {
        Some(pid) if pid == std::process::id() => "this process, which opened it before".to_owned(),
        Some(pid) => format!("process {pid}"),
        None => "another process, or opened before by this one".to_owned(),
    }
}

/// Why the open file could not be read or written; shared by all who are told.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Redb(Arc<redb::Error>),
    #[error("damaged: {0}")]
    Damaged(&'static str),
    #[error("format version {0}")]
    Format(u32),
    #[error("the store is closed")]
    Closed,
    #[error("writing into the file panicked")]
    Panicked,
    /// It may be there or not, and a second sync that succeeds would not tell: the system may have dropped what the
    /// first one could not write.
    #[error(
        "writing the journal failed ({0}); only opening the store anew tells whether the commit is there"
    )]
    Journal(Arc<std::io::Error>),
    /// Neither of the file nor of what is in it.
    #[error("{0}")]
    System(Arc<std::io::Error>),
    #[error("no room for commits: writing into the file failed ({0} times by now) and is tried again: {1}")]
    Retried(u32, Arc<Fault>),
    #[error("no more commits until the store is closed and opened anew: {0}")]
    Failed(Arc<Fault>),
}

impl Fault {
    /// Whether it may be over the next time: a full disk, say, or one that does not answer.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Redb(error) => match &**error {
                redb::Error::Io(error) => error.kind() != std::io::ErrorKind::InvalidData,
                redb::Error::PreviousIo => true,
                _ => false,
            },
            Self::Retried(..) => true,
            _ => false,
        }
    }

    /// Whether an I/O error, of a reader maybe, has made redb refuse everything. A checkpoint mends that.
    pub(crate) fn asks_to_reopen(&self) -> bool {
        matches!(self, Self::Redb(error) if matches!(**error, redb::Error::PreviousIo))
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(Arc::new(error.into()))
    }
}
