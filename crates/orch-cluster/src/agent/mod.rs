//! The node agent, Kubernetes' kubelet: makes the pods bound to its node run, and says how they are.
//!
//! Each pod has a worker. It looks at what the runtime has of the pod, [decides](decide::decide) what to do,
//! does it, and [reports](status::status). Changes of the object, hints of the runtime, probe results and time
//! wake it. Deciding and reporting are pure functions of what is there, so that a worker killed at any moment
//! is replaced by one that goes on: the runtime is the record of what runs, the object of what was reported.

mod access;
mod blocking;
mod conditions;
mod config;
pub mod decide;
#[cfg(test)]
mod decide_clock_tests;
#[cfg(test)]
mod decide_end_tests;
#[cfg(test)]
mod decide_lives;
#[cfg(test)]
mod decide_tests;
mod downward;
mod env;
mod http;
mod images;
mod machine;
mod mailbox;
mod node;
mod observed;
mod ops;
mod owner;
mod probe;
#[cfg(test)]
mod probe_tests;
mod prober;
mod qos;
mod resize;
#[cfg(test)]
mod resize_tests;
mod restart;
mod room;
mod shared;
pub mod status;
#[cfg(test)]
mod status_tests;
mod support;
#[cfg(test)]
mod support_tests;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
mod translate;
mod volumes;
mod worker;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use indexmap::IndexMap;
use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client, Target};
use orch_core::delays::Delays;
use orch_core::object::{FieldSelector, Object, ObjectKey};
use orch_core::runtime::{Runtime, RuntimeEvent};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};

pub use access::{AccessError, ContainerAt, NodeAccess};
pub use config::{AgentConfig, Backoff};
pub use observed::{Busy, Failure, Health, Observed, Past, RestartPolicy, Role, Unhealthy, View};
pub use owner::CLUSTER_ANNOTATION;
pub use resize::Wait;
pub use support::{Complaint, Refusal, Support};

use blocking::blocking;
use mailbox::{Mailbox, Snapshot};
use owner::Owner;
use shared::{Listing, Shared, WorkerHandle};
use support::{Host, support};
use worker::Worker;

/// How long to wait before asking a runtime, or the store, again that failed.
const RETRY: Delays = Delays::new(Duration::from_millis(200), Duration::from_secs(10));
/// How long to wait before listening again to a runtime that went away.
const AWAY: Duration = Duration::from_millis(200);
/// How many hints of the runtime are taken in at one go.
const HINTS_MAX: usize = 256;

/// How much of what belongs to no pod is removed at one time.
const ORPHANS_MAX: usize = 16;

/// A running node agent. It ends when it is dropped; what it started goes on, and the next agent for the same
/// node and runtime takes it over.
///
/// ```
/// # use std::sync::Arc;
/// use orch_cluster::agent::{Agent, AgentConfig};
/// use orch_cluster::kinds::kinds;
/// use orch_core::client::{Client, ClientBuilder};
/// use orch_core::store::MemoryStore;
/// use orch_core::testing::fake_runtime::FakeRuntime;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use k8s_openapi::api::core::v1::Node;
/// let builder = Client::builder(Arc::new(MemoryStore::new()));
/// let client = kinds().fold(builder, ClientBuilder::kind).build();
/// let agent = Agent::start(client.clone(), Arc::new(FakeRuntime::new()), AgentConfig::new("node-1"));
/// agent.ready().await;
/// # tokio::time::sleep(std::time::Duration::from_secs(1)).await;
/// assert!(client.all::<Node>().get("node-1").await.is_ok());
/// # }
/// ```
pub struct Agent {
    shared: Arc<Shared>,
    access: NodeAccess,
    ready: tokio::sync::watch::Receiver<bool>,
    tasks: Vec<AbortHandle>,
}

