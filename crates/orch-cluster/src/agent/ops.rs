//! Operations on the runtime and the store, as a pod's worker has them under way.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, ConfigMap, ObjectReference, Pod, Secret};
use orch_core::client::ApiError;
use orch_core::runtime::{Container, ContainerId, Mount, RuntimeError, Sandbox, SandboxFilter, SandboxId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::downward::Facts;
use super::env::{EnvError, Source, Sources, environment, sources};
use super::images::{PullPolicy, credentials, pull_policy};
use super::mailbox::Snapshot;
use super::probe::{Check, Outcome, ProbeKey, http_check};
use super::prober;
use super::shared::Shared;
use super::translate::{Making, container_config, sandbox_config};
use super::volumes::{self, VolumeError};
use crate::events::reference;

/// What came of an operation.
#[derive(Debug)]
pub(crate) enum Done {
    Sandbox(Result<Sandbox, RuntimeError>),
    Started { name: String, image: String, result: Result<Container, StartError> },
    Stopped { id: ContainerId, generation: u64, result: Result<Option<Container>, RuntimeError> },
    Aborted,
    Removed { id: ContainerId, result: Result<(), RuntimeError> },
    SandboxStopped { id: SandboxId, result: Result<(), RuntimeError> },
    SandboxRemoved { id: SandboxId, result: Result<(), RuntimeError> },
    Inspected { id: ContainerId, result: Result<Option<Container>, RuntimeError> },
    SandboxInspected { id: SandboxId, result: Result<Option<Sandbox>, RuntimeError> },
    Listed(Result<Snapshot, RuntimeError>),
    Probed { key: ProbeKey, outcome: Outcome },
    Written(Result<u64, ApiError>),
    Read(Result<Option<Pod>, ApiError>),
    Deleted(Result<bool, ApiError>),
}

/// Why a container could not be started, by the word that its status shows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It was given up because the pod ends.
    #[error("given up")]
    Cancelled,
    /// The image is not here and may not be pulled.
    #[error("Container image {0:?} is not present with pull policy of Never")]
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
    #[error("{0}")]
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
            Self::Pull(RuntimeError::InvalidImage { .. }) | Self::Create(RuntimeError::InvalidImage { .. }) => {
                "InvalidImageName"
            }
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
    let init = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().any(|init| init.name == name);
    let list = if init { "initContainers" } else { "containers" };
    ObjectReference { field_path: Some(format!("spec.{list}{{{name}}}")), ..reference(pod) }
}

pub(crate) async fn run_sandbox(shared: Arc<Shared>, pod: Arc<Pod>, attempt: u32) -> Done {
    let config = sandbox_config(&pod, &shared.config, attempt);
    // The semaphore is never closed; a failure would only mean no bound.
    let _slot = shared.starts.acquire().await;
    Done::Sandbox(shared.runtime.run_sandbox(&config).await)
}

/// Everything between the decision to start a container and its running.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) spec: v1::Container,
    pub(crate) sandbox: Sandbox,
    pub(crate) attempt: u32,
    pub(crate) backoff: Duration,
    pub(crate) grace: Duration,
    /// Ends the wait for an image.
    pub(crate) cancel: Arc<Notify>,
}

impl Start {
    pub(crate) async fn run(self) -> Done {
        let result = self.start().await;
        Done::Started { name: self.spec.name.clone(), image: self.image().to_owned(), result }
    }

    fn image(&self) -> &str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    async fn start(&self) -> Result<Container, StartError> {
        let runtime = &self.shared.runtime;
        let policy = pull_policy(&self.spec);
        let about = container_reference(&self.pod, &self.spec.name);
        let recorder = &self.shared.recorder;
        if policy == PullPolicy::Always {
            self.pull(&about, false).await?;
        }
        let (env, mounts) = self.surroundings().await?;
        let making = Making {
            attempt: self.attempt,
            backoff: self.backoff,
            env,
            mounts,
            node_memory: self.shared.allocatable_millis.get("memory").map(|millis| millis / 1000),
        };
        let config = container_config(&self.pod, &self.spec, making);
        let mut slot = self.shared.starts.acquire().await;
        let mut created = runtime.create_container(&self.sandbox.id, &config).await;
        if let Err(RuntimeError::ImageNotFound { .. }) = created {
            if policy == PullPolicy::Never {
                return Err(StartError::NeverPull(self.image().to_owned()));
            }
            // Others may start while this one waits for its image.
            drop(slot);
            self.pull(&about, true).await?;
            slot = self.shared.starts.acquire().await;
            created = runtime.create_container(&self.sandbox.id, &config).await;
        } else if policy != PullPolicy::Always && created.is_ok() && self.shared.capabilities.images {
            recorder.normal(&about, "Pulled", format!("Container image {:?} already present on machine", self.image()));
        }
        let id = created.map_err(StartError::Create)?;
        recorder.normal(&about, "Created", format!("Created container: {}", self.spec.name));
        match runtime.start_container(&id).await {
            Ok(()) => recorder.normal(&about, "Started", format!("Started container {}", self.spec.name)),
            // It has ended, and is seen so below.
            Err(error @ (RuntimeError::StartFailed { .. } | RuntimeError::Ended { .. })) => {
                recorder.warning(&about, "Failed", format!("Error: {error}"));
            }
            Err(error) => return Err(StartError::Start(error)),
        }
        drop(slot);
        self.post_start(&id, &about).await;
        runtime.container(&id).await.map_err(StartError::Start)
    }

