//! `kubectl delete -f`: deletes what a manifest names, in the reverse of the order in which it is applied.

use std::sync::Arc;
use std::time::Duration;

use orch_core::client::{
    ApiError, Client, Collection, DeleteParams, Deleted, ListParams, Propagation, Target, WatchEvent,
    WatchParams,
};
use orch_core::delays::Delays;
use orch_core::object::{Document, FieldPath, FieldSelector, ObjectKey};

use super::set::{Set, is_namespace, namespace};
use crate::controllers::PROTECTED;
use crate::manifest::{Item, Manifest};

/// How long to wait before looking again where a watch ended that told nothing.
const AGAIN: Delays = Delays::new(Duration::from_millis(10), Duration::from_secs(1));

/// What became of an object that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone. What it owned may go after it.
    Deleted,
    /// It is being deleted: it waits for its grace period, its finalizers or, in the foreground, for what it owns.
    Deleting,
    /// There was none.
    NotFound,
    /// It stays: a namespace that every cluster has.
    Kept,
}

impl std::fmt::Display for Removal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deleted => "deleted",
            Self::Deleting => "being deleted",
            Self::NotFound => "not found",
            Self::Kept => "kept",
        })
    }
}

/// An object of a manifest that was to be deleted.
#[derive(Clone, Debug)]
pub struct Removed {
    /// Which.
    pub target: Target,
    /// What became of it.
    pub removal: Removal,
    /// The object as it was last; none if there was none, or if it was kept.
    pub document: Option<Document>,
}

/// Objects of a manifest could not be deleted; the others were.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeleteError {
    /// Where each stands in the manifest (file, line, document, object), and why it could not be deleted.
    pub failures: Vec<(String, ApiError)>,
    /// What became of the others, in the order in which they were deleted.
    pub removed: Vec<Removed>,
}

/// One failure to a line.
impl std::fmt::Display for DeleteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (place, error)) in self.failures.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{place}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DeleteError {}

/// Deletes each object that is there, whatever becomes of the others.
pub(super) async fn delete_all(
    client: &Client,
    manifest: &Manifest,
    propagation: Propagation,
) -> Result<Vec<Removed>, DeleteError> {
    let params = DeleteParams::default().propagation(propagation);
    let (mut removed, mut failures) = (Vec::new(), Vec::new());
    for (_, item) in Set::of(manifest).items.into_iter().rev() {
        match delete(client, item, &params).await {
            Ok(one) => removed.push(one),
            Err(error) => failures.push((item.place(&FieldPath::root()).to_string(), error)),
        }
    }
    if failures.is_empty() {
        Ok(removed)
    } else {
        Err(DeleteError { failures, removed })
    }
}

async fn delete(client: &Client, item: &Item, params: &DeleteParams) -> Result<Removed, ApiError> {
    let resource = item.resource();
    let namespace = resource.is_namespaced().then(|| namespace(item));
    let target = Target {
        resource: Arc::new(resource.clone()),
        key: ObjectKey::new(namespace, item.name()),
    };
    let (removal, document) = if is_namespace(item) && PROTECTED.contains(&item.name()) {
        (Removal::Kept, None)
    } else {
        match client.backend().delete(&target, params).await {
            Ok(Deleted::Gone(document)) => (Removal::Deleted, Some(document)),
            Ok(Deleted::Pending(document)) => (Removal::Deleting, Some(document)),
            Err(ApiError::NotFound(_)) => (Removal::NotFound, None),
            Err(error) => return Err(error),
        }
    };
    Ok(Removed {
        target,
        removal,
        document,
    })
}

/// Waits until those that were being deleted are gone.
pub(super) async fn gone(client: &Client, removed: &[Removed]) -> Result<(), ApiError> {
    for one in removed {
        if let (Removal::Deleting, Some(document)) = (one.removal, &one.document) {
            object_gone(client, &one.target, &document.meta().uid).await?;
        }
    }
    Ok(())
}

/// Waits until there is no object of this name, or another one.
async fn object_gone(client: &Client, target: &Target, uid: &str) -> Result<(), ApiError> {
    let backend = client.backend();
    let collection = Collection {
        resource: target.resource.clone(),
        namespace: target.key.namespace().map(str::to_owned),
    };
    let fields = FieldSelector::equal("metadata.name", target.key.name());
    let is_it = |document: &Document| document.meta().uid == uid;
    let mut pauses = AGAIN;
    loop {
        let params = ListParams::default().fields(fields.clone());
        let list = backend.list(&collection, &params).await?;
        // One that cannot be read is there.
        if !list.items.iter().any(is_it) && !list.unreadable.contains(&target.key) {
            return Ok(());
        }
        let params = WatchParams::after(list.revision).fields(fields.clone());
        let mut watch = backend.watch(&collection, &params).await?;
        // A watch that ends says no more than that it is time to look again.
        while let Some(Ok(batch)) = watch.next().await {
            let over = batch.events.iter().any(|event| match event {
                WatchEvent::Deleted(_) => true,
                WatchEvent::Added(document) | WatchEvent::Modified(document) => !is_it(document),
            });
            if over {
                return Ok(());
            }
            pauses.reset();
        }
        pauses.wait().await;
    }
}
