//! Starts a container: image, environment, volumes, container, hook.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{self, ConfigMap, ObjectReference, Pod, Secret};
use orch_core::client::ApiError;
use orch_core::runtime::{Container, ContainerId, Mount, RuntimeError, Sandbox};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::stop::run_hook;
use super::{Done, StartError, container_reference};
use crate::agent::blocking::blocking;
use crate::agent::downward::Facts;
use crate::agent::env::{Source, Sources, environment, sources};
use crate::agent::images::{PullPolicy, credentials, pull_policy};
use crate::agent::probe::Outcome;
use crate::agent::shared::Shared;
use crate::agent::translate::{Making, container_config};
use crate::agent::volumes::{self, VolumeError};

/// How long a `postStart` hook may take. Kubernetes sets no bound; a hook that hangs would hold the pod for ever.
const HOOK_TIMEOUT: Duration = Duration::from_secs(600);

/// Everything between the decision to start a container and its running.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) spec: v1::Container,
    pub(crate) sandbox: Sandbox,
    pub(crate) attempt: u32,
    pub(crate) backoff: Duration,
    pub(crate) grace: Duration,
    /// Ends the wait for an image or a hook.
    pub(crate) cancel: Arc<Notify>,
}

impl Start {
    pub(crate) async fn run(self) -> Done {
        let result = self.start().await;
        Done::Started {
            name: self.spec.name.clone(),
            image: self.image().to_owned(),
            result,
        }
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
            node_memory: self
                .shared
                .allocatable_millis
                .get("memory")
                .map(|millis| millis / 1000),
            page_sizes: self.shared.page_sizes(),
            seccomp_dir: self.shared.config.seccomp_dir.clone(),
        };
        let mut config = container_config(&self.pod, &self.spec, making);
        self.shared.owner().mark(&mut config.annotations);
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
            recorder.normal(
                &about,
                "Pulled",
                format!("Container image {:?} already present on machine", self.image()),
            );
        }
        let id = created.map_err(StartError::Create)?;
        recorder.normal(
            &about,
            "Created",
            format!("Created container: {}", self.spec.name),
        );
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
            biased;
            () = self.cancel.notified() => return Err(StartError::Cancelled),
            pulled = self.shared.puller.pull(&*self.shared.runtime, image, &logins, unless_present) => pulled,
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
        let wanted = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.image_pull_secrets.as_ref());
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
        let wanted = sources(&self.spec)
            .into_iter()
            .chain(volumes::sources(&self.pod, &self.spec));
        for source in wanted.collect::<BTreeSet<_>>() {
            match source {
                Source::ConfigMap(name) => {
                    let map = client.api::<ConfigMap>(self.namespace()).get_opt(name).await?;
                    found.config_maps.extend(map.map(|map| (name.to_owned(), map)));
                }
                Source::Secret(name) => {
                    let secret = client.api::<Secret>(self.namespace()).get_opt(name).await?;
                    found
                        .secrets
                        .extend(secret.map(|secret| (name.to_owned(), secret)));
                }
            }
        }
        let allocatable = |resource: &str| self.shared.allocatable_millis.get(resource).copied().unwrap_or(0);
        let host_ip = self.shared.config.host_ip();
        let facts = Facts {
            pod: &self.pod,
            pod_ips: if self.sandbox.ips.is_empty() {
                vec![host_ip]
            } else {
                self.sandbox.ips.clone()
            },
            host_ip,
            allocatable_cpu_millis: allocatable("cpu"),
            allocatable_memory: allocatable("memory") / 1000,
        };
        let env = environment(&self.spec, &found, &facts)?;
        let place = self.shared.place().clone();
        let directory = place.of(self.pod.metadata.uid.as_deref().unwrap_or_default());
        let volumes = volumes::plan(&self.spec, &directory, &found, &env, &facts)?;
        if volumes.is_empty() {
            return Ok((env, Vec::new()));
        }
        let make = move || {
            if volumes.need_place() {
                place.make().map_err(|error| VolumeError::Place {
                    directory: place.directory().to_owned(),
                    error,
                })?;
            }
            volumes.make()
        };
        let made = blocking(make).await.unwrap_or(Err(VolumeError::Interrupted));
        Ok((env, made?))
    }

    /// Runs the `postStart` hook; if it fails the container is killed, and seen to have ended.
    async fn post_start(&self, id: &ContainerId, about: &ObjectReference) {
        let hook = self
            .spec
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.as_ref());
        let Some(hook) = hook else { return };
        let pod_ip = self.sandbox.ip().unwrap_or_else(|| self.shared.config.host_ip());
        let outcome = tokio::select! {
            biased;
            // The pod ends: the container is stopped with the others, hook or not.
            () = self.cancel.notified() => return,
            outcome = run_hook(&self.shared, id, pod_ip, &self.spec, hook, HOOK_TIMEOUT) => outcome,
        };
        if let Outcome::Failure(said) | Outcome::Unknown(said) = outcome {
            self.shared.recorder.warning(
                about,
                "FailedPostStartHook",
                format!("PostStartHook failed: {said}"),
            );
            if let Err(error) = self.shared.runtime.stop_container(id, self.grace).await {
                tracing::warn!(container = %id, %error, "could not stop a container whose postStart hook failed");
            }
        }
    }
}
