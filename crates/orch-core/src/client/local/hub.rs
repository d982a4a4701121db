//! Fans the store's changes out to watchers: each change is read and decoded once, whoever watches.
//!
//! A kind that is watched has one hub, and the hub one watch on the store. Watchers with an exact field selector
//! (a node agent's `spec.nodeName=n1`) are found by the field's value, so that a thousand of them cost a change
//! no more than one. Each watcher has a bounded queue; one that overflows is told that it expired.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::documents::Documents;
use super::read::{matches_fields, selectable};
use super::{collection_prefix, watch_error};
use crate::client::{ApiError, DocumentWatch, Kind, WatchBatch, WatchEvent, WatchParams};
use crate::object::{Document, FieldSelector, Selector};
use crate::store::{Change, Entry, Prefix, Revision, Store, WatchError};

/// Changes a hub keeps for watchers that start a little in the past.
const RECENT: usize = 1_024;
/// Events a watcher may be behind before it expires.
const QUEUE: usize = 65_536;
/// How long a hub waits before it tries an unavailable store again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The hubs of all kinds.
pub(super) struct Hubs {
    store: Arc<dyn Store>,
    documents: Arc<Documents>,
    hubs: Mutex<HashMap<String, Arc<Hub>>>,
}

impl Hubs {
    pub(super) fn new(store: Arc<dyn Store>, documents: Arc<Documents>) -> Self {
        Self {
            store,
            documents,
            hubs: Mutex::default(),
        }
    }

    pub(super) async fn watch(
        &self,
        kind: Arc<Kind>,
        namespace: Option<&str>,
        params: &WatchParams,
    ) -> Result<DocumentWatch, ApiError> {
        let filter = Filter {
            prefix: namespace.map(|namespace| collection_prefix(&kind.resource, Some(namespace))),
            labels: params.labels.clone(),
            fields: params.fields.clone(),
            kind: kind.clone(),
        };
        let hub = {
            let mut hubs = self.hubs.lock();
            hubs.entry(kind.resource.group_resource())
                .or_insert_with(|| Arc::new(Hub::new(kind, self.documents.clone())))
                .clone()
        };
        match hub.subscribe(&filter, params.after) {
            Subscribed::Live(subscription) => Ok(DocumentWatch::new(subscription)),
            Subscribed::Idle => {
                // Start before subscribing, so that a revision too old is refused here and now.
                let watch = self
                    .store
                    .watch(&hub.prefix, params.after)
                    .await
                    .map_err(watch_error)?;
                let subscription = hub.start(&self.store, watch, &filter, params.after);
                match subscription {
                    Some(subscription) => Ok(DocumentWatch::new(subscription)),
                    None => self.watch_alone(&hub, filter, params.after).await,
                }
            }
            Subscribed::TooOld => self.watch_alone(&hub, filter, params.after).await,
        }
    }

    /// A watch of its own for a watcher that starts further back than the hub remembers.
    async fn watch_alone(
        &self,
        hub: &Hub,
        filter: Filter,
        after: Revision,
    ) -> Result<DocumentWatch, ApiError> {
        let watch = self.store.watch(&hub.prefix, after).await.map_err(watch_error)?;
        Ok(DocumentWatch::new(futures::stream::unfold(
            Some((watch, filter, self.documents.clone())),
            |state| async {
                let (mut watch, filter, documents) = state?;
                loop {
                    match watch.next().await? {
                        Ok(batch) => {
                            let events: Vec<_> = batch
                                .changes
                                .into_iter()
                                .filter_map(|(revision, change)| {
                                    filter.event(&HubChange::new(revision, change, documents.clone()))
                                })
                                .collect();
                            if !events.is_empty() {
                                let batch = WatchBatch {
                                    revision: batch.revision,
                                    events,
                                };
                                return Some((Ok(batch), Some((watch, filter, documents))));
                            }
                        }
                        Err(error) => return Some((Err(watch_error(error)), None)),
                    }
                }
            },
        )))
    }
}

/// What a watcher wants to see.
#[derive(Clone)]
struct Filter {
    prefix: Option<Prefix>,
    labels: Selector,
    fields: FieldSelector,
    kind: Arc<Kind>,
}

impl Filter {
    fn matches(&self, document: &Document) -> bool {
        self.labels.matches(&document.meta().labels) && matches_fields(&self.kind, &self.fields, document)
    }

