//! Fans the store's changes out to watchers: each change is read and decoded once, whoever watches.
//!
//! A kind that is watched has one hub, and the hub one watch on the store. Watchers with an exact field selector
//! (a node agent's `spec.nodeName=n1`) are found by the field's value, so that a thousand of them cost a change
//! no more than one. Each watcher has a bounded queue; one that overflows is told that it expired.

mod filter;
mod watcher;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

use self::filter::{Filter, HubChange, Side};
use self::watcher::{Subscription, Watcher};
use super::documents::Documents;
use super::{collection_prefix, watch_error};
use crate::client::{ApiError, DocumentWatch, Kind, WatchBatch, WatchParams};
use crate::delays::Delays;
use crate::store::{Change, Prefix, Revision, Store, WatchError};

/// Changes a hub keeps for watchers that start a little in the past.
const RECENT: usize = 1_024;
/// What they may weigh at most (see `documents::weight`), much of which caches hold anyway.
const RECENT_WEIGHT: usize = 32 << 20;
/// How long a hub waits before it tries an unavailable store again.
const RETRY: Delays = Delays::new(Duration::from_millis(50), Duration::from_secs(5));

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
            hubs.entry(kind.resource.group_resource().into_owned())
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
    recent_weight: usize,
    recent_after: Revision,
    next_id: u64,
    /// In the order in which they came, which is the order in which they are told that they failed.
    watchers: BTreeMap<u64, Arc<Watcher>>,
    /// Watchers without a route.
    broad: Vec<u64>,
    /// Watchers by the value of a field, by the field. Every field is looked at for a change, so their order is that
    /// in which watchers wake.
    routes: BTreeMap<String, HashMap<String, Vec<u64>>>,
}

impl State {
    /// Keeps a change for watchers that start a little in the past.
    fn remember(&mut self, change: Arc<HubChange>) {
        self.recent_weight += change.weight();
        self.recent.push_back(change);
        while self.recent.len() > RECENT || self.recent_weight > RECENT_WEIGHT {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_weight -= oldest.weight();
            // Only whole commits are remembered: one revision may have several changes.
            self.recent_after = oldest.revision;
        }
    }

    fn forget(&mut self) {
        self.recent.clear();
        self.recent_weight = 0;
    }
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
        let watcher = Arc::new(Watcher::new(filter.clone(), after));
        for change in &state.recent {
            watcher.offer(change);
        }
        watcher.release();
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
        state.forget();
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
        let mut told = Vec::new();
        for (at, change) in changes {
            let change = Arc::new(HubChange::new(at, change, self.documents.clone()));
            self.dispatch(&state, &change, &mut told);
            state.remember(change);
        }
        state.revision = revision;
        drop(state);
        // The newest first: tokio runs next what is woken last, and the first watcher is mostly the cache that a
        // controller waits for.
        for watcher in told.into_iter().rev() {
            watcher.release();
        }
    }

    fn dispatch(&self, state: &State, change: &HubChange, told: &mut Vec<Arc<Watcher>>) {
        if change.ends_unreadable() {
            // Whom it was shown to as it last was cannot be told what went: they list anew, and miss it.
            let reason = format!("what {} held could not be read, and is gone", change.key());
            state
                .watchers
                .values()
                .for_each(|watcher| watcher.fail(reason.clone()));
            return;
        }
        let mut offer = |id: &u64| {
            if let Some(watcher) = state.watchers.get(id)
                && watcher.offer(change)
            {
                told.push(watcher.clone());
            }
        };
        state.broad.iter().for_each(&mut offer);
        for (path, values) in &state.routes {
            let value = |side| change.field(&self.kind, path, side);
            let (now, before) = (value(Side::Current), value(Side::Previous));
            let mut offer_all = |value: &str| values.get(value).into_iter().flatten().for_each(&mut offer);
            if let Some(now) = &now {
                offer_all(now);
            }
            if let Some(before) = before.filter(|before| Some(before) != now.as_ref()) {
                offer_all(&before);
            }
        }
    }

    /// Stops the hub if nobody watches any longer.
    fn close_if_deserted(&self) -> bool {
        let mut state = self.state.lock();
        if state.watchers.is_empty() {
            state.run = None;
            state.forget();
        }
        state.run.is_none()
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
        let mut delays = RETRY;
        loop {
            // A watch may have changes without a gap, and the thread other tasks.
            consume_budget().await;
            let next = tokio::select! {
                // First, for changes may come without a gap; it is rung no more often than watchers leave.
                biased;
                () = hub.deserted.notified() => match hub.close_if_deserted() {
                    true => return,
                    false => continue,
                },
                next = watch.next() => next,
            };
            let error = match next {
                Some(Ok(batch)) => {
                    delays.reset();
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
                let retry = delays.wait();
                tokio::pin!(retry);
                while tokio::select! {
                    biased;
                    () = hub.deserted.notified() => true,
                    () = &mut retry => false,
                } {
                    if hub.close_if_deserted() {
                        return;
                    }
                }
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
