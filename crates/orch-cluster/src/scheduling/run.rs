//! The loop: feed the engine from watches, place what waits, write bindings with many in flight.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node as KubeNode, Pod};
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client};
use orch_core::object::{ApiResource, Object, ObjectKey};
use orch_core::scheduler::{Engine, Node, Placement, Queue, QueueOptions, Refusal, Request, Scheduler};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bind::{bind_for_sure, refuse};
use super::node::node;
use super::pod::{DEFAULT_SCHEDULER, PodEntry, Stage};
use super::template::Templates;
use super::words::words;
use crate::controllers::pod_reference;
use crate::events::Recorder;

/// How [`Scheduling`] works.
#[derive(Clone, Debug)]
pub struct SchedulingOptions {
    /// The `spec.schedulerName` of the pods that are its business.
    pub name: String,
    /// How many bindings are written at once.
    pub writes_in_flight: usize,
    /// How pods wait that were refused, or whose binding failed.
    pub queue: QueueOptions,
}

impl Default for SchedulingOptions {
    fn default() -> Self {
        Self {
            name: DEFAULT_SCHEDULER.to_owned(),
            writes_in_flight: 256,
            queue: QueueOptions::default(),
        }
    }
}

/// Binds pods to nodes.
///
/// It holds what it has seen in memory alone: started anew, it reads nodes and pods again before it places any.
/// A place is held from the decision on, so that the next pod is decided while this one's binding is written;
/// it is given up when that fails.
pub struct Scheduling {
    client: Client,
    scheduler: Arc<dyn Scheduler>,
    options: SchedulingOptions,
}

impl Scheduling {
    /// Binds through `client` with the shipped [`Engine`].
    pub fn new(client: Client) -> Self {
        Self {
            client,
            scheduler: Arc::new(Engine::default()),
            options: SchedulingOptions::default(),
        }
    }

    /// Decides with another scheduler. It must be empty, and nobody else may tell it anything.
    #[must_use]
    pub fn scheduler(mut self, scheduler: Arc<dyn Scheduler>) -> Self {
        self.scheduler = scheduler;
        self
    }

    /// Works by these options.
    #[must_use]
    pub fn options(mut self, options: SchedulingOptions) -> Self {
        self.options = options;
        self
    }

    /// Works until dropped. May be dropped at any time and started anew: a binding is written whole or not at all.
    pub async fn run(self) {
        let templates = Templates::default();
        let entry = move |pod: &_| PodEntry::new(pod, &templates);
        // All that is bound must be counted before anything is placed, or nodes would be overcommitted.
        let pods = Cache::projected(&self.client, Pod::resource(), entry)
            .from_the_newest()
            .start();
        let nodes = Cache::projected(&self.client, KubeNode::resource(), node).start();
        pods.synced().await;
        nodes.synced().await;

        let shared = Arc::new(Shared {
            queue: Queue::new(self.options.queue),
            scheduler: self.scheduler,
            name: self.options.name,
        });
        let feed = Arc::clone(&shared);
        let _of_nodes = nodes.on_change(move |change| feed.node_changed(change));
        let feed = Arc::clone(&shared);
        let _of_pods = pods.on_change(move |change| feed.pod_changed(change));

        let writer = Arc::new(Writer {
            recorder: Recorder::new(self.client.clone(), shared.name.as_str(), ""),
            client: self.client,
            resource: Arc::new(Pod::resource()),
            shared: Arc::clone(&shared),
        });
        let slots = Arc::new(Semaphore::new(self.options.writes_in_flight.max(1)));
        // Dropped with this future, which ends the writes under way.
        let mut writes = JoinSet::new();
        loop {
            // A slot first: a pod that waits for one would be decided on old knowledge.
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            while writes.try_join_next().is_some() {}
            let Some(popped) = shared.queue.pop().await else {
                return;
            };
            let key = object_key(&popped.request.key);
            let Some(pod) = pods.get(&key) else {
                shared.queue.remove(&popped.request.key);
                continue;
            };
            let outcome = shared.place(&popped.request);
            let writer = Arc::clone(&writer);
            writes.spawn(async move {
                writer.write(&key, &pod, outcome).await;
                drop(slot);
            });
        }
    }
}

