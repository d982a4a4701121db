//! Feeds the graph from watches of every kind, and carries decisions out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orch_core::cache::{Cache, Change};
use orch_core::client::{
    ApiError, Client, DeleteParams, Part, Patch, Propagation as Policy, Target, WriteParams,
};
use orch_core::controller::{Backoff, WorkQueue};
use orch_core::object::{ApiResource, ObjectKey, OwnerReference};
use orch_core::random::Random;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::{Action, Found, Graph, Item, Propagation, Uid, decide};
use crate::controllers::owners::Owned;

/// How many objects are worked on at once.
const WORKERS: usize = 64;
/// How often it is looked whether new kinds have come into use.
const NEW_KINDS: Duration = Duration::from_secs(10);
/// How long the graph may take to see an owner that was found to exist.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// The collector at work; stops when dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.task.abort();
    }
}

/// Starts the collector over every kind that the client knows or comes to know; events are passed over, as in
/// Kubernetes: nothing owns them.
pub(crate) fn start(client: &Client) -> Collector {
    let shared = Arc::new(Shared {
        client: client.clone(),
        graph: Mutex::default(),
        queue: WorkQueue::new(),
        failures: Mutex::default(),
        backoff: Backoff::default(),
        random: Random::seeded(0),
    });
    Collector {
        task: tokio::spawn(run(Arc::clone(&shared))),
        shared,
    }
}

async fn run(shared: Arc<Shared>) {
    let mut views: BTreeMap<String, Cache<Item>> = BTreeMap::new();
    watch_kinds(&shared, &mut views).await;
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(Arc::clone(&shared)));
    }
    loop {
        tokio::time::sleep(NEW_KINDS).await;
        watch_kinds(&shared, &mut views).await;
    }
}

/// Watches the kinds that are not watched yet, and waits until all they hold is in the graph.
async fn watch_kinds(shared: &Arc<Shared>, views: &mut BTreeMap<String, Cache<Item>>) {
    for resource in shared.client.resources() {
        let name = resource.group_resource();
        if name == "events" || name == "events.events.k8s.io" || views.contains_key(&name) {
            continue;
        }
        let kind = Arc::new(resource.clone());
        let view = Cache::projected(&shared.client, resource, move |document| {
            Ok(Item::new(&kind, document.meta()))
        })
        .start();
        views.insert(name.clone(), view.clone());
        view.synced().await;
        let feed = Arc::downgrade(shared);
        view.on_change(move |change| {
            if let Some(shared) = feed.upgrade() {
                shared.changed(change);
            }
        });
    }
}

async fn work(shared: Arc<Shared>) {
    while let Some((key, _)) = shared.queue.next().await {
        let uid = key.name();
        match shared.attend(uid).await {
            Ok(()) => drop(shared.failures.lock().remove(uid)),
            Err(error) => {
                let failures = {
                    let mut failures = shared.failures.lock();
                    let failures = failures.entry(uid.into()).or_default();
                    *failures += 1;
                    *failures
                };
                tracing::debug!(uid, %error, failures, "collecting failed, trying again");
                let delay = shared.backoff.delay(failures, &shared.random);
                shared.queue.add_after(key.clone(), delay);
            }
        }
        shared.queue.done(&key);
    }
}

