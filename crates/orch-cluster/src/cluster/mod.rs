//! A whole orchestrator, put together: store, kinds, controllers, scheduler and nodes.

mod apply;
mod builder;
mod delete;
#[cfg(test)]
mod delete_tests;
mod set;
#[cfg(test)]
mod set_tests;
#[cfg(test)]
mod tests;

use orch_core::client::{ApiError, Client, Propagation};
use orch_core::controller::MetricsSnapshot;
use orch_core::runtime::LogChunk;
use tokio::task::AbortHandle;

pub use apply::{Applied, Outcome, apply};
pub use builder::ClusterBuilder;
pub use delete::{DeleteError, Removal, Removed};
#[cfg(any(test, feature = "testing"))]
pub(crate) use set::apply_all as apply_manifest;

use crate::agent::{AccessError, Agent, ContainerAt};
use crate::controllers::RunningControllers;
use crate::manifest::{Manifest, ManifestErrors};

/// A running orchestrator in this process.
///
/// What it holds is in its store, and what it started goes on when it is dropped or the process dies: a cluster
/// started anew over the same store and runtimes takes everything over as it is.
///
/// ```
/// use std::sync::Arc;
///
/// use k8s_openapi::api::apps::v1::Deployment;
/// use orch_cluster::cluster::Cluster;
/// use orch_cluster::manifest::{Manifest, ManifestKinds};
/// use orch_core::store::MemoryStore;
/// use orch_core::testing::FakeRuntime;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::builder(Arc::new(MemoryStore::new()))
///     .node("node-1", Arc::new(FakeRuntime::new()))
///     .start()
///     .await?;
///
/// let text = "
/// apiVersion: apps/v1
/// kind: Deployment
/// metadata: {name: web}
/// spec:
///   replicas: 2
///   selector: {matchLabels: {app: web}}
///   template:
///     metadata: {labels: {app: web}}
///     spec: {containers: [{name: web, image: web}]}
/// ";
/// cluster.apply(&Manifest::read("web.yaml", text, &ManifestKinds::builtin())?).await?;
///
/// let deployments = cluster.client().api::<Deployment>("default");
/// while deployments.get("web").await?.status.and_then(|status| status.ready_replicas) != Some(2) {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// cluster.stop().await;
/// # Ok(())
/// # }
/// ```
pub struct Cluster {
    client: Client,
    agents: Vec<Agent>,
    controllers: Option<RunningControllers>,
    /// The loops that end when the cluster does.
    tasks: Vec<Task>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a manifest was not applied, or not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Objects are refused; all that is wrong, with lines. Nothing was applied.
    #[error(transparent)]
    Invalid(#[from] ManifestErrors),
    /// The store failed, or something has changed since the objects were checked.
    #[error("{place}: {source}")]
    Failed {
        /// File, line, document and object.
        place: String,
        /// Why.
        source: ApiError,
        /// What had been applied by then, in the order of the file.
        applied: Vec<Applied>,
    },
}

impl Cluster {
    /// A cluster whose state is in `store`.
    pub fn builder(store: std::sync::Arc<dyn orch_core::store::Store>) -> ClusterBuilder {
        ClusterBuilder::new(store)
    }

    /// The way to all objects.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The agents of the nodes in this process.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The agent of a node in this process.
    pub fn agent(&self, node: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.config().node_name == node)
    }

    /// What the controllers have done so far, by name.
    pub fn metrics(&self) -> Vec<(String, MetricsSnapshot)> {
        self.controllers
            .iter()
            .flat_map(RunningControllers::metrics)
            .collect()
    }

    /// Makes the cluster hold what the manifest says, as `kubectl apply` does: creates what is missing, and
    /// changes of the rest what the manifest says and what it said before.
    ///
    /// First everything is tried without being written, so that all errors are told at once and nothing is applied of
    /// a file that has any. Namespaces go first, wherever they stand, and an object may go into one that comes with it;
    /// of an object given twice the later is applied, and told of once.
    ///
    /// # Errors
    ///
    /// See [`ApplyError`]: what is refused, or what failed.
    pub async fn apply(&self, manifest: &Manifest) -> Result<Vec<Applied>, ApplyError> {
        set::apply_all(&self.client, manifest).await
    }