impl Agent {
    /// Starts an agent on the present tokio runtime: it registers the node of `config.node_name` and runs
    /// the pods bound to it on `runtime`.
    ///
    /// The store must let pods be selected by `spec.nodeName`, as orch-cluster's kinds do.
    pub fn start(client: Client, runtime: Arc<dyn Runtime>, config: AgentConfig) -> Self {
        let capacity = node::capacity(&config);
        let allocatable = node::millis(&node::allocatable(&config, &capacity));
        let on_this_node = FieldSelector::equal("spec.nodeName", config.node_name.as_str());
        let pods = Cache::<Pod>::builder(&client).fields(on_this_node).start();
        let shared = Arc::new(Shared::new(client, runtime, config, allocatable));
        let (done, ready) = tokio::sync::watch::channel(false);
        let access = NodeAccess::new(&shared.config.node_name, shared.runtime.clone(), pods.clone());
        let work = work(shared.clone(), pods, done);
        let tasks = vec![
            tokio::spawn(node::run(shared.clone())).abort_handle(),
            tokio::spawn(work).abort_handle(),
        ];
        Self {
            shared,
            access,
            ready,
            tasks,
        }
    }

    /// Waits until the runtime has been listed and the pods of the node are known, so that every pod has its
    /// worker.
    pub async fn ready(&self) {
        // The sender lives as long as the agent's work; if that ended there is nothing to wait for.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// Waits until the agent has looked at every pod of its node and the store says what it found: what a status in
    /// the store said before was true of an earlier agent's time.
    ///
    /// It waits as long as the runtime or the store cannot be asked. Pods that come while it waits are waited for too.
    pub async fn caught_up(&self) {
        self.ready().await;
        let mut unconfirmed = self.shared.unconfirmed.subscribe();
        // The sender lives in what this very agent keeps alive, so the wait cannot fail.
        let _ = unconfirmed.wait_for(|count| *count == 0).await;
    }

    /// What it was started with.
    pub fn config(&self) -> &AgentConfig {
        &self.shared.config
    }

    /// What runs its pods.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.shared.runtime
    }

    /// Compares what a pod asks for with what this agent's runtime declares, which neither asks the runtime nor does
    /// anything: to be told before the pod is made what would keep it from ever running here.
    ///
    /// The pod is taken as it is given: what defaults and admission rules would add is not looked at.
    pub fn support(&self, pod: &Pod) -> Support {
        let shared = &self.shared;
        support(
            pod,
            shared.runtime.name(),
            &shared.capabilities,
            &Host::of(&shared.config),
        )
    }

    /// A pod of this node.
    pub fn pod(&self, key: &ObjectKey) -> Option<Arc<Pod>> {
        self.access.pod(key)
    }

