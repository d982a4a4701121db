//! Puts a controller to work.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::worker::Worker;
use super::{Backoff, Context, Controller, Election, Leadership, Metrics, MetricsSnapshot, WorkQueue};
use crate::cache::{Cache, Change, Subscription};
use crate::client::Client;
use crate::object::{ApiResource, Object, ObjectKey, OwnerReference};
use crate::random::Random;

/// How many objects are reconciled at once unless the embedder says otherwise.
const CONCURRENCY: usize = 4;

/// How long stopping lets reconciles finish unless the embedder says otherwise.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// How long stopping waits for reconciles to be dropped, and then for the lease to be given back. Both take
/// moments, if the reconciler does not block its thread and the store answers.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs a controller; built like kube-rs' `Controller` and controller-runtime's `Builder`.
pub struct Engine<C: Controller> {
    controller: Arc<C>,
    client: Client,
    cache: Option<Cache<C::Object>>,
    watches: Vec<Watch>,
    /// Resolve when the caches that are watched have been filled.
    sources: Vec<BoxFuture<'static, ()>>,
    concurrency: usize,
    backoff: Backoff,
    reconcile_timeout: Option<Duration>,
    shutdown_timeout: Duration,
    random: Random,
    election: Option<Election>,
}

/// Connects another kind's changes to the queue.
type Watch = Box<dyn FnOnce(Arc<WorkQueue>) -> Subscription + Send>;

impl<C: Controller> Engine<C> {
    /// An engine for `controller`, reading and writing through `client`.
    pub fn new(controller: C, client: &Client) -> Self {
        Self {
            controller: Arc::new(controller),
            client: client.clone(),
            cache: None,
            watches: Vec::new(),
            sources: Vec::new(),
            concurrency: CONCURRENCY,
            backoff: Backoff::default(),
            reconcile_timeout: None,
            shutdown_timeout: SHUTDOWN,
            random: Random::from_os(),
            election: None,
        }
    }

    /// Uses a cache that others use too, or one that selects; by default the engine makes one of all objects.
    #[must_use]
    pub fn cache(mut self, cache: Cache<C::Object>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Reconciles an object whenever one that it controls (by owner reference) changes.
    #[must_use]
    pub fn owns<V: Send + Sync + 'static>(self, cache: &Cache<V>) -> Self {
        let resource = C::Object::resource();
        self.watches(cache, move |change| {
            let namespace = change.key.namespace();
            let owners = [change.old_controller, change.controller];
            owners
                .into_iter()
                .flatten()
                .filter_map(|owner| owner_key(owner, &resource, namespace))
                .collect()
        })
    }

    /// Reconciles the objects that `keys` names whenever another changes.
    #[must_use]
    pub fn watches<V: Send + Sync + 'static>(
        mut self,
        cache: &Cache<V>,
        keys: impl Fn(&Change<'_, V>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let source = cache.clone();
        self.sources.push(Box::pin(async move { source.synced().await }));
        let cache = cache.clone();
        self.watches.push(Box::new(move |queue| {
            cache.on_change(move |change| keys(change).into_iter().for_each(|key| queue.add(key)))
        }));
        self
    }

    /// How many objects are reconciled at once, at least one.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency.max(1);
        self
    }

    /// How long to wait after failures.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long one reconcile (or cleanup) may take; without a bound unless said otherwise, as
    /// controller-runtime's `ReconciliationTimeout`.
    ///
    /// One that takes longer is dropped at the await it is at, counts as failed, and is repeated after a backoff.
    /// Without a bound, a reconcile that never returns keeps one worker, and its object, for ever.
    #[must_use]
    pub fn reconcile_timeout(mut self, timeout: Duration) -> Self {
        self.reconcile_timeout = Some(timeout);
        self
    }

    /// How long [`stop`](Running::stop) lets the reconciles in hand finish before it drops them: 30 s unless
    /// said otherwise, as controller-runtime's `GracefulShutdownTimeout`.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Where jitter comes from.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// Works only while holding a lease, so that of several engines one works.
    #[must_use]
    pub fn leader_election(mut self, election: Election) -> Self {
        self.election = Some(election);
        self
    }

    /// Starts it on the present tokio runtime.
    pub fn start(self) -> Running {
        let queue = Arc::new(WorkQueue::new());
        let metrics = Arc::new(Metrics::default());
        let cache = self.cache.unwrap_or_else(|| Cache::builder(&self.client).start());
        let own = queue.clone();
        let mut subscriptions = vec![cache.on_change(move |change| own.add(change.key.clone()))];
        subscriptions.extend(self.watches.into_iter().map(|watch| watch(queue.clone())));
        let name = self.controller.name();
        let (stop, stopped) = watch::channel(false);
        let crew = Crew {
            worker: Arc::new(Worker {
                name: name.clone(),
                controller: self.controller,
                cache,
                queue: queue.clone(),
                metrics: metrics.clone(),
                backoff: self.backoff,
                timeout: self.reconcile_timeout,
                failures: Mutex::new(HashMap::new()),
            }),
            context: Context {
                client: self.client.clone(),
                random: self.random,
            },
            sources: self.sources,
            concurrency: self.concurrency,
            shutdown_timeout: self.shutdown_timeout,
            at_work: JoinSet::new(),
            _subscriptions: subscriptions,
        };
        let task = match self.election {
            None => tokio::spawn(crew.work(stopped)),
            Some(election) => tokio::spawn(crew.campaign(election, stopped)),
        };
        Running {
            name,
            queue,
            metrics,
            stop,
            task,
        }
    }
}

