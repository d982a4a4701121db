//! Views of what is shown: Deployments and pods as they are, and what has changed of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::{is_deleting, is_ready};
use orch_cluster::manifest::Manifest;
use orch_core::cache::Cache;
use orch_core::client::{Client, ListParams};
use orch_core::object::{Object, ObjectKey};
use tokio::sync::watch;

use super::Error;
use super::events::Events;
use super::news::{changes, ended, trouble};
use super::ours::Ours;

/// Views of what is shown, and a bell that rings when one of them changes.
pub(crate) struct Views {
    pub(crate) ours: Ours,
    pub(crate) nodes: Cache<Node>,
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) sets: Cache<ReplicaSet>,
    pub(crate) pods: Cache<Pod>,
    pub(super) events: Events,
    /// The pods as they were shown last, by uid.
    seen: Mutex<HashMap<String, Arc<Pod>>>,
    /// Pods that were refused before anything was applied: not this manifest's.
    pub(super) refused_before: Vec<String>,
    pub(super) bell: watch::Receiver<()>,
}

impl Views {
    pub(crate) async fn open(cluster: &Cluster, manifest: &Manifest) -> Self {
        let client = cluster.client();
        let (ring, bell) = watch::channel(());
        let ring = Arc::new(ring);
        let (nodes, deployments, sets, pods) = (
            view(client, &ring),
            view(client, &ring),
            view(client, &ring),
            view(client, &ring),
        );
        let mut views = Self {
            ours: Ours::of(manifest),
            events: Events::open(client).await,
            nodes,
            deployments,
            sets,
            pods,
            seen: Mutex::default(),
            refused_before: Vec::new(),
            bell,
        };
        views.nodes.synced().await;
        views.deployments.synced().await;
        views.sets.synced().await;
        views.pods.synced().await;
        views.refused_before = views.refused().map(|(pod, _)| pod).collect();
        views
    }

    /// Shows for ever what changes of the pods since they were shown last, and warnings.
    pub(crate) async fn follow(&self) -> Result<(), Error> {
        let (mut bell, mut rumours) = (self.bell.clone(), self.events.bell());
        loop {
            bell.borrow_and_update();
            rumours.borrow_and_update();
            for (pod, line) in self.changed().into_iter().chain(self.warnings()) {
                let now = orch_core::time::now().strftime("%H:%M:%SZ");
                say!("  {now}  {pod}  {line}")?;
            }
            tokio::select! {
                _ = bell.changed() => {}
                _ = rumours.changed() => {}
            }
        }
    }

    /// All pods in a table. What changes of them from now on is news.
    pub(crate) async fn table(&self, cluster: &Cluster) -> Result<String, Error> {
        let pods = all_pods(cluster.client()).await?;
        self.look(&pods).await;
        Ok(orch_examples::pod_table(&pods))
    }

    /// Takes these as the pods shown last, and waits until the views are as new.
    pub(crate) async fn look(&self, pods: &[Pod]) {
        let newest = pods
            .iter()
            .filter_map(|pod| Object::metadata(pod).resource_version)
            .max();
        if let Some(newest) = newest {
            self.pods.wait_for(newest).await;
        }
        let seen = pods.iter().map(|pod| (uid(pod), Arc::new(pod.clone())));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen.collect();
    }

