//! What a fake runtime holds: sandboxes, containers, their logs.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::CALLS;
use super::calls::{Call, CallRecord, CutOff, Injected};
use super::machine::{End, Machine, Pause};
use super::pause::Held;
use super::script::{Behavior, Usage};
use crate::runtime::line::LogLine;
use crate::runtime::{
    Container, ContainerConfig, ContainerId, ContainerState, LogChunk, LogStream, Sandbox, SandboxConfig,
    SandboxId,
};
use crate::time;

/// How many lines of a container's log are kept.
const LOG_LINES: usize = 100_000;

#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<SandboxId, SandboxRecord>,
    pub(super) containers: BTreeMap<ContainerId, ContainerRecord>,
    /// The sandboxes of each pod, oldest first.
    pub(super) pods: HashMap<String, Vec<SandboxId>>,
    pub(super) removed_images: HashSet<String>,
    pub(super) pulled: BTreeMap<String, u32>,
    pub(super) faults: Vec<Injected>,
    pub(super) calls: VecDeque<CallRecord>,
    pub(super) cut_off: VecDeque<CutOff>,
    /// How many of `cut_off` are no longer remembered.
    pub(super) forgotten: usize,
    pub(super) unavailable: Option<String>,
}

impl State {
    /// Takes note that a call ends a container, if it runs.
    pub(super) fn note_cut_off(&mut self, call: Call, id: &ContainerId) {
        let Some(record) = self.containers.get(id).filter(|record| record.is_running()) else {
            return;
        };
        let container = record.container.clone();
        if self.cut_off.len() == CALLS {
            self.cut_off.pop_front();
            self.forgotten += 1;
        }
        let at = time::now();
        self.cut_off.push_back(CutOff { at, call, container });
    }

    /// The same for all that run in a sandbox.
    pub(super) fn note_all_cut_off(&mut self, call: Call, id: &SandboxId) {
        let inside = self.sandboxes.get(id).map(|record| record.containers.clone());
        for id in inside.into_iter().flatten() {
            self.note_cut_off(call, &id);
        }
    }
}

pub(super) struct SandboxRecord {
    pub(super) sandbox: Sandbox,
    pub(super) config: SandboxConfig,
    pub(super) containers: Vec<ContainerId>,
}

pub(super) struct ContainerRecord {
    pub(super) container: Container,
    pub(super) config: Arc<ContainerConfig>,
    pub(super) behavior: Arc<Behavior>,
    pub(super) machine: Option<Machine>,
    /// The task that waits for the machine's next moment, if any, and when that is.
    pub(super) timer: Option<AbortHandle>,
    pub(super) due: Option<Instant>,
    /// What waits while it is paused.
    pub(super) held: Option<Held>,
    pub(super) log: Log,
    pub(super) attached: Vec<mpsc::Sender<LogChunk>>,
    pub(super) execs: u32,
    pub(super) usage: Usage,
    /// Processor time used until `usage` last changed, in nanoseconds, and when that was.
    pub(super) used: (u128, Timestamp),
    changed: Option<Arc<Notify>>,
}

impl ContainerRecord {
    pub(super) fn new(container: Container, config: ContainerConfig, behavior: Arc<Behavior>) -> Self {
        Self {
            usage: behavior.usage,
            used: (0, container.created_at),
            container,
            config: Arc::new(config),
            behavior,
            machine: None,
            timer: None,
            due: None,
            held: None,
            log: Log::default(),
            attached: Vec::new(),
            execs: 0,
            changed: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.container.state.is_running()
    }

    /// Runs the machine up to its next pause, and keeps what it writes.
    pub(super) fn proceed(
        &mut self,
        go: impl FnOnce(&mut Machine, &mut dyn FnMut(LogStream, Bytes)) -> Pause,
    ) -> Pause {
        let Some(mut machine) = self.machine.take() else {
            return Pause::Wait;
        };
        let now = time::now();
        let (log, attached) = (&mut self.log, &mut self.attached);
        let pause = go(&mut machine, &mut |stream, data| {
            log.append(now, stream, &data);
            // A reader that does not keep up misses output, as on a terminal.
            attached.retain(|reader| {
                let chunk = LogChunk {
                    stream,
                    data: data.clone(),
                };
                !matches!(reader.try_send(chunk), Err(mpsc::error::TrySendError::Closed(_)))
            });
        });
        self.machine = Some(machine);
        self.notify();
        pause
    }

    pub(super) fn end(&mut self, end: End) {
        let ContainerState::Running { started_at } = self.container.state else {
            return;
        };
        let now = time::now();
        self.set_usage(Usage::default());
        self.container.state = ContainerState::Exited {
            started_at: Some(started_at),
            finished_at: now,
            exit_code: Some(end.code),
            reason: end.reason,
            message: None,
        };
        self.clear();
    }

    /// Lets go of all that only a running container needs.
    pub(super) fn clear(&mut self) {
        self.machine = None;
        self.held = None;
        self.container.paused = false;
        self.attached.clear();
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        self.notify();
    }

    pub(super) fn set_usage(&mut self, usage: Usage) {
        let now = time::now();
        self.used = (self.cpu_nanos(now), now);
        self.usage = usage;
    }

    pub(super) fn cpu_nanos(&self, now: Timestamp) -> u128 {
        let (before, since) = self.used;
        let elapsed = u128::try_from(now.duration_since(since).as_nanos()).unwrap_or(0);
        before + elapsed * u128::from(self.usage.cpu_millis) / 1000
    }

    /// Woken at the next change. Take it under the lock under which the present was looked at.
    pub(super) fn changed(&mut self) -> Arc<Notify> {
        self.changed.get_or_insert_default().clone()
    }

    fn notify(&self) {
        if let Some(changed) = &self.changed {
            changed.notify_waiters();
        }
    }
}

impl Drop for ContainerRecord {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The lines of one container, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<LogLine>,
    dropped: usize,
    partial: [Option<(Timestamp, BytesMut)>; 2],
}

impl Log {
    fn append(&mut self, at: Timestamp, stream: LogStream, mut data: &[u8]) {
        let partial = &mut self.partial[stream as usize];
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            let (at, mut line) = partial.take().unwrap_or((at, BytesMut::new()));
            line.extend_from_slice(&data[..=end]);
            data = &data[end + 1..];
            self.lines.push_back(LogLine {
                at,
                stream,
                data: line.freeze(),
            });
            if self.lines.len() > LOG_LINES {
                self.lines.pop_front();
                self.dropped += 1;
            }
        }
        if !data.is_empty() {
            partial
                .get_or_insert((at, BytesMut::new()))
                .1
                .extend_from_slice(data);
        }
    }

    /// The lines from the given number on, and the number of the next one to come.
    pub(super) fn since(&self, number: usize) -> (impl DoubleEndedIterator<Item = &LogLine>, usize) {
        let skip = number.saturating_sub(self.dropped);
        (self.lines.iter().skip(skip), self.dropped + self.lines.len())
    }

    /// What was written without a line end.
    pub(super) fn partial(&self) -> Vec<LogLine> {
        [LogStream::Stdout, LogStream::Stderr]
            .into_iter()
            .filter_map(|stream| {
                let (at, data) = self.partial[stream as usize].as_ref()?;
                Some(LogLine {
                    at: *at,
                    stream,
                    data: data.clone().freeze(),
                })
            })
            .collect()
    }
}
