//! What the parts of one agent share.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use orch_core::client::{ApiError, Client, DeleteParams, Deleted, Part, Target, WriteParams};
use orch_core::object::{ApiResource, Object, ObjectKey, RawObject};
use orch_core::runtime::{Capabilities, Container, ContainerFilter, Runtime, RuntimeError, SandboxFilter};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::blocking::blocking;
use super::config::AgentConfig;
use super::images::Puller;
use super::mailbox::{Mailbox, Snapshot};
use super::owner::Owner;
use super::room::Room;
use super::volumes::Place;
use crate::events::Recorder;
use crate::kinds::pod::resource::huge_page_size;

pub(crate) struct Shared {
    pub(crate) config: AgentConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) capabilities: Capabilities,
    pub(crate) recorder: Recorder,
    pub(crate) puller: Puller,
    /// Bounds sandboxes and containers being made.
    pub(crate) starts: Semaphore,
    /// Bounds probes being made.
    pub(crate) probes: Semaphore,
    /// What pods may use, by resource name, in thousandths.
    pub(crate) allocatable_millis: BTreeMap<String, u64>,
    /// Who has how much of that.
    pub(crate) room: Room,
    /// The workers, by pod uid, in an order that depends only on what has happened. None once the agent is dropped: then there are no more.
    pub(crate) workers: Mutex<Option<IndexMap<String, WorkerHandle>>>,
    /// Uids of what is being removed because it belongs to no pod.
    pub(crate) orphans: Mutex<HashSet<String>>,
    /// For whom everything is made. Known before the first worker is.
    pub(crate) owner: OnceLock<Owner>,
    /// How many workers have not yet found the store to say what they see.
    pub(crate) unconfirmed: Arc<watch::Sender<usize>>,
    place: OnceLock<Place>,
    operations: AtomicU64,
    pods: Arc<ApiResource>,
}

#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) task: AbortHandle,
}

/// Held by a worker until it first finds the store to say of its pod what it sees itself.
#[derive(Debug)]
pub(crate) struct Unconfirmed(Arc<watch::Sender<usize>>);

impl Unconfirmed {
    pub(crate) fn new(shared: &Shared) -> Self {
        shared.unconfirmed.send_modify(|count| *count += 1);
        Self(shared.unconfirmed.clone())
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What the runtime has, by pod uid.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    begun: u64,
    pub(crate) by_uid: IndexMap<String, Snapshot>,
}

impl Listing {
    /// What was found of the pod, which may be nothing.
    pub(crate) fn take(&mut self, uid: &str) -> Snapshot {
        let found = self.by_uid.swap_remove(uid);
        found.unwrap_or(Snapshot {
            begun: self.begun,
            ..Snapshot::default()
        })
    }
}

impl Shared {
    pub(crate) fn new(
        client: Client,
        runtime: Arc<dyn Runtime>,
        config: AgentConfig,
        allocatable_millis: BTreeMap<String, u64>,
    ) -> Self {
        Self {
            capabilities: runtime.capabilities(),
            recorder: Recorder::new(client.clone(), "kubelet", config.node_name.clone()),
            puller: Puller::new(config.pull_parallelism),
            starts: Semaphore::new(config.start_parallelism.max(1)),
            probes: Semaphore::new(config.probe_parallelism.max(1)),
            room: Room::new(&allocatable_millis),
            allocatable_millis,
            workers: Mutex::new(Some(IndexMap::new())),
            orphans: Mutex::default(),
            owner: OnceLock::new(),
            unconfirmed: Arc::new(watch::channel(0).0),
            place: OnceLock::new(),
            operations: AtomicU64::new(1),
            pods: Arc::new(Pod::resource()),
            client,
            runtime,
            config,
        }
    }

    /// The sizes of huge pages that the node has; none where the runtime does not limit their use.
    pub(crate) fn page_sizes(&self) -> Option<BTreeSet<u64>> {
        let sizes = || {
            self.allocatable_millis
                .keys()
                .filter_map(|name| huge_page_size(name))
        };
        self.capabilities.hugepages.then(|| sizes().collect())
    }

    pub(crate) fn owner(&self) -> &Owner {
        self.owner
            .get()
            .expect("the agent sets it before it makes its first worker")
    }

    /// A number for an event in the order of events: what began under a lower one cannot know of it.
    pub(crate) fn tick(&self) -> u64 {
        self.operations.fetch_add(1, Ordering::Relaxed)
    }

