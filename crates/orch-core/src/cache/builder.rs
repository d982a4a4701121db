//! What a cache holds, and how it can be looked into.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::feed::Feed;
use super::state::State;
use super::{Cache, Handle, Project, Shared};
use crate::client::{Client, Collection};
use crate::level::Level;
use crate::object::{ApiResource, FieldSelector, ObjectMeta, Selector};

/// Puts a [`Cache`] together.
pub struct CacheBuilder<V> {
    client: Client,
    collection: Collection,
    labels: Selector,
    fields: FieldSelector,
    project: Project<V>,
    indexers: Vec<(String, super::Indexer<V>)>,
    may_begin_in_the_past: bool,
}

impl<V: Send + Sync + 'static> CacheBuilder<V> {
    pub(super) fn new(client: &Client, resource: ApiResource, project: Project<V>) -> Self {
        Self {
            client: client.clone(),
            collection: Collection {
                resource: Arc::new(resource),
                namespace: None,
            },
            labels: Selector::everything(),
            fields: FieldSelector::default(),
            project,
            indexers: Vec::new(),
            may_begin_in_the_past: true,
        }
    }

    /// Only objects of this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.collection.namespace =
            Some(namespace.into()).filter(|_| self.collection.resource.is_namespaced());
        self
    }

    /// Only objects whose labels match.
    #[must_use]
    pub fn labels(mut self, selector: Selector) -> Self {
        self.labels = selector;
        self
    }

    /// Only objects whose fields match.
    #[must_use]
    pub fn fields(mut self, selector: FieldSelector) -> Self {
        self.fields = selector;
        self
    }

    /// Objects can be found by the values that `values` gives for them, under this name.
    #[must_use]
    pub fn index(
        mut self,
        name: impl Into<String>,
        values: impl Fn(&V, &ObjectMeta) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        self.indexers.push((name.into(), Box::new(values)));
        self
    }

    /// The view begins with the newest there is, for who must know all that was written before it began, as one that shares
    /// something out must count what was given by then. Any other may begin with a list of the past, which is cheaper where the
    /// store is several machines ([`ListParams::may_be_stale`]), and catch up.
    ///
    /// [`ListParams::may_be_stale`]: crate::client::ListParams::may_be_stale
    #[must_use]
    pub fn from_the_newest(mut self) -> Self {
        self.may_begin_in_the_past = false;
        self
    }

    /// Starts feeding it, on the present tokio runtime. It is empty until [`synced`](Cache::synced).
    pub fn start(self) -> Cache<V> {
        let shared = Arc::new(Shared {
            resource: self.collection.resource.clone(),
            project: self.project,
            state: RwLock::new(State::new(self.indexers.len())),
            indexers: self.indexers,
            handlers: Mutex::default(),
            kept: Arc::default(),
            revision: Level::default(),
        });
        let feed = Feed {
            client: self.client,
            collection: self.collection,
            labels: self.labels,
            fields: self.fields,
            may_begin_in_the_past: self.may_begin_in_the_past,
            shared: shared.clone(),
        };
        let feed = tokio::spawn(feed.run()).abort_handle();
        Cache(Arc::new(Handle { shared, feed }))
    }
}
