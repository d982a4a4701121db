//! A watcher's queue, and the stream that it is read as.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::Hub;
use super::filter::{Filter, HubChange};
use crate::client::{ApiError, WatchBatch, WatchEvent};
use crate::object::Document;
use crate::store::Revision;

/// Events a watcher may be behind before it expires, and bytes of their objects.
const EVENTS: usize = 65_536;
const BYTES: usize = 64 << 20;

pub(super) struct Watcher {
    filter: Filter,
    /// What the watcher knows already.
    after: Revision,
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    events: Vec<WatchEvent<Document>>,
    bytes: usize,
    /// How many of the events are whole commits: the others are not seen yet, or who resumed after them would miss
    /// the rest of their commit.
    whole: usize,
    failed: Option<String>,
    ended: bool,
}

impl Queue {
    /// The events of whole commits.
    fn take(&mut self) -> Vec<WatchEvent<Document>> {
        let rest = self.events.split_off(self.whole);
        self.whole = 0;
        self.bytes = rest.iter().map(|event| event.object().stored().len()).sum();
        std::mem::replace(&mut self.events, rest)
    }
}

impl Watcher {
    pub(super) fn new(filter: Filter, after: Revision) -> Self {
        Self {
            filter,
            after,
            queue: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// Queues the change if it is one to this watcher; says whether it is the first since [`release`](Self::release).
    pub(super) fn offer(&self, change: &HubChange) -> bool {
        if change.revision <= self.after {
            return false;
        }
        let Some(event) = self.filter.event(change) else {
            return false;
        };
        let mut queue = self.queue.lock();
        if queue.failed.is_some() {
            return false;
        }
        let is_first = queue.whole == queue.events.len();
        queue.bytes += event.object().stored().len();
        if queue.events.len() == EVENTS || (queue.bytes > BYTES && !queue.events.is_empty()) {
            queue.events = Vec::new();
            queue.whole = 0;
            queue.failed = Some(format!(
                "the watcher is more than {EVENTS} events or {BYTES} bytes behind"
            ));
        } else {
            queue.events.push(event);
        }
        is_first
    }

    /// Lets the watcher see what it was offered.
    pub(super) fn release(&self) {
        let mut queue = self.queue.lock();
        queue.whole = queue.events.len();
        drop(queue);
        self.waker.wake();
    }

    pub(super) fn fail(&self, reason: String) {
        self.queue.lock().failed.get_or_insert(reason);
        self.waker.wake();
    }
}

/// A watcher's end of its queue; leaves the hub when dropped.
pub(super) struct Subscription {
    pub(super) hub: Weak<Hub>,
    pub(super) id: u64,
    pub(super) route: Option<(String, String)>,
    pub(super) watcher: Arc<Watcher>,
}

impl Stream for Subscription {
    type Item = Result<WatchBatch, ApiError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before looking, so that an event offered meanwhile is not slept through.
        self.watcher.waker.register(cx.waker());
        let mut queue = self.watcher.queue.lock();
        let events = queue.take();
        if let Some(last) = events.last() {
            let revision = last.object().revision();
            return Poll::Ready(Some(Ok(WatchBatch { revision, events })));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        match &queue.failed {
            None => Poll::Pending,
            Some(reason) => {
                let error = ApiError::Expired(reason.clone());
                queue.ended = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return };
        let mut state = hub.state.lock();
        state.watchers.remove(&self.id);
        match &self.route {
            None => state.broad.retain(|id| *id != self.id),
            Some((path, value)) => {
                if let Some(values) = state.routes.get_mut(path) {
                    if let Some(ids) = values.get_mut(value) {
                        ids.retain(|id| *id != self.id);
                        if ids.is_empty() {
                            values.remove(value);
                        }
                    }
                    if values.is_empty() {
                        state.routes.remove(path);
                    }
                }
            }
        }
        if state.watchers.is_empty() {
            hub.deserted.notify_one();
        }
    }
}