    async fn pull(&self, about: &ObjectReference, unless_present: bool) -> Result<(), StartError> {
        let recorder = &self.shared.recorder;
        let image = self.image();
        let logins = credentials(&self.pull_secrets().await?, image);
        recorder.normal(about, "Pulling", format!("Pulling image {image:?}"));
        let begun = Instant::now();
        let pulled = tokio::select! {
            pulled = self.shared.puller.pull(&*self.shared.runtime, image, &logins, unless_present) => pulled,
            () = self.cancel.notified() => return Err(StartError::Cancelled),
        };
        let (pulled, took) = pulled.map_err(StartError::Pull)?;
        let message = match took {
            Some(took) => format!(
                "Successfully pulled image {image:?} in {took:.1?} ({:.1?} including waiting). Image size: {} bytes.",
                begun.elapsed(),
                pulled.size_bytes
            ),
            None => format!("Container image {image:?} already present on machine"),
        };
        recorder.normal(about, "Pulled", message);
        Ok(())
    }

    async fn pull_secrets(&self) -> Result<Vec<Secret>, ApiError> {
        let wanted = self.pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_ref());
        let secrets = self.shared.client.api::<Secret>(self.namespace());
        let mut found = Vec::new();
        for reference in wanted.into_iter().flatten() {
            found.extend(secrets.get_opt(&reference.name).await?);
        }
        Ok(found)
    }

    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The container's environment, and its volumes, made.
    async fn surroundings(&self) -> Result<(Vec<(String, String)>, Vec<Mount>), StartError> {
        let client = &self.shared.client;
        let mut found = Sources::default();
        let wanted = sources(&self.spec).into_iter().chain(volumes::sources(&self.pod, &self.spec));
        for source in wanted.collect::<BTreeSet<_>>() {
            match source {
                Source::ConfigMap(name) => {
                    let map = client.api::<ConfigMap>(self.namespace()).get_opt(name).await?;
                    found.config_maps.extend(map.map(|map| (name.to_owned(), map)));
                }
                Source::Secret(name) => {
                    let secret = client.api::<Secret>(self.namespace()).get_opt(name).await?;
                    found.secrets.extend(secret.map(|secret| (name.to_owned(), secret)));
                }
            }
        }
        let allocatable = |resource: &str| self.shared.allocatable_millis.get(resource).copied().unwrap_or(0);
        let host_ip = self.shared.config.host_ip();
        let facts = Facts {
            pod: &self.pod,
            pod_ips: if self.sandbox.ips.is_empty() { vec![host_ip] } else { self.sandbox.ips.clone() },
            host_ip,
            allocatable_cpu_millis: allocatable("cpu"),
            allocatable_memory: allocatable("memory") / 1000,
        };
        let env = environment(&self.spec, &found, &facts)?;
        let directory = self.shared.volumes_of(self.pod.metadata.uid.as_deref().unwrap_or_default());
        let volumes = volumes::plan(&self.spec, &directory, &found, &env, &facts)?;
        if volumes.is_empty() {
            return Ok((env, Vec::new()));
        }
        let made = tokio::task::spawn_blocking(move || volumes.make()).await;
        // The task can only be lost with the whole runtime.
        let made = made.unwrap_or_else(|_| Err(VolumeError::interrupted()));
        Ok((env, made?))
    }

    /// Runs the `postStart` hook; if it fails the container is killed, and seen to have ended.
    async fn post_start(&self, id: &ContainerId, about: &ObjectReference) {
        let hook = self.spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(hook) = hook else { return };
        let pod_ip = self.sandbox.ip().unwrap_or_else(|| self.shared.config.host_ip());
        let outcome = run_hook(&self.shared, id, pod_ip, &self.spec, hook, HOOK_TIMEOUT).await;
        if let Outcome::Failure(said) = outcome {
            self.shared.recorder.warning(about, "FailedPostStartHook", format!("PostStartHook failed: {said}"));
            if let Err(error) = self.shared.runtime.stop_container(id, self.grace).await {
                tracing::warn!(container = %id, %error, "could not stop a container whose postStart hook failed");
            }
        }
    }
}