    /// What has changed since the last look, by pod. This is one.
    pub(crate) fn changed(&self) -> Vec<(String, String)> {
        let now = self.pods.list();
        let now: HashMap<_, _> = now.into_iter().map(|pod| (uid(&pod), pod)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = seen.iter().filter(|(uid, _)| !now.contains_key(*uid));
        let gone = gone.map(|(_, was)| (Some(was), None));
        let others = now.iter().map(|(uid, is)| (seen.get(uid), Some(is)));
        let told = gone.chain(others).filter_map(|(was, is)| {
            let changes = changes(was.map(|pod| &**pod), is.map(|pod| &**pod));
            let name = was.or(is)?.metadata.name.as_deref().unwrap_or_default();
            (!changes.is_empty()).then(|| (format!("pod {name}"), changes.join(", ")))
        });
        let mut told: Vec<_> = told.collect();
        told.sort();
        *seen = now;
        told
    }

    pub(super) fn warnings(&self) -> Vec<(String, String)> {
        self.events.take(|about| self.ours.is_about(self, about))
    }

    /// Whether every Deployment of `keys` is as it should be, and so are its pods.
    pub(crate) fn complete(&self, keys: &[ObjectKey]) -> bool {
        let mut deployments = keys.iter().map(|key| self.deployments.get(key));
        if !deployments.all(|deployment| deployment.is_some_and(|deployment| is_complete(&deployment))) {
            return false;
        }
        // Its status is counted from theirs, and may not have followed yet.
        let mut pods = self.pods.list().into_iter().filter(|pod| !is_deleting(pod));
        pods.all(|pod| {
            let of = self.ours.deployment_of(self, &pod);
            of.is_none_or(|of| !keys.contains(&of)) || is_ready(&pod)
        })
    }

    /// Whether a ReplicaSet has the pods it wants, all ready.
    pub(crate) fn is_filled(&self, key: &ObjectKey) -> bool {
        self.sets.get(key).is_some_and(|set| {
            set.status.as_ref().is_some_and(|status| {
                let wanted = set.spec.replicas.unwrap_or(1);
                status.observed_generation == set.metadata.generation
                    && status.replicas == wanted
                    && status.ready_replicas.unwrap_or(0) == wanted
            })
        })
    }

    /// The manifest's pods.
    pub(crate) fn our_pods(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.pods.list();
        pods.retain(|pod| self.ours.has(self, pod));
        pods
    }

    /// Pods that ask for what the runtime cannot give, and what that is.
    pub(super) fn refused(&self) -> impl Iterator<Item = (String, String)> {
        self.pods.list().into_iter().filter_map(|pod| {
            let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
            let waiting = containers.first()?.state.as_ref()?.waiting.as_ref()?;
            let why = waiting.message.clone()?;
            // What is missing may come; a field of its own spec, which is what is named here, will not change.
            let refused =
                waiting.reason.as_deref() == Some("CreateContainerConfigError") && why.starts_with("spec.");
            refused.then(|| (pod.metadata.name.clone().unwrap_or_default(), why))
        })
    }

    /// Pods that something keeps from running, and what.
    pub(super) fn troubles(&self) -> Vec<(String, String)> {
        let pods = self.pods.list();
        let troubled = pods.iter().filter_map(|pod| {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            Some((format!("pod {name}"), trouble(pod)?))
        });
        troubled.collect()
    }
}

/// A view of all objects of a kind that rings the bell when one changes.
fn view<K: Object>(client: &Client, bell: &Arc<watch::Sender<()>>) -> Cache<K> {
    let (cache, bell) = (Cache::builder(client).start(), bell.clone());
    cache.on_change(move |_| bell.send_replace(())).keep();
    cache
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// Whether a node can be given pods.
pub(crate) fn is_node_ready(node: &Node) -> bool {
    let mut conditions = node
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod is ready, or has run to its end.
pub(crate) fn is_settled(pod: &Pod) -> bool {
    ended(pod).is_some() || is_ready(pod)
}

pub(crate) async fn all_pods(client: &Client) -> Result<Vec<Pod>, Error> {
    Ok(client.all::<Pod>().list(&ListParams::default()).await?.items)
}

pub(super) fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas;
    deployment.status.as_ref().is_some_and(|status| {
        let count = |n: Option<i32>| Some(n.unwrap_or(0));
        status.observed_generation == deployment.metadata.generation
            && count(status.replicas) == wanted
            && count(status.updated_replicas) == wanted
            && count(status.ready_replicas) == wanted
    })
}
