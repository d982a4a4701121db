//! Objects of one kind.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use serde::Serialize;

use super::{
    ApiError, Client, Collection, DeleteParams, Deleted, ErrorSubject, ListParams, Part, Patch, Target,
    WatchEvent, WatchParams, WriteParams, Written,
};
use crate::object::{ApiResource, Document, DocumentError, Object, ObjectKey};
use crate::store::Revision;

/// Reads and writes objects of kind `K`, in one namespace or in all.
///
/// Writes return the object as stored: defaulted, admitted, with its new resource version.
pub struct Api<K> {
    client: Client,
    collection: Collection,
    kind: PhantomData<fn() -> K>,
}

/// Objects of one kind as they were at one moment.
#[derive(Clone, Debug)]
pub struct List<K> {
    /// The objects, ordered by namespace and name.
    pub items: Vec<K>,
    /// The moment; a [watch](Api::watch) after it misses nothing.
    pub revision: Revision,
    /// For [`ListParams::continue_token`], if there are more.
    pub continue_token: Option<String>,
}

impl<K: Object> Api<K> {
    pub(super) fn new(client: Client, namespace: Option<&str>) -> Self {
        let resource = Arc::new(K::resource());
        let namespace = namespace
            .filter(|n| resource.is_namespaced() && !n.is_empty())
            .map(str::to_owned);
        Self {
            client,
            collection: Collection { resource, namespace },
            kind: PhantomData,
        }
    }

    /// The kind.
    pub fn resource(&self) -> &ApiResource {
        &self.collection.resource
    }

