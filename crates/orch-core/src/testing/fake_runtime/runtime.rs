//! The fake runtime's calls.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::calls::Call;
use super::engine::image;
use super::machine::End;
use super::state::{SandboxRecord, State};
use super::{FakeRuntime, NAME, not_found};
use crate::runtime::{
    AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerStats,
    ExecOutput, ExecRequest, Image, InterfaceStats, LogChunk, LogOptions, PortStream, PullRequest, Resources,
    Runtime, RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId,
    SandboxState, Session,
};
use crate::time;

#[async_trait]
impl Runtime for FakeRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities.clone()
    }

    async fn status(&self) -> RuntimeStatus {
        let message = self.inner.state.lock().unavailable.clone();
        RuntimeStatus {
            version: format!("fake {}", env!("CARGO_PKG_VERSION")),
            ready: message.is_none(),
            message,
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        let body = async { Ok(self.inner.image(reference)) };
        self.inner.call(Call::Image, reference, body).await
    }

    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        let reference = &request.image;
        let body = async {
            let behavior = self.inner.image_behavior(reference);
            tokio::time::sleep(behavior.pull_delay).await;
            let mut images = self.inner.shared.images.write();
            let failing = images.get_mut(reference).filter(|behavior| behavior.failures > 0);
            if let Some((behavior, (reason, retryable))) = failing.and_then(|behavior| {
                let failure = behavior.failure.clone()?;
                Some((behavior, failure))
            }) {
                behavior.failures -= u32::from(behavior.failures != u32::MAX);
                return Err(RuntimeError::PullFailed {
                    image: reference.clone(),
                    reason,
                    retryable,
                });
            }
            drop(images);
            let mut state = self.inner.state.lock();
            state.removed_images.remove(reference);
            *state.pulled.entry(reference.clone()).or_default() += 1;
            Ok(image(reference, behavior.user))
        };
        self.inner.call(Call::PullImage, reference, body).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        let body = async {
            let known = self
                .inner
                .shared
                .images
                .read()
                .keys()
                .cloned()
                .collect::<Vec<_>>();
            let mut names: Vec<String> = self.inner.state.lock().pulled.keys().cloned().collect();
            names.extend(known);
            names.sort();
            names.dedup();
            Ok(names.iter().filter_map(|name| self.inner.image(name)).collect())
        };
        self.inner.call(Call::Images, "", body).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
            let user = state
                .containers
                .values()
                .find(|record| record.config.image == reference);
            if let Some(user) = user {
                return Err(RuntimeError::InUse {
                    what: format!("image {reference}"),
                    by: format!("container {}", user.container.id),
                });
            }
            state.pulled.remove(reference);
            state.removed_images.insert(reference.to_owned());
            Ok(())
        };
        self.inner.call(Call::RemoveImage, reference, body).await
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        let body = async {
            config.check()?;
            if config.wants_group() && !self.inner.capabilities.pod_groups {
                return Err(RuntimeError::Unsupported {
                    runtime: NAME,
                    what: "control groups of pods".into(),
                });
            }
            self.inner.check_users(config)?;
            self.inner.check(&config.resources)?;
            let mut state = self.inner.state.lock();
            let ids = state.pods.get(&config.uid).into_iter().flatten();
            let mut records = ids.filter_map(|id| state.sandboxes.get(id));
            if let Some(record) = records.find(|record| record.config.attempt == config.attempt) {
                return Ok(record.sandbox.clone());
            }
            let sandbox = Sandbox {
                id: SandboxId(self.inner.next_id("s")),
                name: config.name.clone(),
                namespace: config.namespace.clone(),
                uid: config.uid.clone(),
                attempt: config.attempt,
                state: SandboxState::Ready,
                ips: self.inner.next_ip(config),
                created_at: time::now(),
                labels: config.labels.clone().into(),
                annotations: config.annotations.clone().into(),
            };
            let record = SandboxRecord {
                sandbox: sandbox.clone(),
                config: config.clone(),
                containers: Vec::new(),
            };
            state.sandboxes.insert(sandbox.id.clone(), record);
            state
                .pods
                .entry(config.uid.clone())
                .or_default()
                .push(sandbox.id.clone());
            self.inner.sandbox_changed(&sandbox.id, &sandbox.uid);
            Ok(sandbox)
        };
        let subject = format_args!("{}/{}", config.uid, config.attempt).to_string();
        self.inner.call(Call::RunSandbox, &subject, body).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
            state.note_all_cut_off(Call::StopSandbox, id);
            let State {
                sandboxes,
                containers,
                ..
            } = &mut *state;
            let record = sandboxes.get_mut(id).ok_or_else(|| not_found("sandbox", id))?;
            for id in &record.containers {
                if let Some(container) = containers.get_mut(id).filter(|container| container.is_running()) {
                    container.end(End::KILLED);
                    self.inner.container_changed(container);
                }
            }
            record.sandbox.state = SandboxState::NotReady;
            record.sandbox.ips.clear();
            self.inner.sandbox_changed(id, &record.sandbox.uid);
            Ok(())
        };
        self.inner.call(Call::StopSandbox, id, body).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
            state.note_all_cut_off(Call::RemoveSandbox, id);
            let Some(record) = state.sandboxes.remove(id) else {
                return Ok(());
            };
            for container in &record.containers {
                self.inner.remove_container_from(&mut state, container);
            }
            let uid = &record.sandbox.uid;
            if let Some(ids) = state.pods.get_mut(uid) {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    state.pods.remove(uid);
                }
            }
            self.inner.sandbox_changed(id, uid);
            Ok(())
        };
        self.inner.call(Call::RemoveSandbox, id, body).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let body = async {
            let state = self.inner.state.lock();
            let records = state.sandboxes_of(filter);
            Ok(records.into_iter().map(|record| record.sandbox.clone()).collect())
        };
        self.inner.call(Call::Sandboxes, "", body).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let body = async { self.inner.create(sandbox, config) };
        self.inner.call(Call::CreateContainer, &config.name, body).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let body = async {
            let delay = self.inner.state.lock().container(id)?.behavior.start_delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            self.inner.start(id)
        };
        self.inner.call(Call::StartContainer, id, body).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        let body = async {
            self.inner.state.lock().note_cut_off(Call::StopContainer, id);
            if grace.is_zero() {
                self.inner.state.lock().container(id)?;
            } else {
                self.inner.signal(id)?;
                // Whether it ended or the grace did, the rest is the same.
                let _ = tokio::time::timeout(grace, self.inner.ended(id)).await;
            }
            self.inner.end(id, End::KILLED);
            Ok(())
        };
        self.inner.call(Call::StopContainer, id, body).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let body = async { self.inner.pause(id) };
        self.inner.call(Call::Pause, id, body).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let body = async { self.inner.resume(id) };
        self.inner.call(Call::Resume, id, body).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
            state.note_cut_off(Call::RemoveContainer, id);
            self.inner.remove_container_from(&mut state, id);
            Ok(())
        };
        self.inner.call(Call::RemoveContainer, id, body).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        let body = async { Ok(self.inner.state.lock().containers_of(filter)) };
        self.inner.call(Call::Containers, "", body).await
    }

    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        let body = async { Ok(self.inner.state.lock().container(id)?.container.clone()) };
        self.inner.call(Call::Container, id, body).await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
        self.inner
            .call(Call::Exec, id, self.inner.exec(id, request))
            .await
    }

    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError> {
        let body = async { self.inner.open_exec(id, request) };
        self.inner.call(Call::OpenExec, id, body).await
    }

    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError> {
        let body = async { self.inner.attach(id, options) };
        self.inner.call(Call::Attach, id, body).await
    }

    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        let body = async { self.inner.port_forward(sandbox, port) };
        self.inner.call(Call::PortForward, sandbox, body).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        let body = async { self.inner.logs(id, options) };
        self.inner.call(Call::Logs, id, body).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
            let sandbox = state.running(id)?.container.sandbox.clone();
            let pod = state.sandboxes.get(&sandbox);
            let own_network = pod.is_some_and(|pod| !pod.sandbox.ips.is_empty());
            let record = state.running(id)?;
            let now = time::now();
            // Nothing ever goes through it.
            let eth0 = || InterfaceStats {
                name: "eth0".into(),
                ..InterfaceStats::default()
            };
            Ok(ContainerStats {
                at: now,
                cpu_nanos: u64::try_from(record.cpu_nanos(now)).unwrap_or(u64::MAX),
                memory_working_set_bytes: record.usage.memory_bytes,
                memory_rss_bytes: Some(record.usage.memory_bytes),
                pids: Some(1),
                network: own_network.then(|| vec![eth0()]),
            })
        };
        self.inner.call(Call::Stats, id, body).await
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError> {
        let body = async {
            let unsupported = RuntimeError::Unsupported {
                runtime: NAME,
                what: "changing the limits of a running container".into(),
            };
            if !self.inner.capabilities.update_resources {
                return Err(unsupported);
            }
            self.inner.check(resources)?;
            resources.check_memory(self.inner.capabilities.memory_limit_min)?;
            let mut state = self.inner.state.lock();
            let record = state.running(id)?;
            super::engine::change(&mut record.container.resources, resources);
            self.inner.container_changed(record);
            Ok(())
        };
        self.inner.call(Call::UpdateResources, id, body).await
    }

    async fn update_sandbox(&self, id: &SandboxId, resources: &Resources) -> Result<(), RuntimeError> {
        let body = async { self.inner.update_sandbox(id, resources) };
        self.inner.call(Call::UpdateSandbox, id, body).await
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.inner.hub.subscribe()
    }
}
