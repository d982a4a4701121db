//! One container: what it is, starting, stopping and removing it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, thread};

use jiff::Timestamp;
use orch_core::runtime::{
    Container, ContainerFilter, ContainerId, ContainerState, ExitReason, Resources, RuntimeError,
    RuntimeEvent,
};
use orch_core::time;
use parking_lot::Mutex;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::cgroup::Hierarchies;
use crate::launch::{self, Process};
use crate::record::{self, ContainerDir, ContainerRecord, End, Started};
use crate::signal;
use crate::state::{Found, Meaning, exited, meaning};

/// How often a start is looked at that another program has begun, of which nobody tells.
const LOOK: Duration = Duration::from_millis(10);

/// How long what was killed may take to end.
pub(crate) const KILL_TIMEOUT: Duration = Duration::from_secs(60);

/// The control group of the shims, in that of all. No container's: those have ids of 32 digits.
pub(crate) const SHIMS: &str = "shims";

/// What all containers of a runtime live on.
pub(crate) struct Ground {
    pub(crate) hierarchies: Hierarchies,
    /// The control group of all that is this state directory's.
    pub(crate) group: String,
}

impl Ground {
    /// The control group at this path below that of all.
    pub(crate) fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.group)
    }

    /// The control group of a container, which is made in `parent`, if that is not empty.
    pub(crate) fn group_of(&self, parent: &str, id: &ContainerId) -> String {
        match parent {
            "" => self.below(&id.0),
            parent => self.below(&format!("{parent}/{id}")),
        }
    }

    pub(crate) fn shims(&self) -> String {
        format!("{}/{SHIMS}", self.group)
    }
}

/// A container of ours.
pub(crate) struct Cell {
    pub(crate) id: ContainerId,
    pub(crate) dir: ContainerDir,
    pub(crate) record: ContainerRecord,
    pub(crate) ground: Arc<Ground>,
    /// Those in force, as they are written down.
    pub(crate) limits: Mutex<Resources>,
    /// Whether it stands still, if it runs.
    pub(crate) paused: AtomicBool,
    /// One start, removal, pause or change of limits at a time.
    pub(crate) gate: tokio::sync::Mutex<()>,
    /// Had by commands that are being started, and by who has it stand still: their shims are in its control group.
    pub(crate) going: tokio::sync::RwLock<()>,
    /// One sweep of what a shim has left at a time.
    settling: Mutex<()>,
    /// Whether it has ended, or is gone, and its shim with it.
    pub(crate) ended: watch::Sender<bool>,
    /// How it ended, for those who ask when its files may be gone.
    pub(crate) end: Arc<OnceLock<ContainerState>>,
    pub(crate) watcher: Mutex<Option<AbortHandle>>,
    /// It was made by this program, and nobody has begun to start it.
    pub(crate) is_new: AtomicBool,
    /// Its shim, as long as that is watched, and since when its program runs.
    pub(crate) held: Mutex<Option<(Arc<Process>, Timestamp)>>,
}

impl Started {
    /// The process, held fast; none if it has ended.
    pub(crate) fn process(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            held => held?,
        };
        // Looked at once it is held fast: the number may have become another's.
        Ok((record::ticks(self.pid) == Some(self.ticks)).then_some(held))
    }
}

impl Cell {
    pub(crate) fn new(
        id: ContainerId,
        dir: ContainerDir,
        record: ContainerRecord,
        limits: Resources,
        ground: Arc<Ground>,
    ) -> Self {
        Self {
            id,
            dir,
            record,
            ground,
            limits: Mutex::new(limits),
            paused: AtomicBool::default(),
            gate: tokio::sync::Mutex::default(),
            going: tokio::sync::RwLock::default(),
            settling: Mutex::default(),
            ended: watch::Sender::new(false),
            end: Arc::default(),
            watcher: Mutex::default(),
            is_new: AtomicBool::default(),
            held: Mutex::default(),
        }
    }

    pub(crate) fn group(&self) -> String {
        self.ground.group_of(&self.record.cgroup_parent, &self.id)
    }

