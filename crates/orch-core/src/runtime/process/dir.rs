//! The state directory: what lies where, and how it is written.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{NAME, os};
use crate::runtime::{ContainerConfig, ContainerId, RuntimeError, SandboxConfig, SandboxId};

/// The version of the layout.
const FORMAT: &str = "1";

/// How long to try for the lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// How a sandbox was made, and whether it was stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    pub(super) created_at: Timestamp,
    pub(super) stopped: bool,
    pub(super) config: SandboxConfig,
}

/// How a container was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) created_at: Timestamp,
    pub(super) sandbox: SandboxId,
    pub(super) pod_uid: String,
    pub(super) hostname: String,
    pub(super) config: ContainerConfig,
}

pub(super) struct Dir {
    root: PathBuf,
}

fn failed(
    what: &str,
    path: &Path,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> RuntimeError {
    RuntimeError::failed(format!("{what} {}", path.display()), error)
}

impl Dir {
    /// Makes or opens the directory, and locks it for as long as the file returned lives.
    pub(super) async fn open(root: &Path) -> Result<(Self, File), RuntimeError> {
        fs::create_dir_all(root).map_err(|error| failed("making the state directory", root, error))?;
        // Wrappers get paths in it, and start elsewhere.
        let root = root
            .canonicalize()
            .map_err(|error| failed("finding", root, error))?;
        let lock = lock(&root.join("lock")).await?;
        let dir = Self { root };
        os::blocking(move || dir.prepare().map(|()| (dir, lock))).await?
    }

    fn prepare(&self) -> Result<(), RuntimeError> {
        self.check_format()?;
        for name in ["sandboxes", "containers", "trash"] {
            let path = self.root.join(name);
            fs::create_dir_all(&path).map_err(|error| failed("making", &path, error))?;
        }
        self.empty_trash();
        Ok(())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn check_format(&self) -> Result<(), RuntimeError> {
        let path = self.root.join("format");
        match fs::read_to_string(&path) {
            Ok(format) if format.trim() == FORMAT => Ok(()),
            // Emptied by a loss of power, like a file that was never written.
            Ok(format) if !format.is_empty() => {
                let reason = format!(
                    "format {:?} is unknown; this version reads {FORMAT}",
                    format.trim()
                );
                Err(failed("opening", &self.root, reason))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("reading", &path, error)),
            _ => write_atomically(&path, FORMAT.as_bytes()).map_err(|error| failed("writing", &path, error)),
        }
    }

    fn sandbox(&self, id: &SandboxId) -> PathBuf {
        self.root.join("sandboxes").join(format!("{id}.json"))
    }

    pub(super) fn container(&self, id: &ContainerId) -> PathBuf {
        self.root.join("containers").join(&id.0)
    }

    pub(super) fn write_sandbox(&self, id: &SandboxId, record: &SandboxRecord) -> Result<(), RuntimeError> {
        let path = self.sandbox(id);
        write_json(&path, record).map_err(|error| failed("writing", &path, error))
    }

    pub(super) fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let path = self.sandbox(id);
        gone(fs::remove_file(&path)).map_err(|error| failed("removing", &path, error))
    }

    /// Makes a container's directory, whole or not at all.
    pub(super) fn make_container(
        &self,
        id: &ContainerId,
        record: &ContainerRecord,
    ) -> Result<(), RuntimeError> {
        let (scratch, path) = (
            self.root.join("trash").join(format!("new-{id}")),
            self.container(id),
        );
        let make = || {
            fs::create_dir(&scratch)?;
            write_json(&scratch.join("container.json"), record)?;
            fs::rename(&scratch, &path)
        };
        make().map_err(|error| failed("making", &path, error))
    }

    /// Takes a container out of sight; its files are where is returned until the trash is emptied.
    pub(super) fn discard_container(&self, id: &ContainerId) -> Result<PathBuf, RuntimeError> {
        let (path, trash) = (self.container(id), self.root.join("trash").join(&id.0));
        gone(fs::rename(&path, &trash)).map_err(|error| failed("removing", &path, error))?;
        Ok(trash)
    }

    fn empty_trash(&self) {
        for path in entries(&self.root.join("trash")).unwrap_or_default() {
            remove_tree(&path);
        }
    }

    pub(super) fn sandboxes(&self) -> Result<BTreeMap<SandboxId, SandboxRecord>, RuntimeError> {
        let dir = self.root.join("sandboxes");
        let paths = entries(&dir).map_err(|error| failed("reading", &dir, error))?;
        let json = paths
            .into_iter()
            .filter(|path| path.extension() == Some(OsStr::new("json")));
        let mut sandboxes = BTreeMap::new();
        for path in json {
            let Some(name) = path.file_stem().and_then(OsStr::to_str) else {
                continue;
            };
            let id = SandboxId(name.to_owned());
            match read_record(&path)? {
                Some(record) => drop(sandboxes.insert(id, record)),
                None => self.remove_sandbox(&id)?,
            }
        }
        Ok(sandboxes)
    }

    pub(super) fn containers(&self) -> Result<BTreeMap<ContainerId, ContainerRecord>, RuntimeError> {
        let dir = self.root.join("containers");
        let paths = entries(&dir).map_err(|error| failed("reading", &dir, error))?;
        let mut containers = BTreeMap::new();
        for path in paths {
            let Some(name) = path.file_name().and_then(OsStr::to_str) else {
                continue;
            };
            let id = ContainerId(name.to_owned());
            match read_record(&path.join("container.json"))? {
                Some(record) => drop(containers.insert(id, record)),
                None => remove_tree(&self.discard_container(&id)?),
            }
        }
        Ok(containers)
    }
}

/// Removes a directory with all in it; what cannot be removed now is when the runtime is opened next.
pub(super) fn remove_tree(path: &Path) {
    if let Err(error) = gone(fs::remove_dir_all(path)) {
        tracing::warn!(path = %path.display(), %error, "left in the trash");
    }
}

/// A record; none if it was not written whole. Only a machine that lost power leaves such, for records are not
/// synced, and what it described runs no longer.
fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RuntimeError> {
    match read_json(path) {
        Err(error) if is_cut(&error) => {
            tracing::warn!(path = %path.display(), %error, "removing what was not written whole");
            Ok(None)
        }
        read => read.map_err(|error| failed("reading", path, error)),
    }
}

/// Whether a file could be read, but not understood.
pub(super) fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

async fn lock(path: &Path) -> Result<File, RuntimeError> {
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let mut file = opened.map_err(|error| failed("opening", path, error))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // A holder that was killed while it spawned a process leaves the lock to that one until it executes
            // its program.
            Err(fs::TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                tokio::time::sleep(LOCK_PATIENCE / 20).await;
            }
            Err(fs::TryLockError::WouldBlock) => return Err(in_use(path, &mut file)),
            Err(fs::TryLockError::Error(error)) => return Err(failed("locking", path, error)),
        }
    }
    let pid = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.write_all(pid.as_bytes()));
    written.map_err(|error| failed("writing", path, error))?;
    Ok(file)
}

fn in_use(lock: &Path, file: &mut File) -> RuntimeError {
    let mut holder = String::new();
    // Only to say who; the lock itself is what counts.
    let _ = file.read_to_string(&mut holder);
    let dir = lock.parent().unwrap_or(lock).display();
    RuntimeError::Unavailable {
        runtime: NAME,
        reason: format!(
            "the state directory {dir} is in use by process {}; end that, or choose another directory",
            holder.trim()
        ),
    }
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

/// What is not there needs no removing.
pub(super) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

pub(super) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut scratch = path.as_os_str().to_owned();
    scratch.push(".new");
    let scratch = PathBuf::from(scratch);
    fs::write(&scratch, content)?;
    fs::rename(&scratch, path)
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_atomically(path, &serde_json::to_vec(value)?)
}

/// What a file holds, none if there is no file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(serde_json::from_slice(&content)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
