//! Removes what the manifest made, and says what it waits for.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::{Cluster, Removed};
use orch_cluster::kinds::pod::status::is_terminal;
use orch_cluster::manifest::Manifest;
use orch_core::client::{ListParams, Propagation};
use orch_core::runtime::SandboxFilter;

use super::Error;
use super::wait::{PATIENCE, Wait};
use super::watch::Views;

/// Kubernetes' default `terminationGracePeriodSeconds`.
const GRACE: i64 = 30;

/// How often the runtime is looked at, whether it hints at a change or not.
const LOOK: Duration = Duration::from_secs(1);

/// Deletes what the manifest made, and waits until it and all it owned are gone; tells what became of each object.
pub(crate) async fn clean(
    cluster: &Cluster,
    views: &Views,
    manifest: &Manifest,
) -> Result<Vec<Removed>, Error> {
    let ending = Ending::of(views);
    let removed = delete(cluster, manifest).await?;
    let what = match ending.pods {
        0 => "all of it to be gone".to_owned(),
        1 => "1 pod to end".to_owned(),
        many => format!("{many} pods to end"),
    };
    if ending.pods > 0 {
        let they_have = if ending.pods == 1 { "it has" } else { "they have" };
        say!("waiting for {what} ({they_have} {} s for it)", ending.grace)?;
    }
    let wait = Wait::with_patience(&what, ending.patience());
    let gone = async {
        cluster.gone(&removed).await?;
        ending.gone(views).await
    };
    views.during(wait, |_| false, gone).await?;
    Ok(removed)
}

/// The same without a word, for nobody listens.
pub(crate) async fn clean_quietly(
    cluster: &Cluster,
    views: &Views,
    manifest: &Manifest,
) -> Result<(), Error> {
    let ending = Ending::of(views);
    let removed = delete(cluster, manifest).await?;
    let gone = async {
        cluster.gone(&removed).await?;
        ending.gone(views).await
    };
    let gone = tokio::time::timeout(ending.patience(), gone);
    gone.await.map_err(|_| "what the manifest made does not end")?
}

/// Pods of the manifest that are to be gone.
struct Ending {
    uids: HashSet<String>,
    /// How many of them have yet to end.
    pods: usize,
    /// The longest time that one of them has for it, in seconds.
    grace: u64,
}

impl Ending {
    fn of(views: &Views) -> Self {
        let mut pods = views.our_pods();
        let uids = pods.iter().filter_map(|pod| pod.metadata.uid.clone());
        let uids = uids.collect();
        // One that has ended by itself is waited for as well, but there is nothing to wait for.
        pods.retain(|pod| !is_terminal(pod));
        let grace = pods.iter().map(|pod| {
            let spec = pod.spec.as_ref();
            spec.and_then(|spec| spec.termination_grace_period_seconds)
                .unwrap_or(GRACE)
        });
        Self {
            uids,
            grace: grace.max().unwrap_or(0).unsigned_abs(),
            pods: pods.len(),
        }
    }

    /// Waits until the runtime has nothing of them. That their objects are gone does not say so of those that have no
    /// time to end, which are deleted at once.
    async fn gone(&self, views: &Views) -> Result<(), Error> {
        let Some(runtime) = &views.runtime else {
            return Ok(());
        };
        let mut hints = runtime.events().await;
        loop {
            let sandboxes = runtime.sandboxes(&SandboxFilter::default()).await?;
            if !sandboxes.iter().any(|sandbox| self.uids.contains(&sandbox.uid)) {
                return Ok(());
            }
            // Hints can be lost, and end without notice.
            let hint = tokio::time::timeout(LOOK, hints.next()).await;
            if let Ok(None) = hint {
                tokio::time::sleep(LOOK).await;
                hints = runtime.events().await;
            }
        }
    }

    fn patience(&self) -> Duration {
        PATIENCE.saturating_add(Duration::from_secs(self.grace))
    }
}

/// In the foreground: an object goes after what it owns, so that none of its pods outlives it.
async fn delete(cluster: &Cluster, manifest: &Manifest) -> Result<Vec<Removed>, Error> {
    Ok(cluster.delete(manifest, Propagation::Foreground).await?)
}

/// Whether there are pods, or what makes some.
pub(crate) async fn left(cluster: &Cluster) -> Result<bool, Error> {
    let (client, first) = (cluster.client(), ListParams::default().limit(1));
    Ok(!client.all::<Pod>().list(&first).await?.items.is_empty()
        || !client.all::<ReplicaSet>().list(&first).await?.items.is_empty()
        || !client.all::<Deployment>().list(&first).await?.items.is_empty())
}
