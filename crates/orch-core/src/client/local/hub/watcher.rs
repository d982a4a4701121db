//! A watcher's queue, and the stream that it is read as.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::Hub;
use super::filter::{Filter, HubChange};
use crate::client::local::documents::weight;
use crate::client::{ApiError, WatchBatch, WatchEvent};
use crate::object::Document;
use crate::store::Revision;

/// Events a watcher may be behind before it expires, and what their objects may [weigh](weight). Watchers of one kind hold
/// the same objects.
const EVENTS: usize = 65_536;
const WEIGHT: usize = 256 << 20;

fn weight_of(event: &WatchEvent<Document>) -> usize {
    weight(event.object().stored().len())
}

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
    weight: usize,
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
        self.weight = rest.iter().map(weight_of).sum();
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
        queue.weight += weight_of(&event);
        if queue.events.len() == EVENTS || (queue.weight > WEIGHT && !queue.events.is_empty()) {
            queue.events = Vec::new();
            queue.whole = 0;
            queue.failed = Some(format!(
                "the watcher is more than {EVENTS} events or {WEIGHT} bytes behind"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Kind;
    use crate::client::kinds::NoRules;
    use crate::client::local::documents::Documents;
    use crate::object::{ApiResource, Scope};
    use crate::store::{Change, Entry};

    fn put(name: &str, revision: u64, text: &str) -> HubChange {
        let json =
            format!(r#"{{"apiVersion":"v1","kind":"Cat","metadata":{{"name":"{name}"}},"text":"{text}"}}"#);
        let entry = Entry {
            key: format!("registry/cats/{name}").into(),
            value: json.into(),
            created: Revision::new(revision),
            modified: Revision::new(revision),
        };
        let change = Change {
            key: entry.key.clone(),
            current: Some(entry),
            previous: None,
        };
        HubChange::new(Revision::new(revision), change, Arc::new(Documents::new()))
    }

    fn watcher() -> Watcher {
        let resource = ApiResource::new("", "v1", "Cat", "cats", Scope::Cluster);
        let filter = Filter {
            prefix: None,
            labels: Default::default(),
            fields: Default::default(),
            kind: Arc::new(Kind::new(resource, NoRules)),
        };
        Watcher::new(filter, Revision::ZERO)
    }

    fn taken(watcher: &Watcher) -> Vec<String> {
        let events = watcher.queue.lock().take();
        events
            .iter()
            .map(|event| event.object().meta().name.clone())
            .collect()
    }

    #[test]
    fn a_commit_of_several_objects_is_seen_whole_or_not_at_all() {
        let watcher = watcher();
        assert!(watcher.offer(&put("left", 1, "")), "the first since a release");
        watcher.release();
        assert!(watcher.offer(&put("left", 2, "")));
        assert!(!watcher.offer(&put("right", 2, "")));
        assert_eq!(taken(&watcher), ["left"], "half of the second commit is not seen");
        assert!(taken(&watcher).is_empty());
        watcher.release();
        assert_eq!(taken(&watcher), ["left", "right"]);
    }

    #[test]
    fn a_watcher_that_is_many_bytes_behind_is_told() {
        let watcher = watcher();
        let text = "x".repeat(1 << 20);
        for revision in 1..=33 {
            watcher.offer(&put("big", revision, &text));
        }
        watcher.release();
        assert!(watcher.queue.lock().failed.is_some() && taken(&watcher).is_empty());
        let watcher = super::tests::watcher();
        watcher.offer(&put("big", 1, &text));
        watcher.release();
        assert_eq!(taken(&watcher), ["big"]);
        assert_eq!(watcher.queue.lock().weight, 0, "what was taken no longer counts");
    }
}
