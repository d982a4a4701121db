//! The process runtime: containers as plain child processes.
//!
//! Needs no root, no daemon and no image store, and isolates nothing: a container is a process group on the
//! machine's own file system and network. The image `host` means the machine's own programs; any other
//! reference is taken for the same.
//!
//! # Outliving the embedding process
//!
//! Each container's program is the child of a small POSIX shell, its *wrapper*, which leads the container's
//! process group, writes the exit code down and then ends whatever the program left in the group. Neither the
//! wrapper nor the program writes into a pipe of the embedding process, so its death stops and loses nothing.
//! Whoever opens the state directory next adopts what still runs.
//!
//! A wrapper carries the container's id, which is random, among its arguments, and is recognised by it: a
//! process number alone is never trusted. Processes that left the group (daemons) are found by the variable
//! `ORCH_CONTAINER` in their environment, on Linux.
//!
//! # The state directory
//!
//! ```text
//! format                     the version of this layout
//! lock                       locked while a runtime has the directory open
//! sandboxes/ID.json          how the sandbox was made, and whether it was stopped
//! containers/ID/
//!   container.json           how the container was made
//!   claim                    the wrapper's process number, written by itself: the first wrapper wins
//!   began                    there once a signal to the group is not lost on the program any more
//!   start.json               the same and the time, written before a start is acknowledged
//!   out.raw, err.raw         what the program writes, as it writes it; what the log has is punched out
//!   log.SEQ.OUT.ERR          the log in CRI's format; OUT and ERR count the raw bytes logged before this file
//!   stdin                    a named pipe, if the container has standard input
//!   killed                   there from before the runtime kills the group, wrapper included
//!   exit                     the exit code, written by the wrapper
//!   end.json                 how it ended, written once that was seen; nothing else matters then but the log
//! trash/                     what is being removed
//! ```
//!
//! Files are written beside their place and renamed, directories likewise, so that a holder killed at any
//! moment leaves only whole things. The log is its own record of how much of the raw output it holds: after a
//! restart, counting the bytes in its last file tells where to go on, without a gap or a line twice.
//!
//! # Limits
//!
//! Lines get their time when the runtime reads them, at most moments after they were written; those written
//! while no runtime was open get the time of the last such write. Without a runtime the raw output grows
//! unbounded, and outside Linux its space is only given back when the container ends. A program that is a
//! script without its interpreter fails with 126 or 127 rather than failing to start. A program that clears
//! its environment and leaves its process group is out of reach. A command run in a container when its runtime
//! is killed runs on, at most until the container ends.

mod container;
mod dir;
mod exec;
mod follow;
mod log;
mod os;
mod ports;
mod runtime;
mod stats;
#[cfg(test)]
mod tests;
mod wrapper;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use self::container::Cell;
use self::dir::{Dir, SandboxRecord};
use self::follow::Follower;
use self::log::LogLimits;
use super::{ContainerId, EventHub, RuntimeError, RuntimeEvent, SandboxId};
use crate::random::Random;

const NAME: &str = "process";

/// Runs containers as child processes; see the [module](self).
///
/// ```
/// use std::time::Duration;
/// use futures::StreamExt;
/// use orch_core::runtime::process::ProcessRuntime;
/// use orch_core::runtime::{ContainerConfig, LogOptions, Runtime, SandboxConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path();
/// let runtime = ProcessRuntime::open(path).await?;
/// let sandbox = runtime.run_sandbox(&SandboxConfig { uid: "pod-1".into(), ..Default::default() }).await?;
/// let config = ContainerConfig {
///     name: "hello".into(),
///     image: "host".into(),
///     command: ["sh", "-c", "echo hello"].map(String::from).to_vec(),
///     ..Default::default()
/// };
/// let hello = runtime.create_container(&sandbox.id, &config).await?;
/// runtime.start_container(&hello).await?;
/// let log = runtime.logs(&hello, &LogOptions { follow: true, ..Default::default() }).await?;
/// let lines: Vec<_> = log.map(|chunk| chunk.unwrap().data).collect().await;
/// assert_eq!(lines, ["hello\n"]);
/// runtime.remove_sandbox(&sandbox.id).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ProcessRuntime {
    inner: Arc<Inner>,
}

