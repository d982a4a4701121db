//! What can go wrong in the store, before it is told in the runtime's words.

use std::io;
use std::path::Path;

use orch_core::runtime::RuntimeError;

/// Why something failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What was given is broken or hostile. Trying again gives the same.
    #[error("{0}")]
    Refused(String),
    /// The disk or the kernel failed.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Whoever asked went away.
    #[error("it was given up")]
    GivenUp,
}

impl Fault {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    /// A refusal of one entry of an archive.
    pub(crate) fn entry(path: &[u8], why: impl std::fmt::Display) -> Self {
        Self::Refused(format!("entry {}: {why}", shown(path)))
    }

    /// In the words for an operation on an image that did not come from a registry.
    pub(crate) fn during(self, what: impl FnOnce() -> String, image: &str) -> RuntimeError {
        match self {
            Self::Refused(reason) => RuntimeError::InvalidImage {
                image: image.to_owned(),
                reason,
            },
            other => RuntimeError::failed(what(), other),
        }
    }
}

/// A name as it may be shown: archives may have anything in it.
pub(crate) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = path[..path.len().min(LONGEST)].escape_ascii().to_string();
    if path.len() > LONGEST {
        format!("{text}… ({} bytes)", path.len())
    } else {
        text
    }
}

/// Says what was being done when the disk failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Fault>;
    fn at(self, what: &str, path: &Path) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|error| Fault::Io {
            what: what(),
            source: error.into(),
        })
    }

    fn at(self, what: &str, path: &Path) -> Result<T, Fault> {
        self.doing(|| format!("{what} {}", path.display()))
    }
}
