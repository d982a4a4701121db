//! One container: how it starts, ends and is found again.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::dir::{ContainerRecord, is_cut, read_json, write_json};
use super::log::{Log, LogLimits};
use super::{Inner, os, wrapper};
use crate::runtime::{Container, ContainerId, ContainerState, ExitReason, Resources, RuntimeError};
use crate::time;

/// How long a killed container may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a wrapper may take to begin with the program before it is signalled all the same: those of earlier
/// versions never say that they have.
const BEGIN_PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether it has, at first and at last. Nobody would tell.
const BEGIN_LOOK: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// The exit code of a wrapper that found another one at work.
const GAVE_WAY: i32 = 125;

/// The contents of `start.json`.
#[derive(Serialize, Deserialize)]
struct Start {
    pid: i32,
    at: Timestamp,
}

/// The contents of `end.json`.
#[derive(Clone, Serialize, Deserialize)]
struct End {
    started_at: Option<Timestamp>,
    finished_at: Timestamp,
    exit_code: Option<i32>,
    #[serde(default)]
    message: Option<String>,
}

impl From<End> for ContainerState {
    fn from(end: End) -> Self {
        let reason = match end.started_at {
            None => ExitReason::StartError,
            Some(_) => ExitReason::of(end.exit_code, false),
        };
        Self::Exited {
            started_at: end.started_at,
            finished_at: end.finished_at,
            exit_code: end.exit_code,
            reason,
            message: end.message,
        }
    }
}

pub(super) struct Cell {
    pub(super) id: ContainerId,
    pub(super) dir: PathBuf,
    pub(super) record: ContainerRecord,
    pub(super) log: Arc<Log>,
    pub(super) state: watch::Sender<ContainerState>,
    /// What only a started container has. Locked through every change of state.
    process: Mutex<Process>,
}

#[derive(Default)]
struct Process {
    pid: Option<Pid>,
    watcher: Option<AbortHandle>,
    /// Keeps standard input from ending.
    stdin: Option<File>,
}

impl Cell {
    pub(super) fn new(id: ContainerId, dir: PathBuf, record: ContainerRecord, limits: LogLimits) -> Self {
        Self {
            log: Arc::new(Log::new(dir.clone(), limits)),
            state: watch::Sender::new(ContainerState::Created),
            process: Mutex::default(),
            id,
            dir,
            record,
        }
    }

    pub(super) fn container(&self) -> Container {
        let config = &self.record.config;
        Container {
            id: self.id.clone(),
            sandbox: self.record.sandbox.clone(),
            pod_uid: self.record.pod_uid.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_id: super::runtime::image(&config.image).id,
            state: self.state.borrow().clone(),
            paused: false,
            created_at: self.record.created_at,
            resources: Resources::default(),
            labels: config.labels.clone().into(),
            annotations: config.annotations.clone().into(),
        }
    }

