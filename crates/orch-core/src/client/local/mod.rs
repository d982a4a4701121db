//! The backend in this process: objects as documents in a [`Store`].

mod admit;
mod convert;
mod create;
mod delete;
mod discover;
mod documents;
mod fence;
mod hub;
mod part;
mod raw;
mod read;
mod update;

use std::sync::Arc;

use async_trait::async_trait;

use super::kind_table::KindTable;
use super::{
    Admission, ApiError, Backend, Client, Collection, DefinesKinds, DeleteParams, Deleted, DocumentList,
    DocumentWatch, ErrorSubject, Kind, ListParams, Part, Patch, Target, WatchParams, WriteParams, Written,
};
use crate::object::{ApiResource, Document, DocumentError, ObjectKey, RawObject};
use crate::random::Random;
use crate::store::{CommitError, Committed, Entry, Key, Prefix, ReadError, Store, Txn, WatchError};

pub(crate) use documents::Documents;
pub use fence::Fence;

/// Puts a client together.
pub struct ClientBuilder {
    store: Arc<dyn Store>,
    kinds: KindTable,
    definitions: Option<Arc<dyn DefinesKinds>>,
    admission: Vec<Arc<dyn Admission>>,
    random: Random,
    documents: Arc<Documents>,
}

impl ClientBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            kinds: KindTable::default(),
            definitions: None,
            admission: Vec::new(),
            random: Random::from_os(),
            documents: Arc::new(Documents::new()),
        }
    }

    /// Shares what was decoded with other clients of the same store.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn documents(mut self, documents: Arc<Documents>) -> Self {
        self.documents = documents;
        self
    }

    /// Teaches it a kind and its rules. Kinds without rules need no registering, but those that are registered
    /// are known (to garbage collection, say) before they are first used.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Self {
        self.kinds.register(kind);
        self
    }

    /// Kinds that it was not given are those that these objects define.
    #[must_use]
    pub fn definitions(self, definitions: impl DefinesKinds) -> Self {
        Self {
            definitions: Some(Arc::new(definitions)),
            ..self
        }
    }

    /// Adds a rule for all writers; rules run in the order in which they were added.
    #[must_use]
    pub fn admission(mut self, admission: impl Admission) -> Self {
        self.admission.push(Arc::new(admission));
        self
    }

    /// Where uids and generated names come from; by default the operating system's randomness.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = random;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let shared = Shared {
            hubs: hub::Hubs::new(self.store.clone(), self.documents.clone()),
            documents: self.documents,
            store: self.store,
            kinds: self.kinds,
            definitions: self.definitions,
            admission: self.admission,
            random: self.random,
        };
        Client {
            backend: Arc::new(LocalBackend {
                shared: Arc::new(shared),
                fence: None,
            }),
        }
    }
}

struct Shared {
    store: Arc<dyn Store>,
    kinds: KindTable,
    definitions: Option<Arc<dyn DefinesKinds>>,
    admission: Vec<Arc<dyn Admission>>,
    random: Random,
    hubs: hub::Hubs,
    documents: Arc<Documents>,
}

/// Objects in a store; with a fence, writes only as long as the fence stands.
#[derive(Clone)]
struct LocalBackend {
    shared: Arc<Shared>,
    fence: Option<Fence>,
}

/// How often a write that no resource version makes conditional is tried against other writers.
const ATTEMPTS: usize = 32;

/// Where the objects of all kinds lie in the store.
const REGISTRY: &str = "registry/";

/// Where objects lie in the store: `registry/<plural>.<group>/[<namespace>/]<name>`.
fn collection_prefix(resource: &ApiResource, namespace: Option<&str>) -> Prefix {
    let kind = resource.group_resource();
    match namespace {
        Some(namespace) => [REGISTRY, &kind, "/", namespace, "/"].concat().into(),
        None => [REGISTRY, &kind, "/"].concat().into(),
    }
}

/// Under which prefix of the store a kind's objects lie.
pub(crate) fn prefix_of(resource: &ApiResource) -> Prefix {
    collection_prefix(resource, None)
}

/// The namespace and name of the object that lies at a key below its kind's prefix.
fn object_key(prefix: &Prefix, key: &Key) -> ObjectKey {
    let key = key.to_string();
    let key = key.strip_prefix(&prefix.to_string()).unwrap_or(&key);
    match key.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(Some(namespace), name),
        None => ObjectKey::new(None, key),
    }
}