/// The key of the owner that `reference` names, if it is of this kind (in whatever version).
fn owner_key(reference: &OwnerReference, kind: &ApiResource, namespace: Option<&str>) -> Option<ObjectKey> {
    let group = reference
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    if reference.kind != kind.kind || group != kind.group {
        return None;
    }
    Some(ObjectKey::new(
        namespace.filter(|_| kind.is_namespaced()),
        &reference.name,
    ))
}

/// Waits for the word to stop, which dropping the sender is too.
pub(super) async fn told(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The workers of one controller.
struct Crew<C: Controller> {
    worker: Arc<Worker<C>>,
    context: Context,
    sources: Vec<BoxFuture<'static, ()>>,
    concurrency: usize,
    shutdown_timeout: Duration,
    at_work: JoinSet<()>,
    /// What feeds the queue, for as long as somebody works it off.
    _subscriptions: Vec<Subscription>,
}

impl<C: Controller> Crew<C> {
    /// Waits until all caches are filled: a reconciler that saw none of its children would make them again. False
    /// if told to stop before.
    async fn sourced(&mut self, stopped: &mut watch::Receiver<bool>) -> bool {
        let sources = futures::future::join_all(self.sources.drain(..));
        tokio::select! {
            biased;
            () = told(stopped) => false,
            _ = futures::future::join(self.worker.cache.synced(), sources) => true,
        }
    }

    /// Works until told to stop, then finishes what is in hand.
    async fn work(mut self, mut stopped: watch::Receiver<bool>) {
        if !self.sourced(&mut stopped).await {
            return;
        }
        self.hire(self.context.clone());
        told(&mut stopped).await;
        self.finish().await;
    }

    /// Works while leading; drops what is in hand when leadership is lost.
    async fn campaign(mut self, election: Election, mut stopped: watch::Receiver<bool>) {
        if !self.sourced(&mut stopped).await {
            return;
        }
        let mut leadership = Leadership::campaign(self.context.client.clone(), election);
        loop {
            let won = tokio::select! {
                biased;
                () = told(&mut stopped) => None,
                client = leadership.won() => Some(client),
            };
            let Some(client) = won else { break };
            self.hire(Context {
                client,
                random: self.context.random.clone(),
            });
            let deposed = tokio::select! {
                biased;
                () = leadership.lost() => true,
                () = told(&mut stopped) => false,
            };
            if deposed {
                self.dismiss().await;
                self.worker.recall();
            } else {
                tokio::select! {
                    biased;
                    () = leadership.lost() => self.dismiss().await,
                    () = self.finish() => {}
                }
                break;
            }
        }
        if timeout(LEAVE, leadership.resign()).await.is_err() {
            // It runs out by itself.
            tracing::warn!(
                controller = self.worker.name,
                "could not give the lease back in time"
            );
        }
    }

    fn hire(&mut self, context: Context) {
        let context = Arc::new(context);
        for _ in 0..self.concurrency {
            self.at_work.spawn(self.worker.clone().run(context.clone()));
        }
    }

    /// Takes on nothing more, and lets the reconciles in hand finish, those that do in time.
    async fn finish(&mut self) {
        self.worker.queue.close();
        if timeout(self.shutdown_timeout, all(&mut self.at_work))
            .await
            .is_err()
        {
            let (controller, dropped) = (&self.worker.name, self.at_work.len());
            tracing::warn!(controller, dropped, after = ?self.shutdown_timeout, "reconciles did not finish");
            self.dismiss().await;
        }
    }

    /// Drops what the workers have in hand.
    async fn dismiss(&mut self) {
        self.at_work.abort_all();
        if timeout(LEAVE, all(&mut self.at_work)).await.is_err() {
            // Its key stays with it until it returns, so nobody else works on that object meanwhile.
            let (controller, blocked) = (&self.worker.name, self.at_work.len());
            tracing::error!(
                controller,
                blocked,
                "reconciles block their threads and cannot be dropped"
            );
            self.at_work.detach_all();
        }
    }
}

/// Returns when all have ended.
async fn all(workers: &mut JoinSet<()>) {
    while workers.join_next().await.is_some() {}
}

/// A controller at work. Dropping it stops the controller too, without waiting.
#[derive(Debug)]
pub struct Running {
    name: String,
    queue: Arc<WorkQueue>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// The controller's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has done so far.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.metrics.snapshot(&self.queue)
    }

    /// Queues an object, as if it had changed.
    pub fn reconcile_now(&self, key: ObjectKey) {
        self.queue.add(key);
    }

    /// Takes on nothing more, lets the reconciles in hand finish, gives up the lease, and returns.
    ///
    /// Reconciles that do not finish within the [`shutdown_timeout`](Engine::shutdown_timeout) are dropped, and
    /// a lease that cannot be given back in a few seconds is left to run out: it always returns.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(controller = self.name, %error, "the controller ended abnormally");
        }
    }
}