    fn failed(&self, what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RuntimeError {
        RuntimeError::failed(format!("{what} container {}", self.id), error)
    }

    /// Finds out what has become of it since an earlier runtime left it.
    pub(super) fn load(self: &Arc<Self>, inner: &Arc<Inner>) -> Result<(), RuntimeError> {
        let end: Option<End> = match read_json(&self.dir.join("end.json")) {
            // Cut by a loss of power: how it ended is found out again.
            Err(error) if is_cut(&error) => None,
            end => end.map_err(|error| self.failed("reading", error))?,
        };
        if let Some(end) = end {
            self.log.complete();
            self.state.send_replace(end.into());
        } else if let Some((pid, at)) = self.wrapper_pid() {
            self.adopt(self.process.lock(), inner, pid, at);
        }
        Ok(())
    }

    /// The wrapper that an earlier runtime started, and when.
    fn wrapper_pid(&self) -> Option<(Pid, Timestamp)> {
        let claimed = self.claim();
        match read_json::<Start>(&self.dir.join("start.json")) {
            // A claim by another wrapper is the truth: the one started last gave way.
            Ok(Some(start)) => Some((
                claimed.map_or(Pid::from_raw(start.pid), |(pid, _)| Some(pid))?,
                start.at,
            )),
            _ => claimed,
        }
    }

    fn claim(&self) -> Option<(Pid, Timestamp)> {
        let path = self.dir.join("claim");
        let pid = fs::read_to_string(&path)
            .ok()?
            .trim_end()
            .parse()
            .ok()
            .and_then(Pid::from_raw)?;
        Some((pid, written_at(&path)?))
    }

    /// Takes over a wrapper started earlier, or sees how it ended.
    fn adopt(
        self: &Arc<Self>,
        mut process: MutexGuard<'_, Process>,
        inner: &Arc<Inner>,
        pid: Pid,
        started_at: Timestamp,
    ) {
        // The log first: its raw output may have to be read to the end right now.
        if let Err(error) = self.log.begin() {
            tracing::warn!(container = %self.id, %error, "cannot go on with the log");
        }
        self.state.send_replace(ContainerState::Running { started_at });
        if os::is_wrapper(pid, &self.id) {
            process.pid = Some(pid);
            self.watch(&mut process, inner, pid);
        } else {
            drop(process);
            self.finish(inner, None);
        }
    }

    fn watch(self: &Arc<Self>, process: &mut Process, inner: &Arc<Inner>, pid: Pid) {
        inner.follower.add(&self.log);
        let (cell, inner) = (Arc::downgrade(self), Arc::downgrade(inner));
        let task = tokio::spawn(async move {
            os::ended(pid).await;
            if let (Some(cell), Some(inner)) = (cell.upgrade(), inner.upgrade()) {
                // Else the program is ending, and whoever opens the directory next sees to it.
                let _ = inner.blocking(move |inner| cell.ended(inner, pid)).await;
            }
        });
        process.watcher = Some(task.abort_handle());
    }

    /// Starts it. Does not wait for any task, so that it cannot be given up halfway.
    pub(super) fn start(self: &Arc<Self>, inner: &Arc<Inner>) -> Result<(), RuntimeError> {
        let mut process = self.process.lock();
        match &*self.state.borrow() {
            ContainerState::Created => {}
            ContainerState::Running { .. } => return Ok(()),
            _ => {
                return Err(RuntimeError::Ended {
                    container: self.id.to_string(),
                });
            }
        }
        // Looked at under the lock: whoever stops the sandbox marks it first, and then comes here.
        let ready = inner
            .state
            .lock()
            .sandboxes
            .get(&self.record.sandbox)
            .is_some_and(|sandbox| !sandbox.stopped);
        if !ready {
            let reason = format!("sandbox {} is not ready", self.record.sandbox);
            return Err(self.failed("starting", reason));
        }
        if let Some((pid, at)) = self.claim() {
            // An earlier runtime started it, died, and its wrapper was slow.
            self.adopt(process, inner, pid, at);
            inner.container_changed(self);
            return Ok(());
        }
        let output = self
            .log
            .begin()
            .map_err(|error| self.failed("opening the log of", error))?;
        let stdin = self
            .open_stdin(&mut process)
            .map_err(|error| self.failed("making the input of", error))?;
        let pid = match wrapper::spawn(&self.id, &self.dir, &self.record, stdin, output) {
            Ok(pid) => pid,
            Err(reason) => return Err(self.start_failed(&mut process, inner, reason)),
        };
        let started_at = time::now();
        process.pid = Some(pid);
        self.state.send_replace(ContainerState::Running { started_at });
        self.watch(&mut process, inner, pid);
        inner.container_changed(self);
        let start = Start {
            pid: pid.as_raw_nonzero().get(),
            at: started_at,
        };
        if let Err(error) = write_json(&self.dir.join("start.json"), &start) {
            self.kill_group(&process);
            return Err(self.failed("recording the start of", error));
        }
        Ok(())
    }

    fn start_failed(&self, process: &mut Process, inner: &Inner, reason: String) -> RuntimeError {
        let end = End {
            started_at: None,
            finished_at: time::now(),
            exit_code: Some(if reason.contains("ermission") { 126 } else { 127 }),
            message: Some(reason.clone()),
        };
        self.end_log();
        self.settle(process, end);
        inner.container_changed(self);
        RuntimeError::StartFailed {
            container: self.record.config.name.clone(),
            reason,
        }
    }

    /// Called when the wrapper has ended, and was not waited for if it is a child of ours.
    fn ended(self: &Arc<Self>, inner: &Arc<Inner>, pid: Pid) {
        let mut process = self.process.lock();
        if process.pid != Some(pid) {
            return;
        }
        if os::waitable(pid) {
            // Its number is still its own, and so is its group's. It ended the group itself, unless it was killed.
            os::signal_group(pid, Signal::KILL);
        }
        let status = os::reap(pid);
        if status == Some(GAVE_WAY)
            && let Some((other, at)) = self.claim().filter(|(other, _)| *other != pid)
        {
            return self.adopt(process, inner, other, at);
        }
        // From here on the number may become another's.
        process.pid = None;
        drop(process);
        self.finish(inner, status);
    }

    /// Settles how it ended, given the wrapper's own exit code if anyone knows it.
    fn finish(self: &Arc<Self>, inner: &Inner, status: Option<i32>) {
        // May take long, and is not waited for by who wants to know or signal its process: it has none.
        os::kill_marked(&self.id);
        self.end_log();
        let mut process = self.process.lock();
        let ContainerState::Running { started_at } = *self.state.borrow() else {
            return;
        };
        let path = self.dir.join("exit");
        // Whole only with its line end.
        let written = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.strip_suffix('\n')?.parse().ok());
        let killed = self
            .dir
            .join("killed")
            .exists()
            .then_some(128 + Signal::KILL.as_raw());
        let finished_at = written_at(&path)
            .filter(|_| written.is_some())
            .unwrap_or_else(time::now);
        let end = End {
            started_at: Some(started_at),
            // The clock of files is coarser.
            finished_at: finished_at.max(started_at),
            exit_code: written.or(killed).or(status),
            message: None,
        };
        self.settle(&mut process, end);
        drop(process);
        inner.container_changed(self);
    }

