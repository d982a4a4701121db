//! Reading and writing objects: [`Client`] and, per kind, [`Api`].
//!
//! Everything that changes state goes through a client, which defaults, validates and admits it, keeps
//! optimistic concurrency, uids, generations and finalizers, and writes nothing where nothing changes.

mod admission;
mod api;
mod backend;
mod error;
mod field_manager;
mod kind_table;
mod kinds;
mod local;
mod params;
mod patch;
mod retry;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::sync::Arc;

pub use admission::{Admission, AdmissionRequest, Operation, Refusal, Warnings};
pub use api::{Api, List};
pub use backend::{Backend, Collection, Deleted, DocumentList, Fences, Part, Target, Written};
pub use error::{ApiError, ErrorSubject};
pub use field_manager::FieldManager;
pub use kinds::{Conversion, DefinesKinds, Kind, KindRules, NoRules, SubresourceWrite, Wanted};
pub use local::{ClientBuilder, Fence};
#[cfg(any(test, feature = "testing"))]
pub(crate) use local::{Documents, prefix_of};
pub use params::{DeleteParams, ListParams, Propagation, WatchParams, WriteParams};
pub use patch::{CustomPatch, Patch};
pub use retry::retry_on_conflict;
pub use watch::{DocumentWatch, WatchBatch, WatchEvent};

use crate::object::{ApiResource, Object};
use crate::store::Store;

/// The way to all objects; cheap to clone.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_core::client::Client;
/// use orch_core::store::MemoryStore;
/// # use orch_core::object::{Object, ObjectMeta};
/// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
/// # #[object(group = "example.com", kind = "Cat")]
/// # struct Cat { metadata: ObjectMeta, lives: u32 }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// let client = Client::new(Arc::new(MemoryStore::new()));
/// let cats = client.api::<Cat>("default");
/// let tom = cats.create(&Cat { metadata: ObjectMeta::named("tom"), lives: 9 }).await?;
/// assert_eq!(cats.get("tom").await?.metadata.uid, tom.metadata.uid);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
}

impl Client {
    /// A client over a store in this process, without rules.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::builder(store).build()
    }

    /// A client over a store in this process, with the rules that the builder is given.
    pub fn builder(store: Arc<dyn Store>) -> ClientBuilder {
        ClientBuilder::new(store)
    }

    /// A client over any backend.
    pub fn from_backend(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Objects of kind `K` in `namespace`; the namespace is ignored where the kind has none.
    pub fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        Api::new(self.clone(), Some(namespace))
    }

    /// Objects of kind `K` everywhere.
    pub fn all<K: Object>(&self) -> Api<K> {
        Api::new(self.clone(), None)
    }

    /// The backend, for objects of kinds that are not known at compile time.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The kinds known: those registered (unless [only when used](Kind::when_used)), those used so far, and those [discovered](Backend::discover).
    pub fn resources(&self) -> Vec<ApiResource> {
        self.backend.resources()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