    fn selects_all(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The event that the change is to this watcher.
    fn event(&self, change: &HubChange) -> Option<WatchEvent<Document>> {
        if self
            .prefix
            .as_ref()
            .is_some_and(|prefix| !prefix.contains(&change.change.key))
        {
            return None;
        }
        let current = change.current();
        let had = match (&change.change.previous, self.selects_all()) {
            (None, _) => false,
            (Some(_), true) => true,
            (Some(_), false) => change.previous().is_some_and(|previous| self.matches(previous)),
        };
        match current.filter(|current| self.selects_all() || self.matches(current)) {
            Some(current) if had => Some(WatchEvent::Modified(current.clone())),
            Some(current) => Some(WatchEvent::Added(current.clone())),
            // As it was, at the revision at which it went.
            None if had => change
                .previous()
                .map(|previous| WatchEvent::Deleted(previous.clone().at(change.revision))),
            None => None,
        }
    }

    /// The field by whose value its events can be found.
    fn route(&self) -> Option<(String, String)> {
        self.fields.requirements().iter().find_map(|requirement| {
            let value = self.fields.exact(&requirement.path)?;
            Some((requirement.path.clone(), value.to_owned()))
        })
    }
}

/// A change, decoded at most once however many look at it.
struct HubChange {
    revision: Revision,
    change: Change,
    documents: Arc<Documents>,
    current: OnceLock<Option<Document>>,
    previous: OnceLock<Option<Document>>,
}

impl HubChange {
    fn new(revision: Revision, change: Change, documents: Arc<Documents>) -> Self {
        Self {
            revision,
            change,
            documents,
            current: OnceLock::new(),
            previous: OnceLock::new(),
        }
    }

    fn current(&self) -> Option<&Document> {
        let decode = || self.decode(self.change.current.as_ref()?);
        self.current.get_or_init(decode).as_ref()
    }

    fn previous(&self) -> Option<&Document> {
        let decode = || self.decode(self.change.previous.as_ref()?);
        self.previous.get_or_init(decode).as_ref()
    }

    fn decode(&self, entry: &Entry) -> Option<Document> {
        match self.documents.decode(entry) {
            Ok(document) => Some(document),
            Err(error) => {
                // Not ours to repair; reads of the object itself report it.
                tracing::error!(key = %entry.key, %error, "stored object cannot be read, watchers do not see it");
                None
            }
        }
    }
}

struct Hub {
    kind: Arc<Kind>,
    documents: Arc<Documents>,
    prefix: Prefix,
    state: Mutex<State>,
    /// Rung when the last watcher leaves.
    deserted: Notify,
}

#[derive(Default)]
struct State {
    /// Which of the hub's tasks runs it, if one does.
    run: Option<u64>,
    runs: u64,
    /// Everything up to here has been handed out.
    revision: Revision,
    /// The last changes; all after `recent_after` are here.
    recent: VecDeque<Arc<HubChange>>,
    recent_after: Revision,
    next_id: u64,
    watchers: HashMap<u64, Arc<Watcher>>,
    /// Watchers without a route.
    broad: Vec<u64>,
    /// Watchers by the value of a field, by the field.
    routes: HashMap<String, HashMap<String, Vec<u64>>>,
}

enum Subscribed {
    Live(Subscription),
    /// The hub does not run; start it.
    Idle,
    /// The hub does not reach back that far.
    TooOld,
}

impl Hub {
    fn new(kind: Arc<Kind>, documents: Arc<Documents>) -> Self {
        let prefix = collection_prefix(&kind.resource, None);
        Self {
            kind,
            documents,
            prefix,
            state: Mutex::default(),
            deserted: Notify::new(),
        }
    }

    fn subscribe(self: &Arc<Self>, filter: &Filter, after: Revision) -> Subscribed {
        let mut state = self.state.lock();
        if state.run.is_none() {
            return Subscribed::Idle;
        }
        if after < state.recent_after {
            return Subscribed::TooOld;
        }
        Subscribed::Live(self.add(&mut state, filter, after))
    }

    fn add(self: &Arc<Self>, state: &mut State, filter: &Filter, after: Revision) -> Subscription {
        let watcher = Arc::new(Watcher {
            filter: filter.clone(),
            after,
            queue: Mutex::default(),
            waker: AtomicWaker::new(),
        });
        for change in &state.recent {
            watcher.offer(change);
        }
        let id = state.next_id;
        state.next_id += 1;
        let route = filter.route();
        match &route {
            None => state.broad.push(id),
            Some((path, value)) => {
                let values = state.routes.entry(path.clone()).or_default();
                values.entry(value.clone()).or_default().push(id);
            }
        }
        state.watchers.insert(id, watcher.clone());
        Subscription {
            hub: Arc::downgrade(self),
            id,
            route,
            watcher,
        }
    }

    /// Runs the hub on `watch` and subscribes; none if somebody else started it meanwhile from later on.
    fn start(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        watch: crate::store::Watch,
        filter: &Filter,
        after: Revision,
    ) -> Option<Subscription> {
        let mut state = self.state.lock();
        if state.run.is_some() {
            return (after >= state.recent_after).then(|| self.add(&mut state, filter, after));
        }
        state.runs += 1;
        let run = state.runs;
        state.run = Some(run);
        state.revision = after;
        state.recent.clear();
        state.recent_after = after;
        let subscription = self.add(&mut state, filter, after);
        drop(state);
        let running = Running(self.clone(), run);
        let store = store.clone();
        tokio::spawn(async move { running.run(store, watch).await });
        Some(subscription)
    }

