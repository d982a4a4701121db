//! Removes what the manifest made, or waits until an earlier run has, and says what it waits for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use orch_cluster::cluster::{Cluster, Removal, Removed};
use orch_cluster::kinds::pod::status::is_terminal;
use orch_cluster::manifest::Manifest;
use orch_core::client::{ApiError, Client, Propagation, Target};
use orch_core::object::OwnerReference;
use orch_core::runtime::{ContainerFilter, Runtime, SandboxFilter};

use super::Error;
use super::deadline::Deadline;
use super::ours::key_of;
use super::owner::{Owner, Owners};
use super::stored::workloads;
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
    deadline: Deadline,
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
    let wait = Wait::with_patience(&what, ending.patience()).by(deadline);
    views
        .during(wait, |_| false, gone(cluster, views, &removed))
        .await?;
    Ok(removed)
}

/// Waits until what an earlier run was removing when it ended is gone. Applied before, it would be taken for what is to
/// be there, and go all the same.
pub(crate) async fn finish(
    cluster: &Cluster,
    views: &Views,
    manifest: &Manifest,
    deadline: Deadline,
) -> Result<(), Error> {
    let going = being_deleted(cluster.client(), manifest).await?;
    let Some(first) = going.first() else {
        return Ok(());
    };
    let name = format!(
        "{}/{}",
        first.target.resource.kind.to_lowercase(),
        first.target.key.name()
    );
    let what = match going.len() - 1 {
        0 => format!("{name} to be gone"),
        more => format!("{name} and {more} more to be gone"),
    };
    say!("waiting for {what}: an earlier run was removing it, and it is applied again then")?;
    let wait = Wait::with_patience(&what, Ending::of(views).patience()).by(deadline);
    views
        .during(wait, |_| false, gone(cluster, views, &going))
        .await?;
    Ok(())
}

/// The manifest's objects that are there and about to go.
pub(crate) async fn being_deleted(client: &Client, manifest: &Manifest) -> Result<Vec<Removed>, Error> {
    let mut going = Vec::new();
    for item in &manifest.items {
        let target = Target {
            resource: Arc::new(item.resource().clone()),
            key: key_of(item),
        };
        match client.backend().get(&target).await {
            Ok(document) if document.meta().is_deleting() => going.push(Removed {
                target,
                removal: Removal::Deleting,
                document: Some(document),
            }),
            Ok(_) | Err(ApiError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(going)
}

/// The same as [`clean`] without a word, for nobody listens.
pub(crate) async fn clean_quietly(
    cluster: &Cluster,
    views: &Views,
    manifest: &Manifest,
) -> Result<(), Error> {
    let ending = Ending::of(views);
    let removed = delete(cluster, manifest).await?;
    let gone = tokio::time::timeout(ending.patience(), gone(cluster, views, &removed));
    gone.await.map_err(|_| "what the manifest made does not end")?
}

/// Pods of the manifest that are to end, as far as they are known before it is deleted.
struct Ending {
    pods: usize,
    /// The longest time that one of them has for it, in seconds.
    grace: u64,
}

impl Ending {
    fn of(views: &Views) -> Self {
        let mut pods = views.our_pods();
        // One that has ended by itself is waited for as well, but there is nothing to wait for.
        // One that nothing runs has nothing that could end.
        pods.retain(|pod| !is_terminal(pod) && views.runs_nowhere(pod).is_none());
        let grace = pods.iter().map(|pod| {
            let spec = pod.spec.as_ref();
            spec.and_then(|spec| spec.termination_grace_period_seconds)
                .unwrap_or(GRACE)
        });
        Self {
            grace: grace.max().unwrap_or(0).unsigned_abs(),
            pods: pods.len(),
        }
    }

    fn patience(&self) -> Duration {
        PATIENCE.saturating_add(Duration::from_secs(self.grace))
    }
}

/// Waits until the objects are gone, and until the runtime has nothing of pods that are: that an object is gone does not
/// say so of one that has no time to end, which is deleted at once, whenever it was made.
async fn gone(cluster: &Cluster, views: &Views, removed: &[Removed]) -> Result<(), Error> {
    tokio::select! {
        left = all_gone(cluster, views, removed) => left,
        failed = views.let_go(cluster.client()) => failed,
    }
}

async fn all_gone(cluster: &Cluster, views: &Views, removed: &[Removed]) -> Result<(), Error> {
    cluster.gone(removed).await?;
    let Some(runtime) = &views.runtime else {
        return Ok(());
    };
    let mut hints = runtime.events().await;
    loop {
        if !ends(&**runtime, cluster.client()).await? && !is_owned(cluster.client(), removed).await? {
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

/// Whether the runtime still has something of pods that are gone, or does not say: it may yet.
async fn ends(runtime: &dyn Runtime, client: &Client) -> Result<bool, Error> {
    let (sandboxes, containers) = (SandboxFilter::default(), ContainerFilter::default());
    let (Ok(sandboxes), Ok(containers)) = (
        runtime.sandboxes(&sandboxes).await,
        // One that has lost its sandbox outlives it.
        runtime.containers(&containers).await,
    ) else {
        return Ok(true);
    };
    // After what runs: a pod that there is not then is gone.
    let owners = Owners::read(client).await?;
    let sandboxes = sandboxes.iter().map(|one| owners.of(&one.uid, &one.annotations));
    let containers = containers
        .iter()
        .map(|one| owners.of(&one.pod_uid, &one.annotations));
    Ok(sandboxes.chain(containers).any(|owner| owner == Owner::Gone))
}

/// Whether there are pods whose owner was removed or is gone, or such that make some: a controller that was at work when
/// its object was deleted may have made them after garbage collection had looked for them, and it will look again.
async fn is_owned(client: &Client, removed: &[Removed]) -> Result<bool, Error> {
    let documents = removed.iter().filter_map(|one| one.document.as_ref());
    let removed: HashSet<_> = documents.map(|document| document.meta().uid.clone()).collect();
    let (mut there, mut all_read) = (HashSet::new(), true);
    for (_, list) in workloads(client).await? {
        for document in &list.items {
            let meta = document.meta();
            let mut owners = meta.owner_references.iter();
            let is_gone = |owner: &OwnerReference| {
                let (kind, uid) = (owner.kind.as_str(), owner.uid.as_str());
                all_read && matches!(kind, "Deployment" | "ReplicaSet") && !there.contains(uid)
            };
            if owners.any(|owner| removed.contains(&owner.uid) || is_gone(owner)) {
                return Ok(true);
            }
            there.insert(meta.uid.clone());
        }
        // One that cannot be read is there, and its uid is not known.
        all_read &= list.unreadable.is_empty();
    }
    Ok(false)
}

/// In the foreground: an object goes after what it owns, so that none of its pods outlives it.
async fn delete(cluster: &Cluster, manifest: &Manifest) -> Result<Vec<Removed>, Error> {
    Ok(cluster.delete(manifest, Propagation::Foreground).await?)
}