    fn end_log(&self) {
        if let Err(error) = self.log.finish() {
            tracing::warn!(container = %self.id, %error, "the end of its log is lost");
        }
    }

    /// Writes down how it ended, and lets go of what only a running container needs.
    fn settle(&self, process: &mut Process, end: End) {
        let settled = write_json(&self.dir.join("end.json"), &end).and_then(|()| self.log.discard_raw());
        if let Err(error) = settled {
            // The exit code is in `exit` still, for whoever opens the directory next.
            tracing::warn!(container = %self.id, %error, "cannot record how a container ended");
        }
        process.stdin = None;
        process.pid = None;
        self.state.send_replace(end.into());
    }

    /// The wrapper's number while it runs: then its group is its own too.
    pub(super) fn group(&self) -> Option<Pid> {
        self.process
            .lock()
            .pid
            .filter(|pid| os::is_wrapper(*pid, &self.id))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.group() {
            os::signal_group(pid, signal);
        }
    }

    fn kill_group(&self, process: &Process) {
        let Some(pid) = process.pid.filter(|pid| os::is_wrapper(*pid, &self.id)) else {
            return;
        };
        // The wrapper will not live to write down what happened.
        if let Err(error) = fs::write(self.dir.join("killed"), "") {
            tracing::warn!(container = %self.id, %error, "cannot record that a container is killed");
        }
        os::signal_group(pid, Signal::KILL);
    }

    /// Asks it to end, kills it after the grace, and returns when it has ended.
    pub(super) async fn stop(&self, grace: Duration) -> Result<(), RuntimeError> {
        // Under the lock: a start may be under way.
        let process = self.process.lock();
        if !self.state.borrow().is_running() {
            return Ok(());
        }
        drop(process);
        if !grace.is_zero() {
            let asking = async {
                self.begun().await;
                let signal = self.record.config.stop_signal.as_deref().and_then(os::signal);
                self.signal(signal.unwrap_or(Signal::TERM));
                self.wait().await;
            };
            if tokio::time::timeout(grace, asking).await.is_ok() {
                return Ok(());
            }
        }
        self.kill_group(&self.process.lock());
        let ended = tokio::time::timeout(KILL_TIMEOUT, self.wait()).await;
        ended.map_err(|_| RuntimeError::Timeout {
            what: format!("killing container {}", self.id),
            after: KILL_TIMEOUT,
        })
    }

    /// Returns once a signal is not lost on the program any more: it would be while the wrapper, which survives
    /// signals, has not begun with it.
    async fn begun(&self) {
        let path = self.dir.join("began");
        let looking = async {
            let [mut pause, longest] = BEGIN_LOOK;
            while !path.exists() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        };
        tokio::select! {
            biased;
            () = self.wait() => {}
            _ = tokio::time::timeout(BEGIN_PATIENCE, looking) => {}
        }
    }

    /// Returns once it does not run.
    pub(super) async fn wait(&self) {
        let mut state = self.state.subscribe();
        // The sender is `self`'s own.
        let _ = state.wait_for(|state| !state.is_running()).await;
    }

    /// Makes sure that nothing runs of a container whose directory was moved to the trash.
    pub(super) fn bury(&self, trash: &std::path::Path) {
        // A wrapper from before, slower than its runtime and this one.
        let claim = fs::read_to_string(trash.join("claim")).ok();
        let pid = claim.and_then(|text| Pid::from_raw(text.trim_end().parse().ok()?));
        if let Some(pid) = pid.filter(|pid| os::is_wrapper(*pid, &self.id)) {
            os::signal_group(pid, Signal::KILL);
            os::kill_marked(&self.id);
        }
        self.log.complete();
    }

    /// The named pipe's end for the program, if it has standard input.
    fn open_stdin(&self, process: &mut Process) -> io::Result<Option<File>> {
        if !self.record.config.stdin {
            return Ok(None);
        }
        let path = self.stdin_path();
        make_pipe(&path)?;
        // Open for both, so that opening the other end does not wait for anyone.
        let both = File::options().read(true).write(true).open(&path)?;
        let program = File::options().read(true).open(&path)?;
        process.stdin = Some(both);
        Ok(Some(program))
    }

    pub(super) fn stdin_path(&self) -> PathBuf {
        self.dir.join("stdin")
    }

    /// Lets standard input end, once no one else has it open.
    pub(super) fn close_stdin(&self) {
        self.process.lock().stdin = None;
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        if let Some(watcher) = self.process.get_mut().watcher.take() {
            watcher.abort();
        }
    }
}

fn written_at(path: &std::path::Path) -> Option<Timestamp> {
    let written = path.metadata().and_then(|file| file.modified()).ok()?;
    Timestamp::try_from(written).ok()
}

#[cfg(target_os = "linux")]
fn make_pipe(path: &std::path::Path) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn make_pipe(_: &std::path::Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