/// Settings of a [`ProcessRuntime`]; see [`ProcessRuntime::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    dir: PathBuf,
    limits: LogLimits,
    random: Random,
}

struct Inner {
    dir: Dir,
    limits: LogLimits,
    random: Random,
    state: Mutex<State>,
    hub: EventHub,
    follower: Follower,
    _lock: Arc<File>,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeMap<SandboxId, SandboxRecord>,
    containers: BTreeMap<ContainerId, Arc<Cell>>,
}

impl ProcessRuntime {
    /// Opens a state directory with the default settings, making it if it is not there; adopts what runs.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unavailable`] if another runtime has it open, [`RuntimeError::Failed`] if it cannot be
    /// read or written or is of an unknown format.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Self, RuntimeError> {
        Self::builder(dir).open().await
    }

    /// Settings other than the default.
    pub fn builder(dir: impl Into<PathBuf>) -> Builder {
        Builder {
            dir: dir.into(),
            limits: LogLimits::default(),
            random: Random::from_os(),
        }
    }
}

impl fmt::Debug for ProcessRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRuntime")
            .field("dir", &self.inner.dir.root())
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// How large a log file may grow before the next begins, and how many are kept of each container: 10 MiB
    /// and 5 unless said otherwise, as the kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
    pub fn log_limits(mut self, file_bytes: u64, files: usize) -> Self {
        self.limits = LogLimits {
            file_bytes: file_bytes.max(1),
            files: files.max(1),
        };
        self
    }

    /// Where ids come from. They must never repeat on one machine.
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Opens the state directory; see [`ProcessRuntime::open`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn open(self) -> Result<ProcessRuntime, RuntimeError> {
        let (dir, lock) = Dir::open(&self.dir).await?;
        let lock = Arc::new(lock);
        let inner = Arc::new(Inner {
            follower: Follower::start(Arc::downgrade(&lock)),
            limits: self.limits,
            random: self.random,
            state: Mutex::default(),
            hub: EventHub::default(),
            _lock: lock,
            dir,
        });
        inner.blocking(Inner::load).await??;
        Ok(ProcessRuntime { inner })
    }
}

impl Inner {
    /// Does what may keep a thread for long, with the state directory locked for as long.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let inner = self.clone();
        os::blocking(move || work(&inner)).await
    }

    /// Reads the state directory, and adopts what runs.
    fn load(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let sandboxes = self.dir.sandboxes()?;
        let containers = self.dir.containers()?;
        let mut state = self.state.lock();
        state.sandboxes.extend(sandboxes);
        for (id, record) in containers {
            let cell = Cell::new(id.clone(), self.dir.container(&id), record, self.limits);
            state.containers.insert(id, Arc::new(cell));
        }
        let cells: Vec<Arc<Cell>> = state.containers.values().cloned().collect();
        drop(state);
        for cell in cells {
            cell.load(self)?;
        }
        Ok(())
    }

    fn container_changed(&self, cell: &Cell) {
        self.hub.send(&RuntimeEvent::Container {
            id: cell.id.clone(),
            sandbox: cell.record.sandbox.clone(),
            pod_uid: cell.record.pod_uid.clone(),
        });
    }

    fn sandbox_changed(&self, id: &SandboxId, pod_uid: &str) {
        self.hub.send(&RuntimeEvent::Sandbox {
            id: id.clone(),
            pod_uid: pod_uid.to_owned(),
        });
    }

    fn cell(&self, id: &ContainerId) -> Result<Arc<Cell>, RuntimeError> {
        let found = self.state.lock().containers.get(id).cloned();
        found.ok_or_else(|| not_found("container", id))
    }
}

fn not_found(what: &str, id: &impl fmt::Display) -> RuntimeError {
    RuntimeError::NotFound {
        what: format!("{what} {id}"),
    }
}