/// What the watches feed and the loop reads.
struct Shared {
    queue: Queue,
    scheduler: Arc<dyn Scheduler>,
    name: String,
}

impl Shared {
    fn node_changed(&self, change: &Change<'_, Node>) {
        match change.new {
            Some(node) => {
                if self.scheduler.set_node(Node::clone(node)) {
                    self.wake(&node.name);
                }
            }
            None => drop(self.scheduler.remove_node(change.key.name())),
        }
    }

    fn pod_changed(&self, change: &Change<'_, PodEntry>) {
        let key = change.key.as_str();
        if let (Some(old), Some(new)) = (change.old, change.new)
            && old.uid != new.uid
        {
            // Another pod of the same name, and the deletion in between was not told.
            self.leave(key);
        }
        let Some(pod) = change.new else {
            return self.leave(key);
        };
        match &pod.stage {
            Stage::Waiting { scheduler } if **scheduler == *self.name => self.queue.push(pod.request.clone()),
            Stage::Bound { node } => {
                self.queue.remove(key);
                self.scheduler
                    .set_placement(&pod.request.key, node, &pod.request.shape);
            }
            Stage::Waiting { .. } | Stage::Held | Stage::Finished => self.leave(key),
        }
    }

    /// The pod takes no room and waits for none.
    fn leave(&self, key: &str) {
        self.queue.remove(key);
        if let Some(node) = self.scheduler.remove_placement(key) {
            self.wake(&node);
        }
    }

    /// There may be room on `node` now.
    fn wake(&self, node: &str) {
        self.queue.wake(|request| self.scheduler.fits(request, node));
    }

    fn place(&self, request: &Request) -> Result<Placement, Refusal> {
        let outcome = self.scheduler.place(request);
        match &outcome {
            Ok(_) => self.queue.placed(&request.key),
            Err(_) => self.queue.refused(&request.key),
        }
        outcome
    }
}

/// Writes what was decided.
struct Writer {
    client: Client,
    resource: Arc<ApiResource>,
    shared: Arc<Shared>,
    recorder: Recorder,
}

impl Writer {
    async fn write(&self, key: &ObjectKey, pod: &PodEntry, outcome: Result<Placement, Refusal>) {
        let (namespace, name) = (key.namespace(), key.name());
        match outcome {
            Ok(placement) => {
                let node = &*placement.node;
                match bind_for_sure(&self.client, &self.resource, key, &pod.uid, node).await {
                    Ok(()) => tracing::debug!(kind = "Pod", namespace, name, node, "bound"),
                    Err(error) => self.give_up(key, node, &error),
                }
            }
            Err(refusal) => {
                let message = words(&refusal);
                let about = pod_reference(namespace.unwrap_or_default(), name, &pod.uid);
                self.recorder
                    .warning(&about, "FailedScheduling", message.as_str());
                tracing::debug!(kind = "Pod", namespace, name, %message, "no node fits");
                if let Err(error) = refuse(&self.client, key, &pod.uid, message).await
                    && !error.is_not_found()
                    && !error.is_conflict()
                {
                    tracing::warn!(kind = "Pod", namespace, name, %error, "could not say why it waits");
                }
            }
        }
    }

    /// The binding was not written.
    fn give_up(&self, key: &ObjectKey, node: &str, error: &ApiError) {
        let (namespace, name) = (key.namespace(), key.name());
        tracing::warn!(kind = "Pod", namespace, name, node, %error, "binding failed");
        if let Some(node) = self.shared.scheduler.forget(key.as_str()) {
            self.shared.wake(&node);
        }
        self.shared.queue.failed(key.as_str());
    }
}

/// The object of a request's key.
fn object_key(key: &str) -> ObjectKey {
    match key.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(Some(namespace), name),
        None => ObjectKey::new(None, key),
    }
}