    /// Everything in the runtime.
    pub(crate) async fn list(&self) -> Result<Listing, RuntimeError> {
        self.snapshots(&SandboxFilter::default(), &ContainerFilter::default())
            .await
    }

    /// What the runtime has of one pod.
    pub(crate) async fn list_pod(&self, uid: &str) -> Result<Snapshot, RuntimeError> {
        let sandboxes = SandboxFilter {
            pod_uid: Some(uid.to_owned()),
            ..SandboxFilter::default()
        };
        let containers = ContainerFilter {
            pod_uid: Some(uid.to_owned()),
            ..ContainerFilter::default()
        };
        Ok(self.snapshots(&sandboxes, &containers).await?.take(uid))
    }

    async fn snapshots(
        &self,
        sandboxes: &SandboxFilter,
        containers: &ContainerFilter,
    ) -> Result<Listing, RuntimeError> {
        let begun = self.tick();
        let mut all = IndexMap::<String, Snapshot>::new();
        let empty = || Snapshot {
            begun,
            ..Snapshot::default()
        };
        for sandbox in self.runtime.sandboxes(sandboxes).await? {
            all.entry(sandbox.uid.clone())
                .or_insert_with(empty)
                .sandboxes
                .push(sandbox);
        }
        for container in self.runtime.containers(containers).await? {
            all.entry(container.pod_uid.clone())
                .or_insert_with(empty)
                .containers
                .push(container);
        }
        Ok(Listing { begun, by_uid: all })
    }

    /// One container; none if it is gone.
    pub(crate) async fn container(
        &self,
        id: &orch_core::runtime::ContainerId,
    ) -> Result<Option<Container>, RuntimeError> {
        match self.runtime.container(id).await {
            Ok(container) => Ok(Some(container)),
            Err(RuntimeError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn target(&self, pod: &Pod) -> Target {
        let meta = &pod.metadata;
        let key = ObjectKey::new(
            meta.namespace.as_deref(),
            meta.name.as_deref().unwrap_or_default(),
        );
        Target {
            resource: self.pods.clone(),
            key,
        }
    }

    /// Writes the status of the pod, if the object is still at `revision`. Returns its new revision.
    pub(crate) async fn write_status(
        &self,
        pod: &Pod,
        revision: u64,
        status: &PodStatus,
    ) -> Result<u64, ApiError> {
        let bad = |error: serde_json::Error| ApiError::BadRequest(error.to_string());
        let mut object = RawObject::new();
        let metadata = serde_json::json!({
            "uid": pod.metadata.uid,
            "resourceVersion": revision.to_string(),
        });
        object.insert("metadata".to_owned(), metadata);
        object.insert("status".to_owned(), serde_json::to_value(status).map_err(bad)?);
        let backend = self.client.backend();
        let written = backend
            .update(&self.target(pod), Part::Status, object, &WriteParams::default())
            .await?;
        Ok(written.document.revision().get())
    }

    /// The pod as it is now; none if it, or rather the one with its uid, is gone.
    pub(crate) async fn read_pod(&self, pod: &Pod) -> Result<Option<Arc<Pod>>, ApiError> {
        let meta = &pod.metadata;
        let pods = self
            .client
            .api::<Pod>(meta.namespace.as_deref().unwrap_or_default());
        let found = pods.get_opt(meta.name.as_deref().unwrap_or_default()).await?;
        Ok(found.filter(|found| found.metadata.uid == meta.uid).map(Arc::new))
    }

    /// Where volumes lie.
    pub(crate) fn place(&self) -> &Place {
        let given = self.config.volumes_dir.as_deref();
        self.place.get_or_init(|| Place::new(given, self.owner()))
    }

    /// Removes the volumes of a pod, of which nothing runs any more.
    pub(crate) async fn remove_volumes(&self, uid: &str) {
        let (place, pod) = (self.place().clone(), uid.to_owned());
        if let Some(Err(error)) = blocking(move || place.remove(&pod)).await {
            tracing::warn!(node = self.config.node_name, uid, %error, "volumes could not be removed");
        }
    }

    /// Deletes the object for good. Returns whether it is gone, rather than held by finalizers.
    pub(crate) async fn delete_pod(&self, pod: &Pod) -> Result<bool, ApiError> {
        let params = DeleteParams::now().uid(pod.metadata.uid.clone().unwrap_or_default());
        match self.client.backend().delete(&self.target(pod), &params).await {
            Ok(Deleted::Gone(_)) | Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(true),
            Ok(Deleted::Pending(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