/// How long a `postStart` hook may take. Kubernetes sets no bound; a hook that hangs would hold the pod for ever.
const HOOK_TIMEOUT: Duration = Duration::from_secs(600);

async fn run_hook(
    shared: &Shared,
    id: &ContainerId,
    pod_ip: IpAddr,
    spec: &v1::Container,
    hook: &v1::LifecycleHandler,
    timeout: Duration,
) -> Outcome {
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(super::observed::seconds(sleep.seconds).min(timeout)).await;
        return Outcome::Success;
    }
    let check = match (&hook.exec, &hook.http_get) {
        (Some(exec), _) => Some(Check::Exec(exec.command.clone().unwrap_or_default())),
        (None, Some(http)) => http_check(http, spec),
        (None, None) => None,
    };
    match check {
        Some(check) => prober::run(&*shared.runtime, id, pod_ip, &check, timeout).await,
        None => Outcome::Success,
    }
}

/// A container to be stopped.
pub(crate) struct Stop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) pod_ip: IpAddr,
    pub(crate) grace: Duration,
    /// Whether the `preStop` hook has yet to run.
    pub(crate) hook: bool,
    pub(crate) generation: u64,
}

/// What a container gets after a `preStop` hook has used up its time (the kubelet's minimum).
const MIN_AFTER_HOOK: Duration = Duration::from_secs(2);

impl Stop {
    pub(crate) async fn run(self) -> Done {
        let begun = Instant::now();
        let spec = self.pod.spec.as_ref();
        let all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        let spec = all.into_iter().find(|container| container.name == self.name);
        let hook = spec.and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
        let mut grace = self.grace;
        if let Some((spec, hook)) = hook.filter(|_| self.hook && !self.grace.is_zero()) {
            let outcome = run_hook(&self.shared, &self.id, self.pod_ip, spec, hook, self.grace).await;
            if let Outcome::Failure(said) = outcome {
                let about = container_reference(&self.pod, &self.name);
                self.shared.recorder.warning(&about, "FailedPreStopHook", format!("PreStopHook failed: {said}"));
            }
            grace = self.grace.saturating_sub(begun.elapsed()).max(MIN_AFTER_HOOK);
        }
        let result = match self.shared.runtime.stop_container(&self.id, grace).await {
            Ok(()) | Err(RuntimeError::NotFound { .. }) => self.shared.container(&self.id).await,
            Err(error) => Err(error),
        };
        Done::Stopped { id: self.id, generation: self.generation, result }
    }
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
    let filter = SandboxFilter { id: Some(id.clone()), ..SandboxFilter::default() };
    let result = shared.runtime.sandboxes(&filter).await.map(|found| found.into_iter().next());
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
    tracing::info!(node = shared.config.node_name, uid, "removing what belongs to no pod");
    let stops = snapshot.containers.iter().filter(|container| super::decide::may_run(container)).map(|container| {
        let shared = &shared;
        async move {
            let grace = container.annotations.get(super::translate::GRACE_ANNOTATION);
            let grace = grace.and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
            shared.runtime.stop_container(&container.id, super::observed::seconds(grace)).await
        }
    });
    let mut failed = futures::future::join_all(stops).await.into_iter().find_map(Result::err);
    let sandboxes: HashMap<_, _> = snapshot.sandboxes.iter().map(|sandbox| (&sandbox.id, ())).collect();
    for container in snapshot.containers.iter().filter(|container| !sandboxes.contains_key(&container.sandbox)) {
        failed = shared.runtime.remove_container(&container.id).await.err().or(failed);
    }
    for sandbox in &snapshot.sandboxes {
        failed = gone_is_fine(shared.runtime.remove_sandbox(&sandbox.id).await).err().or(failed);
    }
    if let Some(error) = failed {
        tracing::warn!(node = shared.config.node_name, uid, %error, "could not remove all that belongs to no pod");
    }
    shared.remove_volumes(&uid).await;
    shared.orphans.lock().remove(&uid);
}
