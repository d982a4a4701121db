//! State directories: who has one open, and files that change whole.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use orch_core::runtime::{RuntimeError, SandboxId};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::invalid;

/// How long a program that was started by who was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// A directory that one network has open at a time, with a file for each sandbox below `sandboxes`.
///
/// Files are not synced: an application may be killed at any point, but when the machine itself stops, every
/// namespace that they tell of is gone with it. So what cannot be read is what a power failure left.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    /// Held for as long as this is open, and by programs whose work must not come after that of the next.
    lock: File,
}

impl StateDir {
    pub(crate) fn open(network: &'static str, root: &Path) -> Result<Self, RuntimeError> {
        if !root.is_absolute() {
            return Err(invalid(
                "state",
                format!("{}: must be an absolute path", root.display()),
            ));
        }
        let failed = |error: io::Error| RuntimeError::failed(format!("opening {}", root.display()), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root.join("sandboxes"))
            .map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(failed)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { root, lock }),
                Err(Errno::WOULDBLOCK) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
                Err(Errno::WOULDBLOCK) => {
                    let reason = format!(
                        "another program, or network of this one, has {} open",
                        root.display()
                    );
                    return Err(RuntimeError::Unavailable {
                        runtime: network,
                        reason,
                    });
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// The lock, for programs to hold.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn place(&self, sandbox: &SandboxId) -> PathBuf {
        self.root.join("sandboxes").join(format!("{sandbox}.json"))
    }

    /// What is written of each sandbox. What cannot be read is removed, with a warning.
    pub(crate) fn sandboxes<T: DeserializeOwned>(&self) -> Result<Vec<(SandboxId, T)>, RuntimeError> {
        let place = self.root.join("sandboxes");
        let failed = |error: io::Error| RuntimeError::failed(format!("reading {}", place.display()), error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let read = match name.strip_suffix(".json") {
                Some(sandbox) => fs::read(&path)
                    .map_err(|error| error.to_string())
                    .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
                    .map(|record| (SandboxId(sandbox.to_owned()), record)),
                None => Err("a file that was being written".to_owned()),
            };
            match read {
                Ok(record) => found.push(record),
                Err(error) => {
                    tracing::warn!(place = %path.display(), error, "removing what cannot be read");
                    fs::remove_file(&path).map_err(failed)?;
                }
            }
        }
        Ok(found)
    }

    /// Writes what is known of a sandbox; until this returns it is as it was.
    pub(crate) fn write(&self, sandbox: &SandboxId, record: &impl Serialize) -> Result<(), RuntimeError> {
        replace(&self.place(sandbox), record)
    }

    pub(crate) fn remove(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let place = self.place(sandbox);
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RuntimeError::failed(
                format!("removing {}", place.display()),
                error,
            )),
            _ => Ok(()),
        }
    }
}

/// Writes a file beside its place and renames it: it is there whole or as it was.
pub(crate) fn replace(place: &Path, content: &impl Serialize) -> Result<(), RuntimeError> {
    let failed = |error: io::Error| RuntimeError::failed(format!("writing {}", place.display()), error);
    let bytes = serde_json::to_vec(content).map_err(|error| failed(error.into()))?;
    let beside = place.with_extension("tmp");
    fs::write(&beside, bytes).map_err(failed)?;
    fs::rename(&beside, place).map_err(failed)
}

/// A sandbox's id as it may be in a file's name and in `CNI_CONTAINERID`: a letter or digit, then letters, digits and
/// `_ . -`.
pub(crate) fn checked(sandbox: &SandboxId) -> Result<(), RuntimeError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let id = sandbox.0.as_bytes();
    if id.len() <= 200 && id.first().is_some_and(u8::is_ascii_alphanumeric) && id.iter().copied().all(allowed)
    {
        return Ok(());
    }
    let reason = format!(
        "{:?}: must begin with a letter or digit, then up to 199 of letters, digits, _ . and -",
        sandbox.0
    );
    Err(invalid("sandbox", reason))
}