fn store_key(resource: &ApiResource, key: &ObjectKey) -> Key {
    [REGISTRY, &resource.group_resource(), "/", key.as_str()]
        .concat()
        .into()
}

impl LocalBackend {
    /// The kind with its rules, which may have to be looked for among the definitions.
    async fn kind(&self, resource: &ApiResource) -> Result<Arc<Kind>, ApiError> {
        Ok(self.find(resource).await?.kind)
    }

    async fn find(&self, resource: &ApiResource) -> Result<Found, ApiError> {
        let name = resource.group_resource();
        let kinds = &self.shared.kinds;
        let lasting = |kind| Found {
            kind,
            is_going: false,
        };
        if let Some(kind) = kinds.registered(&name) {
            return Ok(lasting(kind));
        }
        let Some(definitions) = &self.shared.definitions else {
            return Ok(lasting(kinds.undefined(resource)));
        };
        let definition = Target {
            resource: Arc::new(definitions.resource().clone()),
            key: ObjectKey::new(None, &name),
        };
        let definition = match self.read(&definition).await {
            Ok(definition) => definition,
            Err(error) if error.is_not_found() => {
                kinds.forget(&name);
                return Ok(lasting(kinds.undefined(resource)));
            }
            Err(error) => return Err(error),
        };
        let kind = kinds.defined(&definition, |definition| definitions.kind(definition));
        Ok(Found {
            kind: kind.unwrap_or_else(|| kinds.undefined(resource)),
            is_going: definition.meta().is_deleting(),
        })
    }

    /// The same, for objects that are to be written in this version: it is to be the one that they are stored in.
    async fn kind_to_write(&self, resource: &ApiResource) -> Result<Arc<Kind>, ApiError> {
        Ok(self.find_to_write(resource).await?.kind)
    }

    /// The same, for objects that are made.
    async fn kind_to_make(&self, resource: &ApiResource) -> Result<Arc<Kind>, ApiError> {
        let found = self.find_to_write(resource).await?;
        if found.is_going {
            return Err(ApiError::BadRequest(format!(
                "{}: their definition is being deleted, so no more are made",
                resource.group_resource()
            )));
        }
        Ok(found.kind)
    }

    async fn find_to_write(&self, resource: &ApiResource) -> Result<Found, ApiError> {
        let found = self.find(resource).await?;
        if found.kind.resource.version != resource.version {
            return Err(ApiError::BadRequest(format!(
                "apiVersion: {:?}: {} are stored as {}, and are to be written as that here",
                resource.api_version(),
                resource.group_resource(),
                found.kind.resource.api_version(),
            )));
        }
        if self.shared.kinds.is_gone(&resource.group_resource()) {
            return Err(ApiError::BadRequest(format!(
                "{}: their definition is gone; define them anew first",
                resource.group_resource()
            )));
        }
        Ok(found)
    }

    /// Takes notice that an object is gone, which may have defined a kind.
    fn gone(&self, target: &Target) {
        let definitions = self.shared.definitions.as_ref();
        if definitions.is_some_and(|definitions| *definitions.resource() == *target.resource) {
            self.shared.kinds.forget(target.key.name());
        }
    }

    fn client(&self) -> Client {
        Client {
            backend: Arc::new(self.clone()),
        }
    }

    fn document(&self, resource: &ApiResource, entry: &Entry) -> Result<Document, ApiError> {
        undecoded(resource, &entry.key, self.shared.documents.decode(entry))
    }

    /// Makes `txn`, by which `key` comes to hold `document`; the document with its revision.
    async fn commit_document(
        &self,
        target: &Target,
        key: &Key,
        document: Document,
        txn: Txn,
    ) -> Result<Document, Failure> {
        let documents = &self.shared.documents;
        let stored = document.stored().clone();
        // Let go of where it is kept, for whoever holds it as it becomes the store's gives it its revision.
        let own = (!documents.expect(key, &document)).then_some(document);
        let revision = self.commit(target, txn).await?.revision;
        match own {
            Some(document) => Ok(document.at(revision)),
            None => Ok(documents.decode_value(key, &stored, revision).map_err(raw::bad)?),
        }
    }

    /// Reads an object and writes what comes of it, again with what is there then if another writer came between.
    async fn rewrite<T, F>(
        &self,
        target: &Target,
        attempts: usize,
        mut write: impl FnMut(Document) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        for _ in 0..attempts {
            match write(self.read(target).await?).await {
                Ok(written) => return Ok(written),
                Err(Failure::Raced) => {}
                Err(Failure::Api(error)) => return Err(error),
            }
        }
        Err(ApiError::stale(subject(target)))
    }

