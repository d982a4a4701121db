//! Which objects are the manifest's: those that it names, and what they own.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use orch_cluster::manifest::Manifest;
use orch_core::object::ObjectKey;

use super::watch::Views;

pub(crate) struct Ours(HashSet<(String, ObjectKey)>);

impl Ours {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let named = manifest.items.iter().map(|item| {
            let resource = item.resource();
            let namespace = item.namespace().unwrap_or("default");
            let key = ObjectKey::new(resource.is_namespaced().then_some(namespace), item.name());
            (resource.kind.to_string(), key)
        });
        Self(named.collect())
    }

    fn names(&self, kind: &str, key: ObjectKey) -> bool {
        self.0.contains(&(kind.to_owned(), key))
    }

    /// Whether a pod is the manifest's, or lies in a namespace of it.
    pub(crate) fn has(&self, views: &Views, pod: &Pod) -> bool {
        let meta = &pod.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        self.names("Pod", key(meta))
            || (namespace != "default" && self.names("Namespace", ObjectKey::new(None, namespace)))
            || owner(meta)
                .is_some_and(|set| self.names(&set.kind, ObjectKey::new(Some(namespace), &set.name)))
            || self.deployment_of(views, pod).is_some()
    }

    /// The manifest's Deployment that a pod belongs to.
    pub(crate) fn deployment_of(&self, views: &Views, pod: &Pod) -> Option<ObjectKey> {
        let namespace = pod.metadata.namespace.as_deref();
        let set = owner(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet")?;
        let set = views.sets.get(&ObjectKey::new(namespace, &set.name))?;
        let deployment = owner(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
        let key = ObjectKey::new(namespace, &deployment.name);
        self.names("Deployment", key.clone()).then_some(key)
    }

    /// Whether an event is about one of them.
    pub(crate) fn is_about(&self, views: &Views, about: &ObjectReference) -> bool {
        let namespace = about
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty());
        let key = ObjectKey::new(namespace, about.name.as_deref().unwrap_or_default());
        let namespace = namespace.unwrap_or_default();
        match about.kind.as_deref().unwrap_or_default() {
            "Pod" => views.pods.get(&key).is_some_and(|pod| self.has(views, &pod)),
            "ReplicaSet" if !self.names("ReplicaSet", key.clone()) => {
                views.sets.get(&key).is_some_and(|set| {
                    owner(&set.metadata).is_some_and(|owner| {
                        self.names(&owner.kind, ObjectKey::new(Some(namespace), &owner.name))
                    })
                })
            }
            kind => self.names(kind, key),
        }
    }
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