    fn deliver(&self, changes: Vec<(Revision, Change)>, revision: Revision) {
        let mut state = self.state.lock();
        for (at, change) in changes {
            let change = Arc::new(HubChange::new(at, change, self.documents.clone()));
            self.dispatch(&state, &change);
            if state.recent.len() == RECENT
                && let Some(oldest) = state.recent.pop_front()
            {
                // Only whole commits are remembered: one revision may have several changes.
                state.recent_after = oldest.revision;
            }
            state.recent.push_back(change);
        }
        state.revision = revision;
    }

    fn dispatch(&self, state: &State, change: &HubChange) {
        for id in &state.broad {
            if let Some(watcher) = state.watchers.get(id) {
                watcher.offer(change);
            }
        }
        for (path, values) in &state.routes {
            let value = |document: Option<&Document>| document.map(|d| selectable(&self.kind, d, path));
            let (now, before) = (value(change.current()), value(change.previous()));
            let offer_all = |value: &str| {
                for watcher in values
                    .get(value)
                    .into_iter()
                    .flatten()
                    .filter_map(|id| state.watchers.get(id))
                {
                    watcher.offer(change);
                }
            };
            if let Some(now) = &now {
                offer_all(now);
            }
            if let Some(before) = before.filter(|before| Some(before) != now.as_ref()) {
                offer_all(&before);
            }
        }
    }

    fn expire_all(&self, error: &WatchError) {
        let state = self.state.lock();
        for watcher in state.watchers.values() {
            watcher.fail(error.to_string());
        }
    }
}

/// The hub's task, and its number. However it ends, even with its tokio runtime, the hub can be started again.
struct Running(Arc<Hub>, u64);

impl Running {
    async fn run(self, store: Arc<dyn Store>, mut watch: crate::store::Watch) {
        let hub = &self.0;
        let mut delay = RETRY.0;
        loop {
            let next = tokio::select! {
                next = watch.next() => next,
                () = hub.deserted.notified() => {
                    let mut state = hub.state.lock();
                    if state.watchers.is_empty() {
                        state.run = None;
                        state.recent.clear();
                        return;
                    }
                    continue;
                }
            };
            let error = match next {
                Some(Ok(batch)) => {
                    delay = RETRY.0;
                    hub.deliver(batch.changes, batch.revision);
                    continue;
                }
                Some(Err(error)) => error,
                None => WatchError::Unavailable("the watch ended".into()),
            };
            if !matches!(error, WatchError::Unavailable(_)) {
                hub.expire_all(&error);
                return;
            }
            tracing::warn!(kind = %hub.kind.resource.kind, %error, "watching the store failed, trying again");
            watch = loop {
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(RETRY.1);
                let revision = hub.state.lock().revision;
                match store.watch(&hub.prefix, revision).await {
                    Ok(watch) => break watch,
                    Err(WatchError::Unavailable(_)) => {}
                    Err(error) => {
                        hub.expire_all(&error);
                        return;
                    }
                }
            };
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        // If it is another's by now, that one feeds the watchers.
        if state.run != Some(self.1) {
            return;
        }
        state.run = None;
        for watcher in state.watchers.values() {
            watcher.fail("the hub that fed this watch ended".to_owned());
        }
    }
}

struct Watcher {
    filter: Filter,
    /// What the watcher knows already.
    after: Revision,
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    events: Vec<WatchEvent<Document>>,
    failed: Option<String>,
    ended: bool,
}

impl Watcher {
    fn offer(&self, change: &HubChange) {
        if change.revision <= self.after {
            return;
        }
        let Some(event) = self.filter.event(change) else {
            return;
        };
        let mut queue = self.queue.lock();
        if queue.failed.is_some() {
            return;
        }
        if queue.events.len() == QUEUE {
            queue.events = Vec::new();
            queue.failed = Some(format!("the watcher is more than {QUEUE} events behind"));
        } else {
            queue.events.push(event);
        }
        drop(queue);
        self.waker.wake();
    }

    fn fail(&self, reason: String) {
        self.queue.lock().failed.get_or_insert(reason);
        self.waker.wake();
    }
}

/// A watcher's end of its queue; leaves the hub when dropped.
struct Subscription {
    hub: Weak<Hub>,
    id: u64,
    route: Option<(String, String)>,
    watcher: Arc<Watcher>,
}

impl Stream for Subscription {
    type Item = Result<WatchBatch, ApiError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before looking, so that an event offered meanwhile is not slept through.
        self.watcher.waker.register(cx.waker());
        let mut queue = self.watcher.queue.lock();
        let events = std::mem::take(&mut queue.events);
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
