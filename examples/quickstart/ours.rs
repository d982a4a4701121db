//! Which objects are the manifest's: those that it names, and what they own.

use std::collections::HashSet;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use orch_cluster::manifest::{Item, Manifest};
use orch_core::object::ObjectKey;

use super::watch::Views;

pub(crate) struct Ours(HashSet<(String, ObjectKey)>);

impl Ours {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let named = manifest
            .items
            .iter()
            .map(|item| (item.resource().kind.to_string(), key_of(item)));
        Self(named.collect())
    }

    fn names(&self, kind: &str, key: ObjectKey) -> bool {
        self.0.contains(&(kind.to_owned(), key))
    }

    /// Whether a pod is the manifest's, or lies in a namespace of it.
    pub(crate) fn has(&self, views: &Views, pod: &Pod) -> bool {
        self.may_have(views, pod) == Some(true)
    }

    /// The same; none: what owns it is not in view yet.
    fn may_have(&self, views: &Views, pod: &Pod) -> Option<bool> {
        let meta = &pod.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        if self.names("Pod", key(meta))
            || (namespace != "default" && self.names("Namespace", ObjectKey::new(None, namespace)))
        {
            return Some(true);
        }
        let Some(owner) = owner(meta) else {
            return Some(false);
        };
        let owner_key = ObjectKey::new(Some(namespace), &owner.name);
        if self.names(&owner.kind, owner_key.clone()) {
            return Some(true);
        }
        if owner.kind != "ReplicaSet" {
            return Some(false);
        }
        let set = views.sets.get(&owner_key)?;
        Some(self.deployment_of_set(&set).is_some())
    }

    /// The manifest's Deployment that a pod belongs to.
    pub(crate) fn deployment_of(&self, views: &Views, pod: &Pod) -> Option<ObjectKey> {
        self.deployment_of_set(&*views.sets.get(&set_of(pod)?)?)
    }

    pub(crate) fn deployment_of_set(&self, set: &ReplicaSet) -> Option<ObjectKey> {
        let deployment = owner(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
        let key = ObjectKey::new(set.metadata.namespace.as_deref(), &deployment.name);
        self.names("Deployment", key.clone()).then_some(key)
    }

    /// Whether an event is about one of them; none: what it is about is not in view yet, or no longer.
    pub(crate) fn is_about(&self, views: &Views, about: &ObjectReference) -> Option<bool> {
        let namespace = about
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty());
        let key = ObjectKey::new(namespace, about.name.as_deref().unwrap_or_default());
        let kind = about.kind.as_deref().unwrap_or_default();
        if self.names(kind, key.clone()) {
            return Some(true);
        }
        match kind {
            "Pod" => self.may_have(views, &*views.pods.get(&key)?),
            "ReplicaSet" => Some(self.deployment_of_set(&*views.sets.get(&key)?).is_some()),
            _ => Some(false),
        }
    }
}

/// Where an object of a manifest is, or will be.
pub(crate) fn key_of(item: &Item) -> ObjectKey {
    let namespace = item.namespace().unwrap_or("default");
    ObjectKey::new(item.resource().is_namespaced().then_some(namespace), item.name())
}

/// The ReplicaSet that a pod belongs to.
pub(crate) fn set_of(pod: &Pod) -> Option<ObjectKey> {
    let set = owner(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
    Some(ObjectKey::new(pod.metadata.namespace.as_deref(), &set.name))
}

fn key(meta: &ObjectMeta) -> ObjectKey {
    ObjectKey::new(
        meta.namespace.as_deref(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

fn owner(meta: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = meta.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}
