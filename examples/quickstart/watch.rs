//! Live progress: waits for states of Deployments and pods, and shows how they come about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use orch_cluster::cluster::Cluster;
use orch_core::cache::Cache;
use orch_core::client::{Client, ListParams};
use orch_core::object::{Object, ObjectKey};
use tokio::sync::watch;

use super::Error;

/// How long anything may take before the quickstart says what it waits for and gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Views of what is shown, and a bell that rings when one of them changes.
pub(crate) struct Views {
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) sets: Cache<ReplicaSet>,
    pub(crate) pods: Cache<Pod>,
    /// Pods that were refused before anything was applied: not this manifest's.
    refused_before: Vec<String>,
    bell: watch::Receiver<()>,
}

impl Views {
    pub(crate) async fn open(cluster: &Cluster) -> Self {
        let client = cluster.client();
        let (ring, bell) = watch::channel(());
        let ring = Arc::new(ring);
        let (deployments, sets) = (view(client, &ring), view(client, &ring));
        let pods = view(client, &ring);
        deployments.synced().await;
        sets.synced().await;
        pods.synced().await;
        let mut views = Self {
            deployments,
            sets,
            pods,
            refused_before: Vec::new(),
            bell,
        };
        views.refused_before = views.refused().map(|(pod, _)| pod).collect();
        views
    }

    /// Waits until `done`, showing the Deployments of `keys` as they change, and what keeps pods from running;
    /// returns how long it took.
    pub(crate) async fn until(
        &self,
        keys: &[ObjectKey],
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Duration, Error> {
        let began = Instant::now();
        let mut bell = self.bell.clone();
        let mut shown = BTreeMap::new();
        loop {
            bell.borrow_and_update();
            let deployments = keys.iter().filter_map(|key| {
                let deployment = self.deployments.get(key)?;
                Some((key.to_string(), progress(&deployment)))
            });
            for (what, line) in deployments.chain(self.troubles()) {
                if shown.get(&what) != Some(&line) {
                    let passed = began.elapsed().as_secs_f64() * 1000.0;
                    say!("  {passed:>6.0} ms  {what}  {line}")?;
                    shown.insert(what, line);
                }
            }
            // It would wait for ever.
            if let Some((pod, why)) = self.refused().find(|(pod, _)| !self.refused_before.contains(pod)) {
                return Err(format!("pod {pod} can never run here: {why}").into());
            }
            if done(self) {
                return Ok(began.elapsed());
            }
            if tokio::time::timeout(PATIENCE, bell.changed()).await.is_err() {
                return Err(format!("nothing has moved for {PATIENCE:?} while waiting for {what}").into());
            }
        }
    }

    /// Whether every Deployment of `keys` is as it should be.
    pub(crate) fn complete(&self, keys: &[ObjectKey]) -> bool {
        keys.iter().all(|key| {
            self.deployments
                .get(key)
                .is_some_and(|deployment| is_complete(&deployment))
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

    /// Pods that ask for what the runtime cannot give, and what that is.
    fn refused(&self) -> impl Iterator<Item = (String, String)> {
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
    fn troubles(&self) -> Vec<(String, String)> {
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

/// Why a pod does not run, where it is more than that it is on its way.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses);
    let mut waiting = containers
        .flatten()
        .filter_map(|container| Some((container, container.state.as_ref()?.waiting.as_ref()?)));
    let on_its_way = ["ContainerCreating", "PodInitializing"];
    if let Some((container, waiting)) = waiting.find(|(_, waiting)| {
        let reason = waiting.reason.as_deref();
        reason.is_some_and(|reason| !on_its_way.contains(&reason))
    }) {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let message = waiting.message.as_deref().unwrap_or_default();
        return Some(format!("{reason}: {message}{}", last_end(container)));
    }
    let conditions = status.conditions.iter().flatten();
    let mut refused =
        conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    refused.find_map(|condition| condition.message.clone())
}

/// How a container that waits for its next start has ended, if it has run before.
fn last_end(container: &ContainerStatus) -> String {
    let last = container.last_state.as_ref();
    let Some(end) = last.and_then(|state| state.terminated.as_ref()) else {
        return String::new();
    };
    let message = end
        .message
        .as_deref()
        .map(|message| format!(": {}", message.trim_end()));
    format!(
        " (it ended with code {}{})",
        end.exit_code,
        message.unwrap_or_default()
    )
}

/// Whether a pod is ready, or has run to its end.
pub(crate) fn is_settled(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) || is_ready(pod)
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

pub(crate) async fn all_pods(cluster: &Cluster) -> Result<Vec<Pod>, Error> {
    Ok(cluster
        .client()
        .all::<Pod>()
        .list(&ListParams::default())
        .await?
        .items)
}

fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas;
    deployment.status.as_ref().is_some_and(|status| {
        let count = |n: Option<i32>| Some(n.unwrap_or(0));
        status.observed_generation == deployment.metadata.generation
            && count(status.replicas) == wanted
            && count(status.updated_replicas) == wanted
            && count(status.ready_replicas) == wanted
    })
}

fn progress(deployment: &Deployment) -> String {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let (ready, updated) = (
        status.ready_replicas.unwrap_or(0),
        status.updated_replicas.unwrap_or(0),
    );
    let all = status.replicas.unwrap_or(0);
    let paused = deployment.spec.paused.unwrap_or(false);
    let paused = if paused {
        "; paused: nothing is rolled out"
    } else {
        ""
    };
    format!("{ready}/{wanted} ready, {updated} of the newest version, {all} in all{paused}")
}
