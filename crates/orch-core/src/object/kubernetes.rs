//! Every k8s-openapi kind, and every kube-derived custom resource, is an [`Object`].

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as k8s;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Map;

use super::{ApiResource, Object, ObjectMeta, OwnerReference, Scope};
use crate::store::Revision;

/// The scopes a stored kind can have, by k8s-openapi's marker types.
pub trait StoredScope {
    /// The scope.
    const SCOPE: Scope;
}

impl StoredScope for NamespaceResourceScope {
    const SCOPE: Scope = Scope::Namespaced;
}

impl StoredScope for ClusterResourceScope {
    const SCOPE: Scope = Scope::Cluster;
}

impl<K> Object for K
where
    K: kube_core::Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
    K: Send + Sync + 'static,
    K::Scope: StoredScope,
{
    fn resource() -> ApiResource {
        ApiResource {
            group: K::group(&()),
            version: K::version(&()),
            kind: K::kind(&()),
            plural: K::plural(&()),
            scope: K::Scope::SCOPE,
        }
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Owned(from_kubernetes(self.meta()))
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        *self.meta_mut() = into_kubernetes(metadata);
    }

    fn set_resource_version(&mut self, revision: Revision) {
        self.meta_mut().resource_version = Some(revision.to_string());
    }
}

const MANAGED_FIELDS: &str = "managedFields";
const SELF_LINK: &str = "selfLink";

fn from_kubernetes(meta: &k8s::ObjectMeta) -> ObjectMeta {
    let mut other = Map::new();
    if let Some(fields) = &meta.managed_fields
        && let Ok(value) = serde_json::to_value(fields)
    {
        other.insert(MANAGED_FIELDS.to_owned(), value);
    }
    if let Some(link) = &meta.self_link {
        other.insert(SELF_LINK.to_owned(), link.as_str().into());
    }
    ObjectMeta {
        name: meta.name.clone().unwrap_or_default(),
        generate_name: meta.generate_name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone().unwrap_or_default(),
        resource_version: meta
            .resource_version
            .as_deref()
            .and_then(|v| v.parse().ok())
            .map(Revision::new),
        generation: meta.generation.unwrap_or_default(),
        creation_timestamp: meta.creation_timestamp.as_ref().map(|time| time.0),
        deletion_timestamp: meta.deletion_timestamp.as_ref().map(|time| time.0),
        deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
        labels: meta.labels.clone().unwrap_or_default(),
        annotations: meta.annotations.clone().unwrap_or_default(),
        owner_references: meta
            .owner_references
            .iter()
            .flatten()
            .map(owner_from_kubernetes)
            .collect(),
        finalizers: meta.finalizers.clone().unwrap_or_default(),
        other,
    }
}

fn into_kubernetes(mut meta: ObjectMeta) -> k8s::ObjectMeta {
    fn set<T: Default + PartialEq>(value: T) -> Option<T> {
        (value != T::default()).then_some(value)
    }
    k8s::ObjectMeta {
        annotations: set(meta.annotations),
        creation_timestamp: meta.creation_timestamp.map(k8s::Time),
        deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
        deletion_timestamp: meta.deletion_timestamp.map(k8s::Time),
        finalizers: set(meta.finalizers),
        generate_name: meta.generate_name,
        generation: set(meta.generation),
        labels: set(meta.labels),
        managed_fields: meta
            .other
            .remove(MANAGED_FIELDS)
            .and_then(|fields| serde_json::from_value(fields).ok()),
        name: set(meta.name),
        namespace: meta.namespace,
        owner_references: set(meta
            .owner_references
            .into_iter()
            .map(owner_into_kubernetes)
            .collect()),
        resource_version: meta.resource_version.map(|revision| revision.to_string()),
        self_link: meta
            .other
            .remove(SELF_LINK)
            .and_then(|link| link.as_str().map(str::to_owned)),
        uid: set(meta.uid),
    }
}

fn owner_from_kubernetes(owner: &k8s::OwnerReference) -> OwnerReference {
    OwnerReference {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: owner.controller.unwrap_or_default(),
        block_owner_deletion: owner.block_owner_deletion.unwrap_or_default(),
        other: Map::new(),
    }
}

fn owner_into_kubernetes(owner: OwnerReference) -> k8s::OwnerReference {
    k8s::OwnerReference {
        api_version: owner.api_version,
        block_owner_deletion: owner.block_owner_deletion.then_some(true),
        controller: owner.controller.then_some(true),
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
    }
}

// Conversions for code that holds one kind of metadata and needs the other.
impl From<&k8s::ObjectMeta> for ObjectMeta {
    fn from(meta: &k8s::ObjectMeta) -> Self {
        from_kubernetes(meta)
    }
}

impl From<ObjectMeta> for k8s::ObjectMeta {
    fn from(meta: ObjectMeta) -> Self {
        into_kubernetes(meta)
    }
}

impl From<OwnerReference> for k8s::OwnerReference {
    fn from(owner: OwnerReference) -> Self {
        owner_into_kubernetes(owner)
    }
}

impl From<&k8s::OwnerReference> for OwnerReference {
    fn from(owner: &k8s::OwnerReference) -> Self {
        owner_from_kubernetes(owner)
    }
}