    pub(crate) fn failed(
        &self,
        what: &str,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> RuntimeError {
        RuntimeError::failed(format!("{what} container {}", self.record.config.name), error)
    }

    fn find(&self) -> io::Result<Found> {
        // In this order; see `Found`.
        let shim = launch::locked_by(&self.dir)?.is_some();
        let begun = self.dir.begun().exists();
        let lost = !begun && !self.dir.run().exists();
        let end = match record::read(&self.dir.end()) {
            // The machine lost its power before this was on the disk.
            Err(error) if lost && error.kind() == io::ErrorKind::InvalidData => None,
            end => end?,
        };
        Ok(Found {
            shim,
            end,
            started: record::read(&self.dir.started())?,
            begun,
            lost,
        })
    }

    /// What it is now, where no file need be read for that; at most it is looked whether its end is there.
    pub(crate) fn known(&self) -> Option<ContainerState> {
        if let Some(end) = self.end.get() {
            // That is for ever.
            return Some(end.clone());
        }
        if self.is_new.load(Ordering::Acquire) {
            return Some(ContainerState::Created);
        }
        let held = self.held.lock();
        let (shim, started_at) = held.as_ref()?;
        // Its shim may go on for a while after it has written the end down.
        let runs = matches!(self.dir.end().try_exists(), Ok(false)) && matches!(shim.has_ended(), Ok(false));
        runs.then_some(ContainerState::Running {
            started_at: *started_at,
        })
    }

    /// What it is now; where its shim has died, after it was swept and that was written down. Reads files.
    pub(crate) fn look(&self) -> io::Result<Look> {
        if let Some(known) = self.known() {
            return Ok(Look::Is(known));
        }
        let found = self.find()?;
        let state = match meaning(&found) {
            Meaning::Is(state) => state,
            Meaning::Starting => return Ok(Look::Starting),
            Meaning::Abandoned(..) => self.settle()?,
        };
        if state.is_exited() {
            let _ = self.end.set(state.clone());
        }
        Ok(Look::Is(state))
    }

    /// An error unless it runs. Reads files.
    pub(crate) fn must_run(&self) -> Result<(), RuntimeError> {
        match self.look() {
            Ok(Look::Is(ContainerState::Running { .. })) => Ok(()),
            Ok(_) => Err(self.not_running()),
            Err(error) => Err(self.failed("looking at", error)),
        }
    }

    pub(crate) fn not_running(&self) -> RuntimeError {
        RuntimeError::NotRunning {
            container: self.id.0.clone(),
        }
    }

    fn settle(&self) -> io::Result<ContainerState> {
        let _one = self.settling.lock();
        let found = self.find()?;
        let (why, message) = match meaning(&found) {
            Meaning::Abandoned(why, message) => (why, message),
            Meaning::Is(state) => return Ok(state),
            Meaning::Starting => return Ok(ContainerState::Created),
        };
        self.ground.hierarchies.sweep(&self.group())?;
        let complaint = fs::read_to_string(self.dir.complaints()).unwrap_or_default();
        let message = match complaint.trim() {
            "" => message.to_owned(),
            complaint => format!("{message}: {complaint}"),
        };
        let end = End {
            started_at: match found.started {
                Some(started) => Some(started.at),
                None if found.lost => self.dir.was_begun_at(),
                None => None,
            },
            at: time::now(),
            code: None,
            why,
            out_of_memory: false,
            message: Some(message),
        };
        record::write(&self.dir.end(), &end)?;
        Ok(exited(&end))
    }

    /// Looks again while a start is under way of which this program is not told.
    pub(crate) fn look_settled(&self, bound: Duration) -> Result<ContainerState, RuntimeError> {
        let begin = std::time::Instant::now();
        loop {
            match self.look().map_err(|error| self.failed("looking at", error))? {
                Look::Is(state) => return Ok(state),
                Look::Starting if begin.elapsed() > bound => {
                    let what = format!("starting container {}", self.record.config.name);
                    return Err(RuntimeError::Timeout { what, after: bound });
                }
                Look::Starting => thread::sleep(LOOK),
            }
        }
    }

    /// Sends a signal to its program, if that runs; it can reach no other process.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(first) = self.first()? else { return Ok(()) };
        match pidfd_send_signal(first, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Its first process, held fast; none if it does not run.
    pub(crate) fn first(&self) -> io::Result<Option<OwnedFd>> {
        match record::read::<Started>(&self.dir.started())? {
            Some(started) => started.process(),
            None => Ok(None),
        }
    }

    /// The signal that asks it to end.
    pub(crate) fn stop_signal(&self) -> Signal {
        let asked = self.record.config.stop_signal.as_ref();
        let name = asked.or(self.record.image_signal.as_ref());
        name.and_then(|name| signal::parse(name)).unwrap_or(Signal::TERM)
    }

    /// Kills all of it, at once. Its shim then writes down the end.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        self.thaw()?;
        self.ground.hierarchies.kill(&self.group())
    }

    /// Returns once it has ended and nothing of it is left but its files; false if that took longer.
    pub(crate) async fn ended_within(&self, bound: Duration) -> bool {
        let mut ended = self.ended.subscribe();
        tokio::time::timeout(bound, ended.wait_for(|ended| *ended))
            .await
            .is_ok()
    }

    /// Its shim, if it has one.
    pub(crate) fn holder(&self) -> io::Result<Option<Process>> {
        launch::holder(&self.dir)
    }

    pub(crate) fn event(&self) -> RuntimeEvent {
        RuntimeEvent::Container {
            id: self.id.clone(),
            sandbox: self.record.sandbox.clone(),
            pod_uid: self.record.pod_uid.clone(),
        }
    }

    pub(crate) fn matches(&self, filter: &ContainerFilter) -> bool {
        filter.id.as_ref().is_none_or(|id| *id == self.id)
            && filter
                .sandbox
                .as_ref()
                .is_none_or(|sandbox| *sandbox == self.record.sandbox)
            && filter
                .pod_uid
                .as_ref()
                .is_none_or(|uid| *uid == self.record.pod_uid)
    }

    /// Reads files.
    pub(crate) fn seen(&self) -> io::Result<Container> {
        let state = match self.look()? {
            Look::Is(state) => state,
            Look::Starting => ContainerState::Created,
        };
        // If it is being removed, what was read may be of files that were there no more.
        fs::metadata(self.dir.record())?;
        Ok(self.seen_as(state))
    }

    pub(crate) fn seen_as(&self, state: ContainerState) -> Container {
        let (config, record) = (&self.record.config, &self.record);
        Container {
            id: self.id.clone(),
            sandbox: record.sandbox.clone(),
            pod_uid: record.pod_uid.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_id: record.image_id.clone(),
            paused: state.is_running() && self.paused.load(Ordering::Acquire),
            state,
            created_at: record.created_at,
            resources: self.limits.lock().clone(),
            labels: config.labels.clone().into(),
            annotations: config.annotations.clone().into(),
        }
    }
}

/// What a look at a container shows.
#[derive(Debug)]
pub(crate) enum Look {
    Is(ContainerState),
    /// A start is under way.
    Starting,
}

/// What a start has come to, by what the container is then.
pub(crate) fn outcome(cell: &Cell, state: ContainerState) -> Result<(), RuntimeError> {
    match state {
        ContainerState::Running { .. } => Ok(()),
        ContainerState::Exited {
            reason: ExitReason::StartError,
            message,
            ..
        } => Err(RuntimeError::StartFailed {
            container: cell.record.config.name.clone(),
            reason: message.unwrap_or_else(|| {
                "who held it was killed before it could say why; make the container's next attempt".into()
            }),
        }),
        // It has run, and that was all.
        ContainerState::Exited { .. } => Ok(()),
        _ => {
            let said = fs::read_to_string(cell.dir.complaints()).unwrap_or_default();
            let said = if said.trim().is_empty() {
                "its shim ended and said nothing"
            } else {
                said.trim()
            };
            Err(cell.failed("starting", said.to_owned()))
        }
    }
}
