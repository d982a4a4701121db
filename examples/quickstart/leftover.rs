//! What still runs of an earlier run whose state was lost: no agent knows it, so nobody looks after it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use orch_core::client::Client;
use orch_core::runtime::{Container, ContainerFilter, Runtime, RuntimeError, Sandbox, SandboxFilter};
use orch_core::store::Store;

use super::Error;
use super::owner::{Owner, Owners};

/// How long its containers get to end: what their pods said of that is lost with them.
const GRACE: Duration = Duration::from_secs(10);

/// How many are named.
const NAMED: usize = 5;

/// How many containers are ended at once.
const AT_ONCE: usize = 8;

/// What the runtime has, under this data directory's name, of pods that the store does not know. The directory is ours
/// alone: no other program looks after it.
pub(crate) struct Leftover {
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
}

impl Leftover {
    /// To be asked before an agent begins, which makes more.
    pub(crate) async fn find(runtime: &dyn Runtime, store: &Arc<dyn Store>) -> Result<Self, Error> {
        let owners = Owners::read(&Client::new(store.clone())).await?;
        let mut sandboxes = runtime.sandboxes(&SandboxFilter::default()).await?;
        sandboxes.retain(|sandbox| owners.of(&sandbox.uid, &sandbox.annotations) == Owner::Lost);
        let mut containers = runtime.containers(&ContainerFilter::default()).await?;
        containers.retain(|container| owners.of(&container.pod_uid, &container.annotations) == Owner::Lost);
        Ok(Self {
            sandboxes,
            containers,
        })
    }

    /// How many pods there are, and their names, if there are any.
    pub(super) fn described(&self) -> Option<String> {
        let of_sandboxes = self.sandboxes.iter().map(|sandbox| (&sandbox.uid, &sandbox.name));
        // Without a sandbox a container is the only one to tell of its pod, and knows its own name.
        let of_containers = self.containers.iter();
        let of_containers = of_containers.map(|container| (&container.pod_uid, &container.name));
        let pods: BTreeMap<_, _> = of_containers.chain(of_sandboxes).collect();
        let mut names: Vec<_> = pods.values().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let (many, more) = (names.len(), names.len().saturating_sub(NAMED));
        names.truncate(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let pods = if many == 1 { "pod" } else { "pods" };
        (many > 0).then(|| {
            format!(
                "{many} {pods} of an earlier run whose state is lost ({}{more})",
                names.join(", ")
            )
        })
    }

    /// Says what there is, and what to do about it.
    pub(crate) fn tell(&self, runtime: &dyn Runtime) -> Result<(), Error> {
        let Some(what) = self.described() else {
            return Ok(());
        };
        say!(
            "warning: the {} runtime still has {what}: nobody looks after what runs there; --clean removes it\n",
            runtime.name()
        )
    }

    /// Ends it and removes it, and says so.
    pub(crate) async fn remove(&self, runtime: &dyn Runtime) -> Result<(), Error> {
        let Some(what) = self.described() else {
            return Ok(());
        };
        say!("removing {what}")?;
        // What one will not do keeps none of the others.
        let stops = self.containers.iter().map(|container| {
            let id = &container.id;
            async move {
                runtime.stop_container(id, GRACE).await?;
                runtime.remove_container(id).await
            }
        });
        let ended = all(stops).await;
        let removed = all(self.sandboxes.iter().map(|one| runtime.remove_sandbox(&one.id))).await;
        Ok(ended.and(removed)?)
    }
}

/// Does all of it, a few at once; fails as the first has that has failed.
async fn all<F>(calls: impl Iterator<Item = F>) -> Result<(), RuntimeError>
where
    F: Future<Output = Result<(), RuntimeError>>,
{
    let calls = stream::iter(calls).buffer_unordered(AT_ONCE);
    calls
        .fold(Ok(()), async |all: Result<(), RuntimeError>, one| all.and(one))
        .await
}
