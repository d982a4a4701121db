//! The line in which commits wait for the writer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_core::store::{CommitError, Committed, Op, ReadError, Revision, Txn};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::Fault;

/// Most requests that wait; who comes later waits to be let in.
const WAITING: usize = 4096;
/// Most requests that share one sync.
const GROUP_REQUESTS: usize = 1024;
/// A group takes no further request once it writes this many bytes.
const GROUP_BYTES: usize = 16 << 20;
/// How long the writer waits for those of the last group to come back; less than a sync takes.
const LINGER: Duration = Duration::from_micros(100);

pub(crate) enum Request {
    Commit {
        txn: Txn,
        reply: oneshot::Sender<Result<Committed, CommitError>>,
    },
    Compact {
        through: Revision,
        reply: oneshot::Sender<Result<(), ReadError>>,
    },
}

pub(crate) struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct Line {
    requests: VecDeque<(Request, OwnedSemaphorePermit)>,
    closed: bool,
    /// The length at which the writer is to be woken.
    wanted: usize,
}

/// What the writer finds.
pub(crate) enum Arrival {
    /// Requests to answer, at least one.
    Group(Vec<(Request, OwnedSemaphorePermit)>),
    /// None for as long as it was willing to wait.
    Quiet,
    /// None, and none will come.
    Closed,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::default(),
            arrived: Condvar::new(),
            room: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Puts a request in line, once there is room.
    pub(crate) async fn push(&self, request: Request) -> Result<(), Fault> {
        let permit = self
            .room
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Fault::Closed)?;
        let mut line = self.line.lock();
        if line.closed {
            return Err(Fault::Closed);
        }
        line.requests.push_back((request, permit));
        if line.requests.len() == line.wanted {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Lets nobody in any more; who is in line is still served.
    pub(crate) fn close(&self) {
        self.line.lock().closed = true;
        self.room.close();
        self.arrived.notify_one();
    }

    /// Sends whoever is left away unanswered.
    pub(crate) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut self.line.lock().requests);
        drop(left);
    }

    /// Takes those in line, as many as make one group; `before` is how many the last group had.
    pub(crate) fn next_group(&self, before: usize, patience: Option<Duration>) -> Arrival {
        let mut line = self.line.lock();
        // Those of the last group have just been answered, and often come back at once: better to share the
        // next sync with them than to have them wait for it. One writer alone never waits.
        line.wanted = before;
        let until = Instant::now() + LINGER;
        while before > 1 && line.requests.len() < before && !line.closed {
            if self.arrived.wait_until(&mut line, until).timed_out() {
                break;
            }
        }
        line.wanted = 1;
        while line.requests.is_empty() {
            if line.closed {
                return Arrival::Closed;
            }
            match patience {
                None => self.arrived.wait(&mut line),
                Some(patience) => {
                    if self.arrived.wait_for(&mut line, patience).timed_out() && line.requests.is_empty() {
                        return if line.closed {
                            Arrival::Closed
                        } else {
                            Arrival::Quiet
                        };
                    }
                }
            }
        }
        Arrival::Group(line.take_group())
    }

    /// Takes those in line, as many as make one group, without waiting for any.
    pub(crate) fn group_now(&self) -> Vec<(Request, OwnedSemaphorePermit)> {
        self.line.lock().take_group()
    }
}

impl Line {
    fn take_group(&mut self) -> Vec<(Request, OwnedSemaphorePermit)> {
        let mut bytes = 0;
        let mut group = Vec::new();
        while group.len() < GROUP_REQUESTS && bytes < GROUP_BYTES {
            let Some((request, permit)) = self.requests.pop_front() else {
                break;
            };
            bytes += request.bytes();
            group.push((request, permit));
        }
        group
    }
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Compact { .. } => 0,
            Self::Commit { txn, .. } => txn
                .ops
                .iter()
                .map(|op| match op {
                    Op::Put { key, value } => key.as_ref().len() + value.len(),
                    Op::Delete { key } => key.as_ref().len(),
                })
                .sum(),
        }
    }
}
