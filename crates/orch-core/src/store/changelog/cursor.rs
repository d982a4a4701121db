//! One watcher's place in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

use super::ChangeLog;
use super::topic::{Taken, Topic};
use crate::store::{Batch, Prefix, Revision};

/// Reads the changes under one prefix, in order, each once.
#[derive(Debug)]
pub struct Cursor {
    log: ChangeLog,
    topic: Arc<Topic>,
    reader: Arc<Reader>,
    seen: Revision,
}

/// What a cursor comes upon.
#[derive(Debug)]
pub enum Next {
    /// Changes not seen before.
    Batch(Batch),
    /// A change that the cursor has not delivered was trimmed; it delivers nothing more.
    Trimmed {
        /// The revision of that change.
        unseen: Revision,
    },
    /// Everything was delivered and [no commit will follow](ChangeLog::close).
    Closed,
}

/// The part of a cursor that the log knows.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The first commit under the prefix that was not delivered; 0 if there is none. Guarded by the topic.
    pub(super) unseen: AtomicU64,
    pub(super) gone: AtomicBool,
    pub(super) waker: AtomicWaker,
}

impl Cursor {
    pub(super) fn new(log: ChangeLog, topic: Arc<Topic>, reader: Arc<Reader>, seen: Revision) -> Self {
        Self {
            log,
            topic,
            reader,
            seen,
        }
    }

    /// The last revision that was delivered, or the one that the cursor started after.
    pub fn seen(&self) -> Revision {
        self.seen
    }

    /// The prefix it reads.
    pub fn prefix(&self) -> &Prefix {
        self.topic.prefix()
    }

    /// The next thing to tell the watcher; the task is woken when there is one.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(next) = self.take() {
            return Poll::Ready(next);
        }
        // Registered before the second look, so that a commit in between wakes the task.
        self.reader.waker.register(cx.waker());
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// How many readers the log would wake at the next commit under the prefix.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.topic.waiting()
    }

    fn take(&mut self) -> Option<Next> {
        match self.topic.take(&self.reader) {
            Taken::Nothing => None,
            Taken::Closed => Some(Next::Closed),
            Taken::Trimmed => Some(Next::Trimmed {
                unseen: self.reader.unseen(),
            }),
            Taken::Commits(commits) => {
                self.seen = commits.last().map_or(self.seen, |commit| commit.revision);
                let prefix = self.topic.prefix();
                Some(Next::Batch(Batch {
                    revision: self.seen,
                    changes: commits.iter().flat_map(|commit| commit.changes(prefix)).collect(),
                }))
            }
        }
    }
}

impl Reader {
    fn unseen(&self) -> Revision {
        Revision::new(self.unseen.load(Relaxed))
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // Outside the log's locks: dropping a waker may run any code, the drop of another cursor included.
        drop(self.reader.waker.take());
        self.log.leave(&self.topic, &self.reader);
    }
}
