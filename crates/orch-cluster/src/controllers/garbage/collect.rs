//! Feeds the graph from watches of every kind, and carries decisions out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orch_core::cache::{Cache, Change};
use orch_core::client::{
    ApiError, Client, Collection, DeleteParams, ListParams, Part, Patch, Propagation as Policy, Target,
    WriteParams,
};
use orch_core::controller::{Backoff, WorkQueue};
use orch_core::object::{ApiResource, ObjectKey, OwnerReference};
use orch_core::random::Random;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{JoinHandle, JoinSet};

use super::{Action, Found, Graph, Item, Propagation, Uid, decide};
use crate::controllers::owners::Owned;
use crate::kinds::KINDS;

/// How many objects are worked on at once.
const WORKERS: usize = 64;
/// How often it is looked whether new kinds have come into use.
const NEW_KINDS: Duration = Duration::from_secs(10);
/// How long the graph may take to see an owner that was found to exist.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// How soon it is looked again whether the graph has caught up with the store.
const CATCHES_UP: Duration = Duration::from_millis(20);
/// How many objects are read at a time.
const PAGE: usize = 500;

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

/// Starts the collector over every kind that the client knows or comes to know, or the store holds; events are passed over, as in
/// Kubernetes: nothing owns them.
pub(crate) fn start(client: &Client, random: Random) -> Collector {
    let shared = Arc::new(Shared {
        client: client.clone(),
        graph: Mutex::default(),
        queue: WorkQueue::new(),
        failures: Mutex::default(),
        backoff: Backoff::default(),
        random,
        views: AsyncMutex::default(),
    });
    Collector {
        task: tokio::spawn(run(Arc::clone(&shared))),
        shared,
    }
}

async fn run(shared: Arc<Shared>) {
    watch_all_kinds(&shared).await;
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(work(Arc::clone(&shared)));
    }
    loop {
        tokio::time::sleep(NEW_KINDS).await;
        watch_all_kinds(&shared).await;
    }
}

async fn watch_all_kinds(shared: &Arc<Shared>) {
    if let Err(error) = shared.client.backend().discover().await {
        tracing::warn!(%error, "the kinds in the store could not be read, trying again later");
    }
    watch_kinds(shared).await;
}

/// Watches the kinds that are not watched yet, and waits until all they hold is in the graph.
async fn watch_kinds(shared: &Arc<Shared>) {
    let mut views = shared.views.lock().await;
    for resource in shared.client.resources() {
        let name = resource.group_resource().into_owned();
        if is_event(&resource) || views.contains_key(&name) {
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
        let feeding = view.on_change(move |change| {
            if let Some(shared) = feed.upgrade() {
                shared.changed(change);
            }
        });
        feeding.keep();
    }
}

/// Nothing is done about events: nothing owns them.
fn is_event(resource: &ApiResource) -> bool {
    resource.kind == "Event" && matches!(&*resource.group, "" | "events.k8s.io")
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
    /// What feeds the graph, by kind.
    views: AsyncMutex<BTreeMap<String, Cache<Item>>>,
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
    async fn attend(self: &Arc<Self>, uid: &str) -> Result<(), ApiError> {
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

    async fn apply(self: &Arc<Self>, action: Action) -> Result<(), ApiError> {
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
    async fn look(self: &Arc<Self>, dependent: &Uid, owner: &OwnerReference) -> Result<(), ApiError> {
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
        let is_it = |resource: &&ApiResource| resource.kind == owner.kind && resource.group == group;
        let known = self.client.resources();
        // An owner may be of a kind that nobody has used here.
        let built_in = KINDS.iter().map(|row| &row.resource);
        known.iter().chain(built_in).find(is_it).cloned()
    }

    /// Deletes what it was decided on: that object, unchanged since.
    async fn delete(&self, uid: &Uid, propagation: Propagation) -> Result<(), ApiError> {
        let Some(item) = self.item(uid) else { return Ok(()) };
        let params = DeleteParams::default()
            .uid(&*item.uid)
            .resource_version(item.revision);
        let params = match propagation {
            // The object's own finalizers may say otherwise.
            Propagation::Background => params,
            Propagation::Foreground => params.propagation(Policy::Foreground),
        };
        let (namespace, name) = (item.key.namespace(), item.key.name());
        tracing::debug!(kind = %item.resource.kind, namespace, name, "owned by nothing that exists, deleting");
        let target = self.target(&item);
        ignore_gone(self.client.backend().delete(&target, &params).await.map(drop))
    }

    /// Lets an object go that no dependent holds up any more, as far as the graph knows.
    ///
    /// The watches that feed the graph may be behind the one that showed the deletion, and know nothing of a kind used
    /// for the first time just now. A dependent overlooked here would be deleted although it was to be kept, or outlive
    /// an owner that was to wait for it; so the store itself is asked.
    async fn remove_finalizer(self: &Arc<Self>, uid: &Uid, finalizer: &str) -> Result<(), ApiError> {
        self.client.backend().discover().await?;
        watch_kinds(self).await;
        let Some(item) = self.item(uid) else { return Ok(()) };
        if self.is_behind(&item).await? {
            self.queue.add_after(ObjectKey::new(None, uid), CATCHES_UP);
            return Ok(());
        }
        // What the views have shown since then counts too.
        let again = decide(&self.graph.lock(), uid);
        if !again
            .iter()
            .any(|action| matches!(action, Action::RemoveFinalizer { .. }))
        {
            self.add([Arc::clone(uid)]);
            return Ok(());
        }
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

    /// Whether the store holds a dependent that the deletion of `item` has to do with. Those that the graph knows have
    /// been dealt with.
    async fn is_behind(&self, item: &Item) -> Result<bool, ApiError> {
        // A view that shows a commit after the deletion has seen all that was before it, and tells the graph at once. Where
        // objects are to be kept, "at once" is not sure enough.
        let fresh: Vec<String> = {
            let views = self.views.lock().await;
            let shows = |view: &Cache<Item>| view.revision().is_some_and(|shown| shown > item.revision);
            let fresh = views.iter().filter(|(_, view)| !item.orphan && shows(view));
            fresh.map(|(name, _)| name.clone()).collect()
        };
        for resource in self.client.resources() {
            // What is in no namespace can have no owner in one.
            let is_out_of_reach = item.key.namespace().is_some() && !resource.is_namespaced();
            if is_out_of_reach
                || is_event(&resource)
                || fresh.contains(&resource.group_resource().into_owned())
            {
                continue;
            }
            let collection = Collection {
                resource: Arc::new(resource),
                namespace: item.key.namespace().map(str::to_owned),
            };
            let mut params = ListParams::default().limit(PAGE);
            loop {
                let page = self.client.backend().list(&collection, &params).await?;
                let mut owners = page
                    .items
                    .iter()
                    .flat_map(|document| &document.meta().owner_references);
                if owners.any(|owner| *owner.uid == *item.uid && (item.orphan || owner.block_owner_deletion))
                {
                    return Ok(true);
                }
                match page.continue_token {
                    Some(token) => params.continue_token = Some(token),
                    None => break,
                }
            }
        }
        Ok(false)
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
