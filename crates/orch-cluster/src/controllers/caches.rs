//! The views that controllers share: one watch and one decode per kind, however many read it.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orch_core::cache::Cache;
use orch_core::client::Client;
use orch_core::object::{Object, ObjectMeta};

use super::claim::Claimable;
use super::pod_view::PodView;

/// Index of objects by the uid of their controller; those without one are under their namespace, see
/// [`orphans_of`].
pub(crate) const CONTROLLER: &str = "controller";
/// Index of pods by the node they are bound to.
pub(crate) const NODE: &str = "node";
/// Index of objects by namespace.
pub(crate) const NAMESPACE: &str = "namespace";

/// The views, each fed by a watch of its own; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caches {
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) replica_sets: Cache<ReplicaSet>,
    pub(crate) pods: Cache<PodView>,
    pub(crate) nodes: Cache<Node>,
    pub(crate) leases: Cache<Lease>,
    pub(crate) namespaces: Cache<Namespace>,
    pub(crate) budgets: Cache<PodDisruptionBudget>,
}

impl Caches {
    pub(crate) fn start(client: &Client) -> Self {
        Self {
            deployments: Cache::builder(client).index(NAMESPACE, namespace_of).start(),
            replica_sets: Cache::builder(client)
                .index(CONTROLLER, controller_of)
                .index(NAMESPACE, namespace_of)
                .start(),
            pods: Cache::projected(client, Pod::resource(), PodView::new)
                .index(CONTROLLER, controller_of)
                .index(NAMESPACE, namespace_of)
                .index(NODE, |pod: &PodView, _| {
                    pod.node.as_deref().map(str::to_owned).into_iter().collect()
                })
                .start(),
            nodes: Cache::builder(client).start(),
            leases: Cache::builder(client).namespace("kube-node-lease").start(),
            namespaces: Cache::builder(client).start(),
            budgets: Cache::builder(client).index(NAMESPACE, namespace_of).start(),
        }
    }
}

/// What [`CONTROLLER`] files the objects of a namespace under that no controller owns: no uid has a slash.
pub(crate) fn orphans_of(namespace: &str) -> String {
    format!("orphans/{namespace}")
}

fn controller_of<T: Claimable>(object: &T, meta: &ObjectMeta) -> Vec<String> {
    vec![match object.controller_uid() {
        Some(uid) => uid.to_owned(),
        None => orphans_of(meta.namespace.as_deref().unwrap_or_default()),
    }]
}

fn namespace_of<T>(_: &T, meta: &ObjectMeta) -> Vec<String> {
    vec![meta.namespace.clone().unwrap_or_default()]
}
