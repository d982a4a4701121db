//! Live progress: waits for states of Deployments and pods, and shows how they come about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::Cluster;
use orch_core::cache::Cache;
use orch_core::client::ListParams;
use orch_core::object::ObjectKey;
use tokio::sync::watch;

use super::Error;

/// How long anything may take before the quickstart says what it waits for and gives up.
const PATIENCE: Duration = Duration::from_secs(180);

/// Views of what is shown, and a bell that rings when one of them changes.
pub(crate) struct Views {
    pub(crate) deployments: Cache<Deployment>,
    pub(crate) pods: Cache<Pod>,
    bell: watch::Receiver<()>,
}

impl Views {
    pub(crate) async fn open(cluster: &Cluster) -> Self {
        let client = cluster.client();
        let views = (Cache::builder(client).start(), Cache::builder(client).start());
        let (ring, bell) = watch::channel(());
        let ring = Arc::new(ring);
        let other = ring.clone();
        let (deployments, pods): (Cache<Deployment>, Cache<Pod>) = views;
        deployments.on_change(move |_| ring.send_replace(()));
        pods.on_change(move |_| other.send_replace(()));
        deployments.synced().await;
        pods.synced().await;
        Self {
            deployments,
            pods,
            bell,
        }
    }

    /// Waits until `done`, showing the Deployments of `keys` as they change; returns how long it took.
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
            for key in keys {
                let Some(deployment) = self.deployments.get(key) else {
                    continue;
                };
                let line = progress(&deployment);
                if shown.get(key) != Some(&line) {
                    println!(
                        "  {:>6.0} ms  {key}  {line}",
                        began.elapsed().as_secs_f64() * 1000.0
                    );
                    shown.insert(key.clone(), line);
                }
            }
            if done(self) {
                return Ok(began.elapsed());
            }
            if tokio::time::timeout(PATIENCE, bell.changed()).await.is_err() {
                return Err(format!(
                    "nothing has moved for {PATIENCE:?} while waiting for {what}\n{}",
                    self.troubles()
                )
                .into());
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

    /// What pods have to say of why they are not ready.
    fn troubles(&self) -> String {
        let pods = self.pods.list();
        let messages = pods.iter().flat_map(|pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let conditions = pod
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten());
            let told = conditions
                .filter(|condition| condition.status != "True")
                .filter_map(|c| c.message.clone());
            told.map(move |message| format!("  pod {name}: {message}"))
        });
        messages.collect::<Vec<_>>().join("\n")
    }
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
    format!("{ready}/{wanted} ready, {updated} of the newest version, {all} in all")
}
