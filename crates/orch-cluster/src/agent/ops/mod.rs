//! Operations on the runtime and the store, as a pod's worker has them under way.

mod start;
mod stop;
mod words;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, ObjectReference, Pod, ResourceRequirements};
use orch_core::client::ApiError;
use orch_core::runtime::{
    Container, ContainerId, Resources, RuntimeError, Sandbox, SandboxFilter, SandboxId,
};

pub(crate) use self::start::Start;
pub(crate) use self::stop::Stop;
pub(crate) use self::words::in_words_of_pods;
use super::env::EnvError;
use super::mailbox::Snapshot;
use super::probe::{Check, Outcome, ProbeKey};
use super::prober;
use super::qos::pod_group;
use super::resize;
use super::shared::Shared;
use super::translate::sandbox_config;
use super::volumes::VolumeError;
use crate::events::reference;

/// What came of an operation.
#[derive(Debug)]
pub(crate) enum Done {
    Sandbox(Result<Sandbox, RuntimeError>),
    Started {
        name: String,
        image: String,
        result: Result<Container, StartError>,
    },
    Stopped {
        id: ContainerId,
        generation: u64,
        result: Result<Option<Container>, RuntimeError>,
    },
    Aborted,
    Resized {
        /// What was given to whom.
        given: Vec<(ContainerId, ResourceRequirements)>,
        result: Result<(), RuntimeError>,
    },
    Removed {
        id: ContainerId,
        result: Result<(), RuntimeError>,
    },
    SandboxStopped {
        id: SandboxId,
        result: Result<(), RuntimeError>,
    },
    SandboxRemoved {
        id: SandboxId,
        result: Result<(), RuntimeError>,
    },
    Inspected {
        id: ContainerId,
        result: Result<Option<Container>, RuntimeError>,
    },
    SandboxInspected {
        id: SandboxId,
        result: Result<Option<Sandbox>, RuntimeError>,
    },
    Listed(Result<Snapshot, RuntimeError>),
    Probed {
        key: ProbeKey,
        outcome: Outcome,
    },
    Written(Result<u64, ApiError>),
    Read(Result<Option<Arc<Pod>>, ApiError>),
    Deleted(Result<bool, ApiError>),
}

/// Why a container could not be started, by the word that its status shows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It was given up because the pod ends.
    #[error("given up")]
    Cancelled,
    /// The image is not here and may not be pulled.
    #[error(
        "Container image {0:?} is not present with pull policy of Never: bring it to the node, or set imagePullPolicy: \
         IfNotPresent"
    )]
    NeverPull(String),
    /// The image could not be pulled.
    #[error("{0}")]
    Pull(RuntimeError),
    /// The environment refers to what is not there.
    #[error("{0}")]
    Env(#[from] EnvError),
    /// A volume is not there.
    #[error("{0}")]
    Volume(#[from] VolumeError),
    /// What the environment refers to could not be read.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The runtime did not make the container.
    #[error("{}", in_words_of_pods(_0))]
    Create(RuntimeError),
    /// The runtime did not start it.
    #[error("{0}")]
    Start(RuntimeError),
}

impl StartError {
    /// The word for the container's `waiting.reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Cancelled | Self::Volume(_) => "ContainerCreating",
            Self::NeverPull(_) => "ErrImageNeverPull",
            Self::Pull(RuntimeError::InvalidImage { .. })
            | Self::Create(RuntimeError::InvalidImage { .. }) => "InvalidImageName",
            Self::Pull(_) => "ErrImagePull",
            Self::Env(_) | Self::Api(_) | Self::Create(RuntimeError::InvalidConfig { .. }) => {
                "CreateContainerConfigError"
            }
            Self::Create(_) => "CreateContainerError",
            Self::Start(_) => "RunContainerError",
        }
    }
}

/// A reference to one container of a pod, for events.
pub(crate) fn container_reference(pod: &Pod, name: &str) -> ObjectReference {
    let spec = pod.spec.as_ref();
    let init = spec
        .and_then(|spec| spec.init_containers.as_ref())
        .into_iter()
        .flatten()
        .any(|init| init.name == name);
    let list = if init { "initContainers" } else { "containers" };
    ObjectReference {
        field_path: Some(format!("spec.{list}{{{name}}}")),
        ..reference(pod)
    }
}

pub(crate) async fn run_sandbox(shared: Arc<Shared>, pod: Arc<Pod>, attempt: u32) -> Done {
    let mut config = sandbox_config(&pod, &shared.config, attempt);
    if shared.capabilities.pod_groups {
        (config.cgroup_parent, config.resources) = pod_group(&pod, shared.page_sizes().as_ref());
    }
    shared.owner().mark(&mut config.annotations);
    // The semaphore is never closed; a failure would only mean no bound.
    let _slot = shared.starts.acquire().await;
    Done::Sandbox(shared.runtime.run_sandbox(&config).await)
}