    /// What [`apply`](Self::apply) does first, and no more: tries the manifest as `kubectl apply --dry-run=server` does.
    ///
    /// # Errors
    ///
    /// Those of [`apply`](Self::apply) that can be found without writing.
    pub async fn dry_run(&self, manifest: &Manifest) -> Result<(), ApplyError> {
        set::check_all(&self.client, manifest).await
    }

    /// Deletes what the manifest names, as `kubectl delete -f` does, and tells what became of each object, in the
    /// order of deletion: the reverse of that in which it is applied, Namespaces last. What is not there is no error,
    /// and neither is a namespace that every cluster has, which stays.
    ///
    /// With [`Propagation::Foreground`] an object goes after all that it owns, so that once it is [gone](Self::gone)
    /// none of its containers runs; with [`Propagation::Background`] it goes at once and what it owns soon after.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use orch_cluster::cluster::{Cluster, Removal};
    /// use orch_cluster::manifest::{Manifest, ManifestKinds};
    /// # use orch_core::store::MemoryStore;
    /// # use orch_core::testing::FakeRuntime;
    /// use orch_core::client::Propagation;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let builder = Cluster::builder(Arc::new(MemoryStore::new()));
    /// # let cluster = builder.node("node-1", Arc::new(FakeRuntime::new())).start().await?;
    /// let text = "
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web}
    /// spec: {containers: [{name: web, image: web}]}
    /// ";
    /// let manifest = Manifest::read("web.yaml", text, &ManifestKinds::builtin())?;
    /// cluster.apply(&manifest).await?;
    ///
    /// let removed = cluster.delete(&manifest, Propagation::Foreground).await?;
    /// for one in &removed {
    ///     println!("{} {} {}", one.target.resource.kind, one.target.key, one.removal);
    /// }
    /// cluster.gone(&removed).await?;
    /// let again = cluster.delete(&manifest, Propagation::Foreground).await?;
    /// assert_eq!(again[0].removal, Removal::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeleteError`]: what could not be deleted, and what became of the rest. May be called again.
    pub async fn delete(
        &self,
        manifest: &Manifest,
        propagation: Propagation,
    ) -> Result<Vec<Removed>, DeleteError> {
        delete::delete_all(&self.client, manifest, propagation).await
    }

    /// Waits until the objects that were [being deleted](Removal::Deleting) are gone, as `kubectl delete` does; those
    /// that were made anew under the same names since are others. It waits as long as they take.
    ///
    /// # Errors
    ///
    /// The store could not be read; what is being deleted goes on being deleted.
    pub async fn gone(&self, removed: &[Removed]) -> Result<(), ApiError> {
        delete::gone(&self.client, removed).await
    }

    /// The last lines of a container on a node of this process.
    pub async fn tail(&self, at: &ContainerAt, lines: usize) -> Result<Vec<u8>, AccessError> {
        use futures::StreamExt;

        let options = orch_core::runtime::LogOptions {
            tail: Some(lines),
            ..Default::default()
        };
        let mut missing = None;
        for agent in &self.agents {
            match agent.access().logs(at, false, &options).await {
                Ok(mut chunks) => {
                    let mut out = Vec::new();
                    while let Some(chunk) = chunks.next().await {
                        let LogChunk { data, .. } = chunk?;
                        out.extend_from_slice(&data);
                    }
                    return Ok(out);
                }
                Err(error @ AccessError::NoPod { .. }) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(missing.unwrap_or_else(|| AccessError::NoPod {
            namespace: at.namespace.clone(),
            name: at.pod.clone(),
            node: String::new(),
        }))
    }

    /// Lets the controllers finish what they have in hand and stops. Containers go on running.
    ///
    /// Clients taken from the cluster go on working, and their watches go on waiting: the store is theirs too.
    pub async fn stop(self) {
        let Self {
            agents,
            controllers,
            tasks,
            ..
        } = self;
        drop(tasks);
        if let Some(controllers) = controllers {
            controllers.stop().await;
        }
        drop(agents);
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nodes: Vec<_> = self
            .agents
            .iter()
            .map(|agent| &agent.config().node_name)
            .collect();
        f.debug_struct("Cluster")
            .field("nodes", &nodes)
            .finish_non_exhaustive()
    }
}
