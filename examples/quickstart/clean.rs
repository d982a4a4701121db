//! Removes what the manifest made, and says what it waits for.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::{Cluster, Removed};
use orch_cluster::manifest::Manifest;
use orch_core::client::{ListParams, Propagation};

use super::Error;
use super::wait::{PATIENCE, Wait};
use super::watch::Views;

/// Kubernetes' default `terminationGracePeriodSeconds`.
const GRACE: i64 = 30;

/// Deletes what the manifest made, and waits until it and all it owned are gone; tells what became of each object.
pub(crate) async fn clean(
    cluster: &Cluster,
    views: &Views,
    manifest: &Manifest,
) -> Result<Vec<Removed>, Error> {
    let pods = views.our_pods();
    let removed = delete(cluster, manifest).await?;
    let grace = pods.iter().map(|pod| {
        let spec = pod.spec.as_ref();
        spec.and_then(|spec| spec.termination_grace_period_seconds)
            .unwrap_or(GRACE)
    });
    let grace = grace.max().unwrap_or(0);
    let what = match pods.len() {
        0 => "all of it to be gone".to_owned(),
        1 => "1 pod to end".to_owned(),
        many => format!("{many} pods to end"),
    };
    if !pods.is_empty() {
        say!("waiting for {what} (they have {grace} s for it)")?;
    }
    let wait = Wait {
        patience: PATIENCE + Duration::from_secs(grace.unsigned_abs()),
        ..Wait::new(&what).not_for_pods()
    };
    let gone = async { Ok(cluster.gone(&removed).await?) };
    views.during(wait, |_| false, gone).await?;
    Ok(removed)
}

/// The same without a word, for nobody listens.
pub(crate) async fn clean_quietly(cluster: &Cluster, manifest: &Manifest) -> Result<(), Error> {
    let removed = delete(cluster, manifest).await?;
    let gone = tokio::time::timeout(PATIENCE, cluster.gone(&removed));
    Ok(gone.await.map_err(|_| "what the manifest made does not end")??)
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