    /// Commits for `target`; a compare that fails is [`Failure::Raced`], a fallen fence is an error.
    async fn commit(&self, target: &Target, mut txn: Txn) -> Result<Committed, Failure> {
        if let Some(fence) = &self.fence {
            txn.compares.push(fence.compare());
        }
        self.shared.store.commit(txn).await.map_err(|error| match error {
            CommitError::Conflict { key, .. } => match &self.fence {
                Some(fence) if fence.key() == &key => Failure::Api(ApiError::Forbidden {
                    subject: subject(target),
                    reason: format!("{fence}; another leader has taken over"),
                }),
                _ => Failure::Raced,
            },
            CommitError::Invalid { reason } => Failure::Api(ApiError::BadRequest(reason)),
            CommitError::Unavailable(source) => Failure::Api(ApiError::Unavailable(source)),
            error => Failure::Api(ApiError::Unknown(error.into())),
        })
    }
}

/// A kind as it was found.
struct Found {
    kind: Arc<Kind>,
    /// Whether the object that defines it is being deleted.
    is_going: bool,
}

/// Why a commit did not happen.
enum Failure {
    /// Somebody else wrote first.
    Raced,
    /// Anything else.
    Api(ApiError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

fn subject(target: &Target) -> ErrorSubject {
    ErrorSubject::new(&target.resource, &target.key)
}

/// Names the object that could not be decoded.
fn undecoded(
    resource: &ApiResource,
    key: &Key,
    decoded: Result<Document, DocumentError>,
) -> Result<Document, ApiError> {
    decoded.map_err(|source| {
        let key = object_key(&prefix_of(resource), key);
        ApiError::Decode {
            subject: ErrorSubject::new(resource, &key),
            source,
        }
    })
}

fn read_error(error: ReadError) -> ApiError {
    match error {
        ReadError::Compacted { requested, oldest } => ApiError::compacted(requested, oldest),
        ReadError::Future { .. } => ApiError::BadRequest(error.to_string()),
        ReadError::Unavailable(source) => ApiError::Unavailable(source),
    }
}

fn watch_error(error: WatchError) -> ApiError {
    match error {
        WatchError::Compacted { after, oldest } => ApiError::compacted(after, oldest),
        WatchError::Future { .. } => ApiError::BadRequest(error.to_string()),
        WatchError::Unavailable(source) => ApiError::Unavailable(source),
    }
}

#[async_trait]
impl Backend for LocalBackend {
    async fn get(&self, target: &Target) -> Result<Document, ApiError> {
        let read = self.read(target).await;
        if read.as_ref().is_err_and(ApiError::is_not_found) {
            // It may have been deleted by another process.
            self.gone(target);
        }
        read
    }

    async fn list(&self, collection: &Collection, params: &ListParams) -> Result<DocumentList, ApiError> {
        self.read_list(collection, params).await
    }

    async fn watch(&self, collection: &Collection, params: &WatchParams) -> Result<DocumentWatch, ApiError> {
        let kind = self.kind(&collection.resource).await?;
        read::check_selectable(&kind, &params.fields)?;
        self.shared
            .hubs
            .watch(kind, collection.namespace.as_deref(), params)
            .await
    }

    async fn create(
        &self,
        collection: &Collection,
        object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        self.write_new(collection, object, params).await
    }

    async fn update(
        &self,
        target: &Target,
        part: Part<'_>,
        object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        self.write_update(target, part, object, params).await
    }

    async fn patch(
        &self,
        target: &Target,
        part: Part<'_>,
        patch: &Patch,
        params: &WriteParams,
    ) -> Result<Written, ApiError> {
        self.write_patch(target, part, patch, params).await
    }

    async fn convert(
        &self,
        resource: &ApiResource,
        objects: Vec<RawObject>,
    ) -> Result<Vec<RawObject>, ApiError> {
        self.all_in_version(resource, objects).await
    }

    async fn delete(&self, target: &Target, params: &DeleteParams) -> Result<Deleted, ApiError> {
        self.remove(target, params).await
    }

    fn resources(&self) -> Vec<ApiResource> {
        self.shared.kinds.resources()
    }

    async fn discover(&self) -> Result<(), ApiError> {
        self.find_kinds().await
    }

    fn fences(&self) -> Option<&dyn super::backend::Fences> {
        Some(self)
    }
}
