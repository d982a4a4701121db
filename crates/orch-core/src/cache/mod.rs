//! Caches: indexed local views of a kind, kept current by watch (Kubernetes' informers).
//!
//! A cache lists once, then applies changes as they come; it resumes a watch that breaks, and lists again when
//! history it has not seen is gone. Readers see whole revisions, never part of one. Each object is decoded once
//! per change, into the type or the compact projection that the readers want.
//!
//! An object that cannot be decoded is shown as it was when it last could, and not at all if it never could; an error
//! is logged each time. It has not left the view: who takes it for gone makes it again.

mod builder;
mod feed;
mod state;
mod subscription;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};
use tokio::task::AbortHandle;

pub use builder::CacheBuilder;
pub use subscription::Subscription;

use crate::client::Client;
use crate::level::Level;
use crate::object::{ApiResource, Document, DocumentError, Object, ObjectKey, ObjectMeta, OwnerReference};
use crate::store::Revision;
use state::State;
use subscription::{Handler, Kept};

/// A view of the objects of one kind, as values of type `V`; cheap to clone, and all clones are one view.
///
/// It is fed by a task that ends when the last clone is dropped.
///
/// ```
/// # use std::sync::Arc;
/// # use orch_core::client::Client;
/// # use orch_core::object::{Object, ObjectKey, ObjectMeta};
/// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
/// # #[object(group = "example.com", kind = "Cat")]
/// # struct Cat { metadata: ObjectMeta, colour: String }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// # let client = Client::new(Arc::new(orch_core::store::MemoryStore::new()));
/// use orch_core::cache::Cache;
///
/// let cats = Cache::<Cat>::builder(&client).index("colour", |cat, _| vec![cat.colour.clone()]).start();
/// cats.synced().await;
///
/// let cat = Cat { metadata: ObjectMeta::named("tom"), colour: "grey".into() };
/// let tom = client.api("default").create(&cat).await?;
/// // The view follows; to read one's own write, wait for its revision.
/// cats.wait_for(tom.metadata.resource_version.unwrap()).await;
/// assert!(cats.get(&ObjectKey::new(Some("default"), "tom")).is_some());
/// assert_eq!(cats.by_index("colour", "grey").len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Cache<V>(Arc<Handle<V>>);

struct Handle<V> {
    shared: Arc<Shared<V>>,
    feed: AbortHandle,
}

impl<V> Drop for Handle<V> {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

type Project<V> = Box<dyn Fn(&Document) -> Result<Arc<V>, DocumentError> + Send + Sync>;
type Indexer<V> = Box<dyn Fn(&V, &ObjectMeta) -> Vec<String> + Send + Sync>;

struct Shared<V> {
    resource: Arc<ApiResource>,
    project: Project<V>,
    indexers: Vec<(String, Indexer<V>)>,
    state: RwLock<State<V>>,
    /// Held while a change is applied and told, so that a new handler sees each object once and in order.
    handlers: Mutex<Vec<Weak<Handler<V>>>>,
    kept: Arc<Kept>,
    /// What the view reflects; none until it has been filled.
    revision: Level<Option<Revision>>,
}

/// A change to a view, as it is told to handlers.
#[derive(Debug)]
pub struct Change<'a, V> {
    /// The object's namespace and name.
    pub key: &'a ObjectKey,
    /// What it was; none if it is new to the view.
    pub old: Option<&'a Arc<V>>,
    /// What it is; none if it left the view.
    pub new: Option<&'a Arc<V>>,
    /// The owner that controlled it before.
    pub old_controller: Option<&'a OwnerReference>,
    /// The owner that controls it now.
    pub controller: Option<&'a OwnerReference>,
}

impl<K: Object> Cache<K> {
    /// A cache of objects as their Rust type.
    pub fn builder(client: &Client) -> CacheBuilder<K> {
        CacheBuilder::new(client, K::resource(), Box::new(Document::typed))
    }
}