    /// The way to the containers of its pods: their logs, commands in them, their streams and figures.
    pub fn access(&self) -> &NodeAccess {
        &self.access
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        // A change that is being routed finds none left, and makes none that nobody would end.
        for worker in self.shared.workers.lock().take().into_iter().flatten() {
            worker.1.task.abort();
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("node", &self.shared.config.node_name)
            .finish_non_exhaustive()
    }
}

/// Takes over what the runtime has, hands every pod to a worker, and passes on the runtime's hints.
async fn work(shared: Arc<Shared>, pods: Cache<Pod>, ready: tokio::sync::watch::Sender<bool>) {
    let owner = owner(&shared).await;
    // Workers come later, so that this is the first.
    let _ = shared.owner.set(owner);
    // Hints are taken from before the listing, so that nothing falls between.
    let mut hints = shared.runtime.events().await.ready_chunks(HINTS_MAX);
    let found = list(&shared).await;
    pods.synced().await;
    let volumes = volumes_left(&shared).await;
    let found = Arc::new(Mutex::new(found));
    let router = Router {
        shared: Arc::downgrade(&shared),
        found: found.clone(),
    };
    let _routing = pods.on_change(move |change| router.route(change));
    // What no worker has claimed by now belongs to no pod.
    let unclaimed = std::mem::take(&mut *found.lock());
    let orphans = remove_orphans(&shared, &pods, unclaimed.by_uid);
    tokio::spawn(sweep_volumes(shared.clone(), pods.clone(), volumes, orphans));
    ready.send_replace(true);
    let mut relist = tokio::time::interval(shared.config.relist_interval);
    relist.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    relist.reset();
    loop {
        tokio::select! {
            // First, for hints may come without a gap, and it is ready but now and then.
            biased;
            _ = relist.tick() => {
                let found = list(&shared).await;
                hand_out(&shared, &pods, found);
            }
            hint = hints.next() => match hint {
                Some(hints) => {
                    if pass_on(&shared, hints) {
                        relist.reset_immediately();
                    }
                }
                None => {
                    // The runtime went away, or dropped us.
                    tokio::time::sleep(AWAY).await;
                    hints = shared.runtime.events().await.ready_chunks(HINTS_MAX);
                    relist.reset_immediately();
                }
            },
        }
    }
}

/// For whom this agent works, however long it takes the store to answer.
async fn owner(shared: &Shared) -> Owner {
    let node = shared.config.node_name.clone();
    let mut retry = RETRY;
    loop {
        let cluster = match &shared.config.cluster_id {
            Some(given) => Ok(given.clone()),
            None => owner::cluster_id(&shared.client).await,
        };
        match cluster {
            Ok(cluster) => return Owner { node, cluster },
            Err(error) => {
                tracing::warn!(node, %error, "the cluster's identity could not be read, trying again");
                retry.wait().await;
            }
        }
    }
}

/// Lists the runtime, however long it takes to answer.
async fn list(shared: &Shared) -> Listing {
    let mut retry = RETRY;
    loop {
        match shared.list().await {
            Ok(found) => return found,
            Err(error) => {
                tracing::warn!(node = shared.config.node_name, %error, "the runtime could not be listed");
                retry.wait().await;
            }
        }
    }
}

/// Tells workers of what may have changed. Returns whether everything has to be looked at.
fn pass_on(shared: &Shared, hints: Vec<RuntimeEvent>) -> bool {
    let workers = shared.workers.lock();
    let worker = |uid: &str| workers.as_ref().and_then(|workers| workers.get(uid));
    let mut relist = false;
    for hint in hints {
        match hint {
            RuntimeEvent::Container { id, pod_uid, .. } => {
                if let Some(worker) = worker(&pod_uid) {
                    worker.mailbox.send(|letters| letters.containers.extend([id]));
                }
            }
            RuntimeEvent::Sandbox { id, pod_uid } => {
                if let Some(worker) = worker(&pod_uid) {
                    worker.mailbox.send(|letters| letters.sandboxes.extend([id]));
                }
            }
            _ => relist = true,
        }
    }
    relist
}

/// Gives every worker what a listing found of its pod, nothing included, and removes what has no worker.
fn hand_out(shared: &Arc<Shared>, pods: &Cache<Pod>, mut found: Listing) {
    for (uid, worker) in shared.workers.lock().iter().flatten() {
        let snapshot = found.take(uid);
        worker.mailbox.send(|letters| letters.snapshot = Some(snapshot));
    }
    remove_orphans(shared, pods, found.by_uid);
}

/// Of which pods volumes are left, by the names of their directories.
async fn volumes_left(shared: &Shared) -> Vec<String> {
    let place = shared.place().clone();
    // Most nodes have none, and a thread for each of a thousand nodes is a thousand threads.
    if !place.directory().exists() {
        return Vec::new();
    }
    match blocking(move || place.names()).await {
        Some(Ok(names)) => names,
        Some(Err(error)) => {
            tracing::warn!(node = shared.config.node_name, %error, "left-over volumes could not be looked for");
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Removes those of the volumes `left` by an earlier agent whose pods are neither known nor run, once what belongs
/// to no pod has been stopped. Volumes made since are not among `left`.
async fn sweep_volumes(
    shared: Arc<Shared>,
    pods: Cache<Pod>,
    left: Vec<String>,
    orphans: Option<JoinHandle<()>>,
) {
    if left.is_empty() {
        return;
    }
    if let Some(orphans) = orphans {
        // It cannot panic, and if it was cut off so is this.
        let _ = orphans.await;
    }
    let mut known: HashSet<String> = list(&shared).await.by_uid.into_keys().collect();
    known.extend(shared.workers.lock().iter().flat_map(IndexMap::keys).cloned());
    pods.for_each(|_, pod| known.extend(pod.metadata.uid.clone()));
    let place = shared.place().clone();
    let sweep = move || place.sweep(&left, known.iter().map(String::as_str));
    if let Some(Err(error)) = blocking(sweep).await {
        tracing::warn!(node = shared.config.node_name, %error, "left-over volumes could not be removed");
    }
}

/// Removes what belongs to no pod, of what was made for this node and cluster. Called only once the pods of the
/// node are known.
fn remove_orphans(
    shared: &Arc<Shared>,
    pods: &Cache<Pod>,
    mut unclaimed: IndexMap<String, Snapshot>,
) -> Option<JoinHandle<()>> {
    unclaimed.retain(|uid, found| {
        let ours = shared.owner().made(found);
        if !ours {
            tracing::debug!(
                node = shared.config.node_name,
                uid,
                "left alone what was made for another"
            );
        }
        ours
    });
    if unclaimed.is_empty() {
        return None;
    }
    let mut known = HashSet::new();
    pods.for_each(|_, pod| known.extend(pod.metadata.uid.clone()));
    unclaimed.retain(|uid, _| !known.contains(uid) && shared.orphans.lock().insert(uid.clone()));
    let shared = shared.clone();
    let each = move |(uid, found): (String, Snapshot)| {
        let shared = shared.clone();
        async move {
            if is_gone(&shared.client, &uid, &found).await {
                ops::remove_orphan(shared, uid, found).await;
            } else {
                // The next listing asks again.
                shared.orphans.lock().remove(&uid);
            }
        }
    };
    Some(tokio::spawn(
        futures::stream::iter(unclaimed).for_each_concurrent(ORPHANS_MAX, each),
    ))
}

/// Whether the store itself says that there is no such pod: a view may be behind it, and not show what it cannot read.
async fn is_gone(client: &Client, uid: &str, found: &Snapshot) -> bool {
    let named = found
        .sandboxes
        .first()
        .map(|sandbox| (&sandbox.namespace, &sandbox.name));
    let Some((namespace, name)) = named else {
        // Containers without a sandbox are of no pod.
        return true;
    };
    let target = Target {
        resource: Arc::new(Pod::resource()),
        key: ObjectKey::new(Some(namespace), name),
    };
    match client.backend().get(&target).await {
        Ok(pod) => pod.meta().uid != uid,
        Err(ApiError::NotFound(_)) => true,
        Err(error) => {
            tracing::warn!(namespace, name, uid, %error, "left alone, for it is not known whether there is such a pod");
            false
        }
    }
}

/// Brings changes of pods to their workers.
struct Router {
    // Weak, for the cache that holds this is held by the agent.
    shared: std::sync::Weak<Shared>,
    /// What the first listing found, until a worker claims it.
    found: Arc<Mutex<Listing>>,
}

impl Router {
    fn route(&self, change: &Change<'_, Pod>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let uid = |pod: &Arc<Pod>| pod.metadata.uid.clone().unwrap_or_default();
        let mut workers = shared.workers.lock();
        let Some(workers) = workers.as_mut() else {
            return;
        };
        let new = change.new.map(|pod| (uid(pod), pod));
        if let Some(old) = change.old.map(uid)
            && new.as_ref().is_none_or(|(new, _)| *new != old)
            && let Some(worker) = workers.get(&old)
        {
            worker.mailbox.send(|letters| letters.gone = true);
        }
        let Some((uid, pod)) = new else { return };
        if let Some(worker) = workers.get(&uid) {
            worker.mailbox.send(|letters| letters.pod = Some(pod.clone()));
            return;
        }
        let mailbox = Arc::new(Mailbox::default());
        let snapshot = self.found.lock().take(&uid);
        let worker = Worker::new(shared.clone(), mailbox.clone(), pod.clone(), snapshot);
        let task = tokio::spawn(worker.run()).abort_handle();
        workers.insert(uid, WorkerHandle { mailbox, task });
    }
}
