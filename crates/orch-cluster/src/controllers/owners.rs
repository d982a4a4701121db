//! Writes an owner reference into an object, or takes it out.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as k8s;
use orch_core::client::{ApiError, Client, Part, Patch, Target, WriteParams};
use orch_core::object::{ApiResource, Object, ObjectKey, ObjectMeta, OwnerReference};
use orch_core::store::Revision;
use serde_json::json;

/// One object that an owner takes or lets go.
pub(crate) struct Owned<'a> {
    pub(crate) client: &'a Client,
    pub(crate) resource: &'a Arc<ApiResource>,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

/// Why an owner that may not adopt does not.
pub(crate) const GOING: &str = "adopts nothing, for it is gone or about to go";

/// Whether the store itself has this owner, and not as one that is being deleted: a view may be behind, and what is taken
/// by an owner that is gone goes as well. Kubernetes' controllers ask the same before they adopt.
pub(crate) async fn may_adopt<K: Object>(client: &Client, owner: &K) -> Result<bool, ApiError> {
    let target = Target {
        resource: Arc::new(K::resource()),
        key: owner.key(),
    };
    match client.backend().get(&target).await {
        Ok(found) => Ok(found.meta().uid == owner.metadata().uid && !found.meta().is_deleting()),
        Err(ApiError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Owned<'_> {
    /// Makes `owner` the object's controller, unless it has one by now, is being deleted, or is another object.
    ///
    /// Returns the revision of the write, if there was one.
    pub(crate) async fn adopt(&self, owner: &k8s::OwnerReference) -> Result<Option<Revision>, ApiError> {
        self.edit(|meta| {
            if meta.is_deleting() || meta.controller().is_some() {
                return None;
            }
            let mut owners = meta.owner_references.clone();
            owners.retain(|own| own.uid != owner.uid);
            owners.push(OwnerReference {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
                name: owner.name.clone(),
                uid: owner.uid.clone(),
                controller: true,
                block_owner_deletion: true,
                ..OwnerReference::default()
            });
            Some(owners)
        })
        .await
    }

    /// Takes the references to these owners out of the object.
    pub(crate) async fn release(&self, owners: &[String]) -> Result<Option<Revision>, ApiError> {
        self.edit(|meta| {
            let mut left = meta.owner_references.clone();
            left.retain(|own| !owners.contains(&own.uid));
            (left.len() < meta.owner_references.len()).then_some(left)
        })
        .await
    }

    /// Says that no owner's deletion need wait for the object.
    pub(crate) async fn unblock(&self) -> Result<Option<Revision>, ApiError> {
        self.edit(|meta| {
            let mut owners = meta.owner_references.clone();
            owners.iter_mut().for_each(|own| own.block_owner_deletion = false);
            (owners != meta.owner_references).then_some(owners)
        })
        .await
    }

    /// Decides on the object as it is in the store, and writes only if it still is so.
    async fn edit(
        &self,
        change: impl FnOnce(&ObjectMeta) -> Option<Vec<OwnerReference>>,
    ) -> Result<Option<Revision>, ApiError> {
        let target = Target {
            resource: Arc::clone(self.resource),
            key: ObjectKey::new(Some(self.namespace), self.name),
        };
        let document = match self.client.backend().get(&target).await {
            Ok(document) if document.meta().uid == self.uid => document,
            Ok(_) | Err(ApiError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(owners) = change(document.meta()) else {
            return Ok(None);
        };
        let version = document.revision().to_string();
        // Whoever has no owner has no list of them either, as in Kubernetes.
        let owners = (!owners.is_empty()).then_some(owners);
        let patch = Patch::Merge(json!({"metadata": {
            "uid": self.uid, "resourceVersion": version, "ownerReferences": owners,
        }}));
        let backend = self.client.backend();
        let written = backend
            .patch(&target, Part::Whole, &patch, &WriteParams::default())
            .await?;
        Ok(Some(written.document.revision()))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use orch_core::client::{DeleteParams, Propagation};
    use orch_core::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn only_an_owner_that_the_store_has_and_keeps_may_adopt() {
        let client = Client::builder(Arc::new(MemoryStore::new())).build();
        let maps = client.api::<ConfigMap>("default");
        let mut seen = ConfigMap::default();
        seen.metadata.name = Some("owner".to_owned());
        let seen = maps.create(&seen).await.unwrap();
        assert!(may_adopt(&client, &seen).await.unwrap());

        let slowly = DeleteParams::default().propagation(Propagation::Foreground);
        maps.delete("owner", &slowly).await.unwrap();
        assert!(!may_adopt(&client, &seen).await.unwrap(), "it is being deleted");
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        maps.patch("owner", &free).await.ok();
        assert!(maps.get_opt("owner").await.unwrap().is_none());
        assert!(!may_adopt(&client, &seen).await.unwrap(), "it is gone");

        let mut another = ConfigMap::default();
        another.metadata.name = Some("owner".to_owned());
        maps.create(&another).await.unwrap();
        assert!(!may_adopt(&client, &seen).await.unwrap(), "it is another");
    }
}