impl<V: Send + Sync + 'static> Cache<V> {
    /// A cache of what `project` makes of each object: the few fields that a reader needs.
    pub fn projected(
        client: &Client,
        resource: ApiResource,
        project: impl Fn(&Document) -> Result<V, DocumentError> + Send + Sync + 'static,
    ) -> CacheBuilder<V> {
        CacheBuilder::new(
            client,
            resource,
            Box::new(move |document| project(document).map(Arc::new)),
        )
    }

    /// The kind.
    pub fn resource(&self) -> &ApiResource {
        &self.0.shared.resource
    }

    /// The object, if there is one.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<V>> {
        self.0.shared.state.read().get(key).cloned()
    }

    /// All objects, in an order that depends only on what has happened to them.
    pub fn list(&self) -> Vec<Arc<V>> {
        self.0.shared.state.read().values().cloned().collect()
    }

    /// Calls `visit` for every object, of one revision, without copying the list. The view stands still
    /// meanwhile: be brief.
    pub fn for_each(&self, mut visit: impl FnMut(&ObjectKey, &Arc<V>)) {
        for (key, value) in self.0.shared.state.read().iter() {
            visit(key, value);
        }
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.shared.state.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects that the index gives this value, in an order that depends only on what has happened to them.
    ///
    /// # Panics
    ///
    /// If the cache was built without an index of this name.
    pub fn by_index(&self, index: &str, value: &str) -> Vec<Arc<V>> {
        let index = self.index(index);
        let state = self.0.shared.state.read();
        state
            .by_index(index, value)
            .filter_map(|key| state.get(key))
            .cloned()
            .collect()
    }

    /// The keys of the objects that the index gives this value.
    ///
    /// # Panics
    ///
    /// If the cache was built without an index of this name.
    pub fn keys_by_index(&self, index: &str, value: &str) -> Vec<ObjectKey> {
        let index = self.index(index);
        self.0
            .shared
            .state
            .read()
            .by_index(index, value)
            .cloned()
            .collect()
    }

    fn index(&self, name: &str) -> usize {
        let shared = &self.0.shared;
        let found = shared.indexers.iter().position(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("the cache of {} has no index {name:?}", shared.resource.plural))
    }

    /// Waits until the view has been filled for the first time.
    pub async fn synced(&self) {
        self.wait_for(Revision::ZERO).await;
    }

    /// Whether the view has been filled.
    pub fn is_synced(&self) -> bool {
        self.0.shared.revision.get().is_some()
    }

    /// Waits until the view reflects `revision`, which must be that of a write to an object it covers.
    pub async fn wait_for(&self, revision: Revision) {
        let shows = |seen: Option<Revision>| seen.is_some_and(|seen| seen >= revision);
        self.0.shared.revision.until(shows).await;
    }

    /// Waits until the view has been filled and `done` holds of it, which is asked again after each change: what waits for
    /// a controller's work, in a test or a program.
    ///
    /// It is asked between changes and may find several at once; one that is undone at once may be missed. Bound the
    /// wait with [`tokio::time::timeout`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use orch_core::client::Client;
    /// # use orch_core::object::{Object, ObjectMeta};
    /// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
    /// # #[object(group = "example.com", kind = "Cat")]
    /// # struct Cat { metadata: ObjectMeta, colour: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), orch_core::client::ApiError> {
    /// # let client = Client::new(Arc::new(orch_core::store::MemoryStore::new()));
    /// use orch_core::cache::Cache;
    ///
    /// let cats = Cache::<Cat>::builder(&client).start();
    /// # let grey = client.clone();
    /// # tokio::spawn(async move {
    /// #     let cat = Cat { metadata: ObjectMeta::named("tom"), colour: "grey".into() };
    /// #     grey.api("default").create(&cat).await
    /// # });
    /// cats.until(|cats| cats.list().iter().any(|cat| cat.colour == "grey")).await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn until(&self, mut done: impl FnMut(&Self) -> bool) {
        self.0
            .shared
            .revision
            .until(|seen| seen.is_some() && done(self))
            .await;
    }

    /// The newest revision the view is known to reflect; none until it has been filled.
    pub fn revision(&self) -> Option<Revision> {
        self.0.shared.revision.get()
    }

    /// Calls `handler` for every object there is, then for every change, in order, after the view shows it,
    /// until what is returned is dropped.
    ///
    /// It runs on the task that feeds the cache: it must be brief, and must not add handlers itself.
    pub fn on_change(&self, handler: impl Fn(&Change<'_, V>) + Send + Sync + 'static) -> Subscription {
        let (shared, handler) = (&self.0.shared, Handler::new(handler));
        let mut handlers = shared.handlers.lock();
        let present: Vec<_> = {
            let state = shared.state.read();
            state
                .items()
                .map(|(key, item)| (key.clone(), item.clone()))
                .collect()
        };
        for (key, item) in &present {
            handler.call(&Change {
                key,
                old: None,
                new: Some(&item.value),
                old_controller: None,
                controller: item.controller.as_deref(),
            });
        }
        handlers.push(Arc::downgrade(&handler));
        Subscription::new(handler, &shared.kept)
    }
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.0.shared;
        f.debug_struct("Cache")
            .field("kind", &shared.resource.kind)
            .field("revision", &shared.revision.get())
            .finish_non_exhaustive()
    }
}