    /// The client it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Which collection it is.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    fn target(&self, name: &str) -> Target {
        let key = ObjectKey::new(self.collection.namespace.as_deref(), name);
        Target {
            resource: self.collection.resource.clone(),
            key,
        }
    }

    /// The target of an object that lives in this namespace, or, of all namespaces, in the one that it says.
    fn target_of(&self, object: &K) -> Target {
        let metadata = object.metadata();
        let own = metadata.namespace.as_deref().filter(|own| !own.is_empty());
        let namespace = self.collection.namespace.as_deref().or(own);
        let key = ObjectKey::new(
            namespace.filter(|_| self.resource().is_namespaced()),
            &metadata.name,
        );
        Target {
            resource: self.collection.resource.clone(),
            key,
        }
    }

    /// For a document that few others will read: what is decoded is not held for them.
    fn decode(&self, document: &Document) -> Result<K, ApiError> {
        let decoded = match document.held::<K>() {
            Some(held) => Ok(K::clone(&held)),
            None => document.decode(),
        };
        decoded.map_err(|source| self.undecoded(document, source))
    }

    /// For a document that caches and watchers will read as well.
    fn decode_shared(&self, document: &Document) -> Result<K, ApiError> {
        let decoded = document.typed::<K>().map(|held| K::clone(&held));
        decoded.map_err(|source| self.undecoded(document, source))
    }

    fn undecoded(&self, document: &Document, source: DocumentError) -> ApiError {
        ApiError::Decode {
            subject: ErrorSubject::new(self.resource(), &document.key()),
            source,
        }
    }

    fn written(&self, written: Written) -> Result<K, ApiError> {
        for warning in &written.warnings {
            let meta = written.document.meta();
            tracing::warn!(kind = %self.resource().kind, namespace = meta.namespace, name = meta.name, "{warning}");
        }
        self.decode_shared(&written.document)
    }

    fn raw(&self, object: &K) -> Result<crate::object::RawObject, ApiError> {
        crate::object::raw_object(object).map_err(|error| ApiError::BadRequest(error.to_string()))
    }

    /// Reads one object.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ApiError::NotFound), [`Decode`](ApiError::Decode) if it does not fit the type, [`Unavailable`](ApiError::Unavailable).
    pub async fn get(&self, name: &str) -> Result<K, ApiError> {
        self.decode(&self.client.backend.get(&self.target(name)).await?)
    }

    /// Reads one object; none if there is no such object.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), but for `NotFound`.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, ApiError> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists objects as one snapshot.
    ///
    /// # Errors
    ///
    /// [`Decode`](ApiError::Decode) if one does not fit the type, [`BadRequest`](ApiError::BadRequest) for a field that the kind
    /// cannot be selected by or a token of no list, [`Expired`](ApiError::Expired) for one whose snapshot is gone: begin anew;
    /// [`Unavailable`](ApiError::Unavailable).
    pub async fn list(&self, params: &ListParams) -> Result<List<K>, ApiError> {
        let list = self.client.backend.list(&self.collection, params).await?;
        let items = list
            .items
            .iter()
            .map(|document| self.decode(document))
            .collect::<Result<_, _>>()?;
        Ok(List {
            items,
            revision: list.revision,
            continue_token: list.continue_token,
        })
    }

    /// Creates an object; a missing name is generated from `generateName`.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ApiError::AlreadyExists), [`Invalid`](ApiError::Invalid) with all fields that break the kind's rules,
    /// [`Forbidden`](ApiError::Forbidden), [`BadRequest`](ApiError::BadRequest) for an object of another kind or namespace. After
    /// [`Decode`](ApiError::Decode) it was created all the same, after [`Unknown`](ApiError::Unknown) it may have been.
    pub async fn create(&self, object: &K) -> Result<K, ApiError> {
        self.written(self.create_with(object, &WriteParams::default()).await?)
    }

    /// [`create`](Self::create) with parameters, returning the document and the warnings.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), but for `Decode`.
    pub async fn create_with(&self, object: &K, params: &WriteParams) -> Result<Written, ApiError> {
        self.client
            .backend
            .create(&self.collection, self.raw(object)?, params)
            .await
    }

    /// Replaces an object, its status apart. If it carries a resource version and was changed since, that is
    /// [`ApiError::Conflict`].
    ///
    /// # Errors
    ///
    /// [`NotFound`](ApiError::NotFound), [`Conflict`](ApiError::Conflict), else as [`create`](Self::create).
    pub async fn update(&self, object: &K) -> Result<K, ApiError> {
        self.written(self.write(object, Part::Whole).await?)
    }

    /// Replaces an object's status, and nothing else. Conditional like [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update).
    pub async fn update_status(&self, object: &K) -> Result<K, ApiError> {
        self.written(self.write(object, Part::Status).await?)
    }

    async fn write(&self, object: &K, part: Part<'_>) -> Result<Written, ApiError> {
        let backend = &self.client.backend;
        backend
            .update(
                &self.target_of(object),
                part,
                self.raw(object)?,
                &WriteParams::default(),
            )
            .await
    }

    /// Sets an object's status, whatever it was, without reading the object first.
    ///
    /// With `uid`, only if the object is still that one. Returns the document as it then is.
    ///
    /// # Errors
    ///
    /// [`Conflict`](ApiError::Conflict) if it is another by now, else as [`update`](Self::update) but for `Decode`.
    pub async fn put_status(
        &self,
        name: &str,
        uid: Option<&str>,
        status: &impl Serialize,
    ) -> Result<Written, ApiError> {
        let meta = uid.map(|uid| serde_json::json!({ "uid": uid }));
        self.write_status(&self.target(name), meta, status).await
    }

    /// Sets an object's status if the object is still as it was read: that one, in that version.
    ///
    /// A controller whose view may be behind says with this only what is true of the object as it is.
    ///
    /// # Errors
    ///
    /// As [`put_status`](Self::put_status); [`Conflict`](ApiError::Conflict) also if it was written since, and
    /// [`BadRequest`](ApiError::BadRequest) of one that was never read, and so has no version.
    pub async fn put_status_of(&self, object: &K, status: &impl Serialize) -> Result<Written, ApiError> {
        let read = object.metadata();
        let Some(version) = read.resource_version.map(|version| version.to_string()) else {
            let why = "metadata.resourceVersion: required, for the status is of the object as it was read";
            return Err(ApiError::BadRequest(why.to_owned()));
        };
        let meta = serde_json::json!({ "uid": read.uid, "resourceVersion": version });
        self.write_status(&self.target_of(object), Some(meta), status)
            .await
    }

    async fn write_status(
        &self,
        target: &Target,
        meta: Option<serde_json::Value>,
        status: &impl Serialize,
    ) -> Result<Written, ApiError> {
        let bad = |error: serde_json::Error| ApiError::BadRequest(error.to_string());
        let mut object = crate::object::RawObject::new();
        if let Some(meta) = meta {
            object.insert("metadata".to_owned(), meta);
        }
        object.insert("status".to_owned(), serde_json::to_value(status).map_err(bad)?);
        self.client
            .backend
            .update(target, Part::Status, object, &WriteParams::default())
            .await
    }

    /// Changes an object, its status apart.
    ///
    /// What the object becomes is checked as an [`update`](Self::update) is: defaulted, admitted and
    /// validated. That is all: the patch itself is of no kind, so a field that the kind does not know
    /// (`spec.replica` for `spec.replicas`) is no error; it is kept with the object, and has no effect. Kubernetes'
    /// API with `fieldValidation: Ignore` says as little, but drops the field.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ApiError::BadRequest) for a patch that cannot be applied, [`Invalid`](ApiError::Invalid) for what it leads
    /// to, else as [`update`](Self::update). After [`Decode`](ApiError::Decode) the patch stands: of a kind without rules it may
    /// have left what does not fit the type, and only another patch takes it back.
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<K, ApiError> {
        self.written(self.patch_part(name, Part::Whole, patch).await?)
    }

    /// Changes an object's status, and nothing else: the patch is of the whole object.
    ///
    /// # Errors
    ///
    /// As [`patch`](Self::patch).
    pub async fn patch_status(&self, name: &str, patch: &Patch) -> Result<K, ApiError> {
        self.written(self.patch_part(name, Part::Status, patch).await?)
    }

    /// Changes part of an object; returns the document and the warnings.
    ///
    /// # Errors
    ///
    /// As [`patch`](Self::patch), but for `Decode`.
    pub async fn patch_part(&self, name: &str, part: Part<'_>, patch: &Patch) -> Result<Written, ApiError> {
        self.client
            .backend
            .patch(&self.target(name), part, patch, &WriteParams::default())
            .await
    }

    /// Deletes an object, now or, if it has a grace period or finalizers, in time.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ApiError::NotFound), [`Conflict`](ApiError::Conflict) if a precondition does not hold,
    /// [`Forbidden`](ApiError::Forbidden), [`Unavailable`](ApiError::Unavailable), [`Unknown`](ApiError::Unknown).
    pub async fn delete(&self, name: &str, params: &DeleteParams) -> Result<Deleted, ApiError> {
        self.client.backend.delete(&self.target(name), params).await
    }

    /// Streams changes to objects, one by one. For a local copy kept current use a
    /// [`Cache`](crate::cache::Cache), which also resumes.
    ///
    /// # Errors
    ///
    /// [`Expired`](ApiError::Expired) if what it begins after is forgotten, at once or, of a watcher that is too slow, in the
    /// stream as its last item: list again. An object that does not fit the type is an item
    /// [`Decode`](ApiError::Decode), and the stream goes on.
    pub async fn watch(
        &self,
        params: &WatchParams,
    ) -> Result<BoxStream<'static, Result<WatchEvent<K>, ApiError>>, ApiError> {
        let watch = self.client.backend.watch(&self.collection, params).await?;
        let api = self.clone();
        Ok(watch
            .flat_map(move |batch| {
                let events: Vec<_> = match batch {
                    Ok(batch) => batch
                        .events
                        .into_iter()
                        .map(|event| event.try_map(|d| api.decode_shared(&d)))
                        .collect(),
                    Err(error) => vec![Err(error)],
                };
                futures::stream::iter(events)
            })
            .boxed())
    }
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            collection: self.collection.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Api<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Api").field(&self.collection).finish()
    }
}