struct Shared {
    client: Client,
    graph: Mutex<Graph>,
    queue: WorkQueue,
    /// Failures in a row, of those that failed last.
    failures: Mutex<BTreeMap<Uid, u32>>,
    backoff: Backoff,
    random: Random,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Shared {
    fn changed(&self, change: &Change<'_, Item>) {
        let attend = {
            let mut graph = self.graph.lock();
            let mut attend = Vec::new();
            if let Some(old) = change.old
                && change.new.is_none_or(|new| new.uid != old.uid)
            {
                attend = graph.forget(&old.uid);
            }
            if let Some(new) = change.new {
                attend.extend(graph.observe(Arc::clone(new)));
            }
            attend
        };
        self.add(attend);
    }

    fn add(&self, uids: impl IntoIterator<Item = Uid>) {
        uids.into_iter()
            .for_each(|uid| self.queue.add(ObjectKey::new(None, &uid)));
    }

    /// Decides about one object, and does it.
    async fn attend(&self, uid: &str) -> Result<(), ApiError> {
        let actions = {
            let mut graph = self.graph.lock();
            // An owner that was found, and that the graph still has not seen, may be gone by now.
            graph.doubt(uid);
            decide(&graph, uid)
        };
        for action in actions {
            self.apply(action).await?;
        }
        Ok(())
    }

    async fn apply(&self, action: Action) -> Result<(), ApiError> {
        match action {
            Action::Attend(uid) => self.add([uid]),
            Action::Look { dependent, owner } => self.look(&dependent, &owner).await?,
            Action::Delete { object, propagation } => self.delete(&object, propagation).await?,
            Action::DropOwners { object, owners } => {
                if let Some(item) = self.item(&object) {
                    self.owned(&item).release(&owners).await?;
                }
            }
            Action::Unblock { object } => {
                if let Some(item) = self.item(&object) {
                    self.owned(&item).unblock().await?;
                }
            }
            Action::RemoveFinalizer { object, finalizer } => {
                self.remove_finalizer(&object, finalizer).await?;
            }
        }
        Ok(())
    }

    fn item(&self, uid: &str) -> Option<Item> {
        self.graph.lock().item(uid).cloned()
    }

    fn owned<'a>(&'a self, item: &'a Item) -> Owned<'a> {
        Owned {
            client: &self.client,
            resource: &item.resource,
            namespace: item.key.namespace().unwrap_or_default(),
            name: item.key.name(),
            uid: &item.uid,
        }
    }

    /// Asks the store whether an owner exists that no watch has shown.
    async fn look(&self, dependent: &Uid, owner: &OwnerReference) -> Result<(), ApiError> {
        let Some(item) = self.item(dependent) else {
            return Ok(());
        };
        let found = match self.resource_of(owner) {
            None => Found::Unresolvable,
            Some(kind) if kind.is_namespaced() && item.key.namespace().is_none() => Found::Unresolvable,
            Some(kind) => {
                let namespace = item.key.namespace().filter(|_| kind.is_namespaced());
                let key = ObjectKey::new(namespace, &owner.name);
                let target = Target {
                    resource: Arc::new(kind),
                    key,
                };
                match self.client.backend().get(&target).await {
                    Ok(document) if document.meta().uid == owner.uid => Found::Present,
                    Ok(_) | Err(ApiError::NotFound(_)) => Found::Absent,
                    Err(error) => return Err(error),
                }
            }
        };
        let actions = {
            let mut graph = self.graph.lock();
            graph.found(dependent, &owner.uid, found);
            decide(&graph, dependent)
        };
        if found == Found::Present {
            self.queue.add_after(ObjectKey::new(None, dependent), SEEN_WITHIN);
        }
        // Without the last unknown owner there may be something to do; other looks are under way already.
        for action in actions {
            if !matches!(action, Action::Look { .. }) {
                Box::pin(self.apply(action)).await?;
            }
        }
        Ok(())
    }

    /// The kind that a reference names, in whatever version it is known.
    fn resource_of(&self, owner: &OwnerReference) -> Option<ApiResource> {
        let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let mut known = self.client.resources().into_iter();
        known.find(|resource| resource.kind == owner.kind && resource.group == group)
    }

    /// Deletes what it was decided on: that object, unchanged since.
    async fn delete(&self, uid: &Uid, propagation: Propagation) -> Result<(), ApiError> {
        let Some(item) = self.item(uid) else { return Ok(()) };
        let params = DeleteParams {
            uid: Some(item.uid.to_string()),
            resource_version: Some(item.revision),
            propagation: match propagation {
                // The object's own finalizers may say otherwise.
                Propagation::Background => None,
                Propagation::Foreground => Some(Policy::Foreground),
            },
            ..DeleteParams::default()
        };
        let (namespace, name) = (item.key.namespace(), item.key.name());
        tracing::debug!(kind = %item.resource.kind, namespace, name, "owned by nothing that exists, deleting");
        let target = self.target(&item);
        ignore_gone(self.client.backend().delete(&target, &params).await.map(drop))
    }

    async fn remove_finalizer(&self, uid: &Uid, finalizer: &str) -> Result<(), ApiError> {
        let Some(item) = self.item(uid) else { return Ok(()) };
        let target = self.target(&item);
        let document = match self.client.backend().get(&target).await {
            Ok(document) if document.meta().uid == *item.uid => document,
            outcome => return ignore_gone(outcome.map(drop)),
        };
        let mut left = document.meta().finalizers.clone();
        left.retain(|own| own != finalizer);
        let version = document.revision().to_string();
        let patch = Patch::Merge(json!({"metadata": {
            "uid": &*item.uid, "resourceVersion": version, "finalizers": left,
        }}));
        let backend = self.client.backend();
        let written = backend
            .patch(&target, Part::Whole, &patch, &WriteParams::default())
            .await;
        ignore_gone(written.map(drop))
    }

    fn target(&self, item: &Item) -> Target {
        Target {
            resource: Arc::clone(&item.resource),
            key: item.key.clone(),
        }
    }
}

fn ignore_gone(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    match outcome {
        Err(ApiError::NotFound(_)) => Ok(()),
        outcome => outcome,
    }
}
