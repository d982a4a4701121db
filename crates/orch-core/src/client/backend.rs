//! What stands behind a client: objects of any kind, as documents.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    ApiError, Client, DeleteParams, DocumentWatch, Fence, ListParams, Patch, WatchParams, WriteParams,
};
use crate::object::{ApiResource, Document, ObjectKey, RawObject};
use crate::store::Revision;

/// One object.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its kind.
    pub resource: Arc<ApiResource>,
    /// Its namespace and name.
    pub key: ObjectKey,
}

/// The objects of a kind, in one namespace or everywhere.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The kind.
    pub resource: Arc<ApiResource>,
    /// The namespace; none: all, or the kind has none.
    pub namespace: Option<String>,
}

/// Part of a list, as documents.
#[derive(Clone, Debug)]
pub struct DocumentList {
    /// The objects, ordered by namespace and name.
    pub items: Vec<Document>,
    /// What lies between them and cannot be read, so that nobody takes it for gone. Whether a selector would choose it is
    /// not known.
    pub unreadable: Vec<ObjectKey>,
    /// The snapshot they are from; a watch after it misses nothing.
    pub revision: Revision,
    /// For the next page, if there is one.
    pub continue_token: Option<String>,
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object as it now is.
    pub document: Document,
    /// Whether anything was written: not on a dry run, nor where nothing differed.
    pub changed: bool,
    /// What the writer should know.
    pub warnings: Vec<String>,
}

/// What a delete did.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// The object is gone; this is what it was.
    Gone(Document),
    /// The object waits for its grace period or its finalizers.
    Pending(Document),
}

impl Deleted {
    /// The object as it was last.
    pub fn document(&self) -> &Document {
        match self {
            Self::Gone(document) | Self::Pending(document) => document,
        }
    }
}

/// Where a write goes within an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part<'a> {
    /// Everything but the status.
    Whole,
    /// The status alone.
    Status,
    /// A subresource of the kind's own, such as `binding`.
    Subresource(&'a str),
}

/// Carries out a client's calls: in this process over a store, or elsewhere over a wire.
///
/// Every method returns after its effect is visible to all readers of the same store.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Reads one object.
    async fn get(&self, target: &Target) -> Result<Document, ApiError>;

    /// Lists objects as one snapshot. A stored object that cannot be read is left out and logged, as watches do:
    /// [`get`](Self::get) reports it.
    async fn list(&self, collection: &Collection, params: &ListParams) -> Result<DocumentList, ApiError>;

    /// Streams changes.
    async fn watch(&self, collection: &Collection, params: &WatchParams) -> Result<DocumentWatch, ApiError>;

    /// Creates an object; a missing name is generated from `generateName`.
    async fn create(
        &self,
        collection: &Collection,
        object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError>;

    /// Replaces an object, or part of it. A resource version in it makes the write conditional.
    async fn update(
        &self,
        target: &Target,
        part: Part<'_>,
        object: RawObject,
        params: &WriteParams,
    ) -> Result<Written, ApiError>;

    /// Changes an object, or part of it.
    async fn patch(
        &self,
        target: &Target,
        part: Part<'_>,
        patch: &Patch,
        params: &WriteParams,
    ) -> Result<Written, ApiError>;

    /// Makes objects of whichever versions of a kind ones of the version of `resource`. Nothing is written.
    ///
    /// # Errors
    ///
    /// Those of the kind's [`Conversion`](super::Conversion).
    async fn convert(
        &self,
        resource: &ApiResource,
        objects: Vec<RawObject>,
    ) -> Result<Vec<RawObject>, ApiError>;

    /// Deletes an object, now or in time.
    async fn delete(&self, target: &Target, params: &DeleteParams) -> Result<Deleted, ApiError>;

    /// The kinds known: those registered (unless [only when used](super::Kind::when_used)), those used so far, and those [discovered](Self::discover).
    fn resources(&self) -> Vec<ApiResource>;

    /// Makes known every kind that objects are stored of, in the version of one of them: also those that were used by
    /// another process, or by this program before it was started anew.
    async fn discover(&self) -> Result<(), ApiError> {
        Ok(())
    }

    /// Fences, where the backend can check them in the same transaction as a write.
    fn fences(&self) -> Option<&dyn Fences> {
        None
    }
}

/// Refuses the writes of a leader that has been deposed without knowing it yet.
#[async_trait]
pub trait Fences: Send + Sync {
    /// When the fence was last raised; zero if never.
    async fn read_fence(&self, name: &str) -> Result<Revision, ApiError>;

    /// Raises it, unless somebody else has since it was read as `seen`: then none. Whatever was written behind
    /// an earlier fence stays; nothing more will be.
    async fn raise_fence(&self, name: &str, holder: &str, seen: Revision) -> Result<Option<Fence>, ApiError>;

    /// A client whose writes are refused, as forbidden, once `fence` is raised anew.
    fn behind(&self, fence: &Fence) -> Client;
}