/// Who is given other resources: the container that runs, and what its pod says of it.
pub(crate) type Resized = (ContainerId, v1::Container);

/// Gives containers other requests and limits. What holds all of the pod's together is raised before and lowered after.
pub(crate) async fn resize(
    shared: Arc<Shared>,
    sandbox: SandboxId,
    [from, to]: [Resources; 2],
    containers: Vec<Resized>,
) -> Done {
    let mut given = Vec::new();
    let work = async {
        if shared.capabilities.pod_groups {
            shared
                .runtime
                .update_sandbox(&sandbox, &resize::raised(&from, &to))
                .await?;
        }
        for (id, spec) in containers {
            shared
                .runtime
                .update_resources(&id, &resize::limits(&spec))
                .await?;
            given.push((id, spec.resources.unwrap_or_default()));
        }
        if shared.capabilities.pod_groups {
            let to = Resources {
                hugepages: BTreeMap::new(),
                ..to
            };
            shared.runtime.update_sandbox(&sandbox, &to).await?;
        }
        Ok(())
    };
    let result = work.await;
    Done::Resized { given, result }
}

fn gone_is_fine(result: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Err(RuntimeError::NotFound { .. }) => Ok(()),
        result => result,
    }
}

pub(crate) async fn remove_container(shared: Arc<Shared>, id: ContainerId) -> Done {
    let result = gone_is_fine(shared.runtime.remove_container(&id).await);
    Done::Removed { id, result }
}

pub(crate) async fn stop_sandbox(shared: Arc<Shared>, id: SandboxId) -> Done {
    let result = gone_is_fine(shared.runtime.stop_sandbox(&id).await);
    Done::SandboxStopped { id, result }
}

pub(crate) async fn remove_sandbox(shared: Arc<Shared>, id: SandboxId) -> Done {
    let result = gone_is_fine(shared.runtime.remove_sandbox(&id).await);
    Done::SandboxRemoved { id, result }
}

pub(crate) async fn inspect(shared: Arc<Shared>, id: ContainerId) -> Done {
    let result = shared.container(&id).await;
    Done::Inspected { id, result }
}

pub(crate) async fn inspect_sandbox(shared: Arc<Shared>, id: SandboxId) -> Done {
    let filter = SandboxFilter {
        id: Some(id.clone()),
        ..SandboxFilter::default()
    };
    let result = shared
        .runtime
        .sandboxes(&filter)
        .await
        .map(|found| found.into_iter().next());
    Done::SandboxInspected { id, result }
}

pub(crate) async fn probe(
    shared: Arc<Shared>,
    key: ProbeKey,
    pod_ip: IpAddr,
    check: Check,
    timeout: Duration,
) -> Done {
    let _slot = shared.probes.acquire().await;
    let outcome = prober::run(&*shared.runtime, &key.container, pod_ip, &check, timeout).await;
    Done::Probed { key, outcome }
}

/// Stops and removes what the runtime has of a pod that nobody knows any more.
pub(crate) async fn remove_orphan(shared: Arc<Shared>, uid: String, snapshot: Snapshot) {
    tracing::info!(
        node = shared.config.node_name,
        uid,
        "removing what belongs to no pod"
    );
    let stops = snapshot
        .containers
        .iter()
        .filter(|container| super::decide::may_run(container))
        .map(|container| {
            let shared = &shared;
            async move {
                let grace = container.annotations.get(super::translate::GRACE_ANNOTATION);
                let grace = grace.and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
                shared
                    .runtime
                    .stop_container(&container.id, super::observed::seconds(grace))
                    .await
            }
        });
    let mut failed = futures::future::join_all(stops)
        .await
        .into_iter()
        .find_map(Result::err);
    let sandboxes: HashSet<_> = snapshot.sandboxes.iter().map(|sandbox| &sandbox.id).collect();
    for container in snapshot
        .containers
        .iter()
        .filter(|container| !sandboxes.contains(&container.sandbox))
    {
        failed = shared
            .runtime
            .remove_container(&container.id)
            .await
            .err()
            .or(failed);
    }
    for sandbox in &snapshot.sandboxes {
        failed = gone_is_fine(shared.runtime.remove_sandbox(&sandbox.id).await)
            .err()
            .or(failed);
    }
    if let Some(error) = failed {
        // The next listing finds it again; until then its volumes are in use.
        tracing::warn!(node = shared.config.node_name, uid, %error, "could not remove all that belongs to no pod");
    } else {
        shared.remove_volumes(&uid).await;
    }
    shared.orphans.lock().remove(&uid);
}
