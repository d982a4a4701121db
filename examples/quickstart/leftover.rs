//! What still runs of an earlier run whose state was lost: no agent knows it, so nobody looks after it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use orch_cluster::agent::CLUSTER_ANNOTATION;
use orch_core::client::Client;
use orch_core::runtime::{Container, ContainerFilter, Runtime, Sandbox, SandboxFilter};
use orch_core::store::Store;

use super::Error;
use super::watch::all_pods;

/// How long its containers get to end: what their pods said of that is lost with them.
const GRACE: Duration = Duration::from_secs(10);

/// How many are named.
const NAMED: usize = 5;

/// What the runtime has, under this data directory's name, of pods that the store does not know.
pub(crate) struct Leftover {
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
}

impl Leftover {
    /// To be asked before an agent begins, which makes more.
    pub(crate) async fn find(runtime: &dyn Runtime, store: &Arc<dyn Store>) -> Result<Self, Error> {
        let client = Client::new(store.clone());
        let pods = all_pods(&client).await?;
        let known: HashSet<_> = pods
            .iter()
            .filter_map(|pod| pod.metadata.uid.as_deref())
            .collect();
        // What was made for this very cluster the agent itself removes, once it has asked the store for its pod.
        let cluster = client.all::<Namespace>().get_opt("kube-system").await?;
        let cluster = cluster.and_then(|namespace| namespace.metadata.uid);
        let is_lost = |uid: &str, annotations: &BTreeMap<String, String>| {
            let made_for = annotations.get(CLUSTER_ANNOTATION);
            !known.contains(uid) && (made_for.is_none() || made_for != cluster.as_ref())
        };
        let mut sandboxes = runtime.sandboxes(&SandboxFilter::default()).await?;
        sandboxes.retain(|sandbox| is_lost(&sandbox.uid, &sandbox.annotations));
        let mut containers = runtime.containers(&ContainerFilter::default()).await?;
        containers.retain(|container| is_lost(&container.pod_uid, &container.annotations));
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
        let stops = self.containers.iter().map(|container| {
            let id = &container.id;
            async move {
                runtime.stop_container(id, GRACE).await?;
                runtime.remove_container(id).await
            }
        });
        try_join_all(stops).await?;
        for sandbox in &self.sandboxes {
            runtime.remove_sandbox(&sandbox.id).await?;
        }
        Ok(())
    }
}
