//! Whether the views show all that was written before this life of the controller began.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::Cache;
use orch_core::client::{ApiError, Client, Collection, ListParams};
use orch_core::object::{ApiResource, Document, Object, ObjectKey};
use orch_core::store::Revision;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::controllers::caches::{CONTROLLER, Caches, NAMESPACE, orphans_of};
use crate::controllers::pod_view::PodView;

/// How many objects are read at a time.
const PAGE: usize = 500;

/// Knows in which namespaces the views are no longer behind the beginning of this life.
///
/// What views are filled with at first may be of the past: it may not show the pods that the life before made, show those
/// that it deleted, and ask for as many as are no longer wanted. Nothing is written for a set before its namespace was
/// read once from the store itself, which where nothing is to be written it never is.
pub(super) struct CatchUp {
    sets: Cache<ReplicaSet>,
    pods: Cache<PodView>,
    namespaces: Mutex<HashMap<String, Arc<OnceCell<()>>>>,
}

impl CatchUp {
    pub(super) fn new(caches: &Caches) -> Self {
        Self {
            sets: caches.replica_sets.clone(),
            pods: caches.pods.clone(),
            namespaces: Mutex::default(),
        }
    }

    pub(super) fn is_done(&self, namespace: &str) -> bool {
        let namespaces = self.namespaces.lock();
        namespaces.get(namespace).is_some_and(|done| done.initialized())
    }

    /// Waits until the views show what the store has of the namespace's sets and pods now, or what came of it later.
    pub(super) async fn wait(&self, namespace: &str, client: &Client) -> Result<(), ApiError> {
        let done = self
            .namespaces
            .lock()
            .entry(namespace.to_owned())
            .or_default()
            .clone();
        let catch_up = || async {
            let sets = There::read(client, ReplicaSet::resource(), namespace).await?;
            let pods = There::read(client, Pod::resource(), namespace).await?;
            let shown = || {
                let sets = self.sets.by_index(NAMESPACE, namespace).into_iter();
                sets.map(|set| Shown {
                    uid: uid_of(&set).into(),
                    written: revision_of(&set),
                    key: set.key(),
                })
            };
            sets.shown_by(&self.sets, shown).await;
            let shown = || {
                let sets = self.sets.by_index(NAMESPACE, namespace);
                let mut pods = self.pods.by_index(CONTROLLER, &orphans_of(namespace));
                pods.extend(
                    sets.iter()
                        .flat_map(|set| self.pods.by_index(CONTROLLER, uid_of(set))),
                );
                pods.into_iter().map(|pod| Shown {
                    uid: pod.uid.clone(),
                    written: pod.revision,
                    key: ObjectKey::new(Some(namespace), &pod.name),
                })
            };
            pods.shown_by(&self.pods, shown).await;
            Ok(())
        };
        done.get_or_try_init(catch_up).await.copied()
    }

    /// Forgets the namespace if no set is left in it: there may be any number of them in time.
    pub(super) fn forget(&self, namespace: &str) {
        if self.sets.keys_by_index(NAMESPACE, namespace).is_empty() {
            self.namespaces.lock().remove(namespace);
        }
    }
}

/// An object as a view has it.
struct Shown {
    key: ObjectKey,
    uid: Box<str>,
    written: Revision,
}

/// What the store has of a kind in one namespace.
#[derive(Default)]
struct There {
    /// When.
    at: Revision,
    /// When one of the objects was last written.
    newest: Revision,
    uids: HashSet<String>,
    /// Views keep what they last knew of these.
    unreadable: HashSet<ObjectKey>,
}

impl There {
    async fn read(client: &Client, resource: ApiResource, namespace: &str) -> Result<Self, ApiError> {
        let collection = Collection {
            resource: Arc::new(resource),
            namespace: Some(namespace.to_owned()),
        };
        let mut params = ListParams::default().limit(PAGE);
        let mut there = Self::default();
        loop {
            let page = client.backend().list(&collection, &params).await?;
            there.at = page.revision;
            let written = page.items.iter().map(Document::revision);
            there.newest = written.fold(there.newest, Revision::max);
            there
                .uids
                .extend(page.items.iter().map(|item| item.meta().uid.clone()));
            there.unreadable.extend(page.unreadable);
            match page.continue_token {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(there),
            }
        }
    }

    /// Waits until a view shows all that is there, and nothing that was gone by then. Of a removal nothing is left that has a
    /// revision to wait for: what the view shows of the past and is not there shows that the view is behind.
    async fn shown_by<V, I>(&self, view: &Cache<V>, shown: impl Fn() -> I)
    where
        V: Send + Sync + 'static,
        I: Iterator<Item = Shown>,
    {
        view.wait_for(self.newest).await;
        let may_be = |object: Shown| {
            object.written > self.at
                || self.uids.contains(&*object.uid)
                || self.unreadable.contains(&object.key)
        };
        view.until(|_| shown().all(may_be)).await;
    }
}

fn uid_of(set: &ReplicaSet) -> &str {
    set.metadata.uid.as_deref().unwrap_or_default()
}

fn revision_of(set: &ReplicaSet) -> Revision {
    let version = set.metadata.resource_version.as_deref();
    Revision::new(
        version
            .and_then(|version| version.parse().ok())
            .unwrap_or_default(),
    )
}
