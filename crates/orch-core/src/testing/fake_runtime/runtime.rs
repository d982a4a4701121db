//! The fake runtime's calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::calls::{Call, CallRecord, Fault};
use super::machine::{Answer, End, Machine};
use super::script::{Behavior, ImageBehavior};
use super::state::{ContainerRecord, SandboxRecord, State};
use super::{CALLS, FakeRuntime, Inner, not_found};
use crate::runtime::{
    AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerState,
    ContainerStats, ExecOutput, ExecRequest, ExitReason, Image, LogChunk, LogOptions, PullRequest, Resources,
    Runtime, RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId,
    SandboxState, Session,
};
use crate::testing::runtime::{Program, Step};
use crate::time;

const NAME: &str = "fake";

fn unavailable(reason: &str) -> RuntimeError {
    RuntimeError::Unavailable {
        runtime: NAME,
        reason: reason.to_owned(),
    }
}

impl Inner {
    /// Records a call, and does it as the faults in its way allow.
    async fn call<T>(
        &self,
        call: Call,
        subject: impl ToString,
        body: impl Future<Output = Result<T, RuntimeError>>,
    ) -> Result<T, RuntimeError> {
        let fault = self.state.lock().take_fault(call, subject.to_string())?;
        match fault {
            None => body.await,
            Some(Fault::Fails(reason)) => Err(unavailable(&reason)),
            Some(Fault::DoneButFails(reason)) => {
                body.await?;
                Err(unavailable(&reason))
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::DoneButHangs) => {
                body.await?;
                std::future::pending().await
            }
            Some(Fault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                body.await
            }
        }
    }

    fn image_behavior(&self, reference: &str) -> ImageBehavior {
        self.shared
            .images
            .read()
            .get(reference)
            .cloned()
            .unwrap_or_default()
    }

    fn image(&self, reference: &str) -> Option<Image> {
        let behavior = self.image_behavior(reference);
        let state = self.state.lock();
        let here = state.pulled.contains_key(reference)
            || behavior.present && !state.removed_images.contains(reference);
        here.then(|| image(reference, behavior.user))
    }

    fn behavior(&self, sandbox: &Sandbox, config: &ContainerConfig) -> Arc<Behavior> {
        let behaviors = self.shared.behaviors.read();
        let found = behaviors
            .iter()
            .rev()
            .find(|(which, _)| which.matches(sandbox, config));
        found.map(|(_, behavior)| behavior.clone()).unwrap_or_default()
    }

    fn create(&self, sandbox_id: &SandboxId, config: &ContainerConfig) -> Result<ContainerId, RuntimeError> {
        if self.image(&config.image).is_none() {
            return Err(RuntimeError::ImageNotFound {
                image: config.image.clone(),
            });
        }
        let mut state = self.state.lock();
        let State {
            sandboxes,
            containers,
            ..
        } = &mut *state;
        let record = sandboxes
            .get_mut(sandbox_id)
            .ok_or_else(|| not_found("sandbox", sandbox_id))?;
        let same = |id: &&ContainerId| {
            let container = &containers[*id].container;
            container.name == config.name && container.attempt == config.attempt
        };
        if let Some(id) = record.containers.iter().find(same) {
            return Ok(id.clone());
        }
        if record.sandbox.state != SandboxState::Ready {
            return Err(RuntimeError::failed(
                format!("creating container {}", config.name),
                format!("sandbox {sandbox_id} is not ready"),
            ));
        }
        let id = ContainerId(self.next_id("c"));
        let container = Container {
            id: id.clone(),
            sandbox: sandbox_id.clone(),
            pod_uid: record.sandbox.uid.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_id: image(&config.image, String::new()).id,
            state: ContainerState::Created,
            created_at: time::now(),
            resources: config.resources.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        };
        let behavior = self.behavior(&record.sandbox, config);
        record.containers.push(id.clone());
        let record = ContainerRecord::new(container, config.clone(), behavior);
        self.container_changed(&record);
        containers.insert(id.clone(), record);
        Ok(id)
    }

    fn start(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        let State {
            sandboxes,
            containers,
            ..
        } = &mut *state;
        let record = containers.get_mut(id).ok_or_else(|| not_found("container", id))?;
        match record.container.state {
            ContainerState::Created => {}
            ContainerState::Running { .. } => return Ok(()),
            _ => {
                return Err(RuntimeError::Ended {
                    container: id.to_string(),
                });
            }
        }
        let sandbox = &sandboxes[&record.container.sandbox].sandbox;
        if sandbox.state != SandboxState::Ready {
            return Err(RuntimeError::failed(
                format!("starting container {id}"),
                format!("sandbox {} is not ready", sandbox.id),
            ));
        }
        let now = time::now();
        let program = program(&record.behavior, &record.config);
        if program.steps().contains(&Step::CannotStart) {
            let reason = "no such program";
            record.container.state = ContainerState::Exited {
                started_at: None,
                finished_at: now,
                exit_code: Some(127),
                reason: ExitReason::StartError,
                message: Some(reason.to_owned()),
            };
            self.container_changed(record);
            return Err(RuntimeError::StartFailed {
                container: record.container.name.clone(),
                reason: reason.to_owned(),
            });
        }
        record.container.state = ContainerState::Running { started_at: now };
        record.used = (0, now);
        record.machine = Some(Machine::new(program, record.config.clone(), record.config.tty));
        self.container_changed(record);
        let pause = record.proceed(|machine, emit| machine.run(emit));
        self.settle(record, pause);
        Ok(())
    }

    /// Asks a running container to end; says whether it will within the grace.
    fn signal(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        let record = state
            .containers
            .get_mut(id)
            .ok_or_else(|| not_found("container", id))?;
        let Some(machine) = record.machine.as_ref().filter(|_| record.is_running()) else {
            return Ok(());
        };
        match machine.answer(record.config.stop_signal.as_deref().unwrap_or("TERM")) {
            Answer::Ignores => {}
            Answer::Ends(end) => {
                record.end(end);
                self.container_changed(record);
            }
            Answer::EndsAfter(delay, end) => {
                let (inner, id) = (Arc::downgrade(self), id.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    if let Some(inner) = inner.upgrade() {
                        inner.end(&id, end);
                    }
                });
            }
        }
        Ok(())
    }

    /// Returns once the container does not run.
    pub(super) async fn ended(&self, id: &ContainerId) {
        loop {
            let changed = {
                let mut state = self.state.lock();
                match state.containers.get_mut(id) {
                    Some(record) if record.is_running() => record.changed().notified_owned(),
                    _ => return,
                }
            };
            changed.await;
        }
    }

    fn remove_container_from(&self, state: &mut State, id: &ContainerId) {
        let Some(mut record) = state.containers.remove(id) else {
            return;
        };
        record.end(End::KILLED);
        if let Some(sandbox) = state.sandboxes.get_mut(&record.container.sandbox) {
            sandbox.containers.retain(|other| other != id);
        }
        self.container_changed(&record);
    }
}

impl State {
    fn take_fault(&mut self, call: Call, subject: String) -> Result<Option<Fault>, RuntimeError> {
        if self.calls.len() == CALLS {
            self.calls.pop_front();
        }
        let at = time::now();
        self.calls.push_back(CallRecord { at, call, subject });
        if let Some(reason) = &self.unavailable {
            return Err(unavailable(reason));
        }
        let Some(index) = self.faults.iter().position(|injected| injected.call == call) else {
            return Ok(None);
        };
        let injected = &mut self.faults[index];
        let fault = injected.fault.clone();
        injected.left = injected.left.saturating_sub(1);
        if injected.left == 0 {
            self.faults.remove(index);
        }
        Ok(Some(fault))
    }

    pub(super) fn container(&self, id: &ContainerId) -> Result<&ContainerRecord, RuntimeError> {
        self.containers.get(id).ok_or_else(|| not_found("container", id))
    }

    pub(super) fn running(&mut self, id: &ContainerId) -> Result<&mut ContainerRecord, RuntimeError> {
        let record = self
            .containers
            .get_mut(id)
            .ok_or_else(|| not_found("container", id))?;
        if record.is_running() {
            Ok(record)
        } else {
            Err(RuntimeError::NotRunning {
                container: id.to_string(),
            })
        }
    }

    fn sandboxes_of(&self, filter: &SandboxFilter) -> Vec<&SandboxRecord> {
        let chosen: Vec<&SandboxRecord> = match (&filter.id, &filter.pod_uid) {
            (Some(id), _) => self.sandboxes.get(id).into_iter().collect(),
            (None, Some(uid)) => {
                let ids = self.pods.get(uid).into_iter().flatten();
                ids.filter_map(|id| self.sandboxes.get(id)).collect()
            }
            (None, None) => self.sandboxes.values().collect(),
        };
        let wanted = |record: &&SandboxRecord| {
            filter
                .pod_uid
                .as_ref()
                .is_none_or(|uid| *uid == record.sandbox.uid)
        };
        chosen.into_iter().filter(wanted).collect()
    }

    fn containers_of(&self, filter: &ContainerFilter) -> Vec<Container> {
        let wanted = |container: &Container| {
            filter.sandbox.as_ref().is_none_or(|id| *id == container.sandbox)
                && filter
                    .pod_uid
                    .as_ref()
                    .is_none_or(|uid| *uid == container.pod_uid)
        };
        if let Some(id) = &filter.id {
            let found = self.containers.get(id).map(|record| &record.container);
            return found
                .filter(|container| wanted(container))
                .cloned()
                .into_iter()
                .collect();
        }
        if filter.sandbox.is_none() && filter.pod_uid.is_none() {
            return self
                .containers
                .values()
                .map(|record| record.container.clone())
                .collect();
        }
        let sandboxes = self.sandboxes_of(&SandboxFilter {
            id: filter.sandbox.clone(),
            pod_uid: filter.pod_uid.clone(),
        });
        let ids = sandboxes.into_iter().flat_map(|sandbox| &sandbox.containers);
        ids.map(|id| self.containers[id].container.clone()).collect()
    }
}

fn image(reference: &str, user: String) -> Image {
    Image {
        id: format!("fake:{reference}"),
        tags: vec![reference.to_owned()],
        digests: Vec::new(),
        size_bytes: 0,
        user,
    }
}

/// What a container runs: what its behavior says, else what its command says, else until it is stopped.
fn program(behavior: &Behavior, config: &ContainerConfig) -> Program {
    let command = || {
        let words: Vec<String> = config.command.iter().chain(&config.args).cloned().collect();
        Program::from_command(&words)
    };
    let scripted = behavior.program(config.attempt).cloned();
    scripted.or_else(command).unwrap_or_else(|| Program::new().wait())
}

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
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
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
        self.inner.call(Call::RunSandbox, subject, body).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
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

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let body = async {
            let mut state = self.inner.state.lock();
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
            let record = state.running(id)?;
            let now = time::now();
            Ok(ContainerStats {
                at: now,
                cpu_nanos: u64::try_from(record.cpu_nanos(now)).unwrap_or(u64::MAX),
                memory_working_set_bytes: record.usage.memory_bytes,
                memory_rss_bytes: Some(record.usage.memory_bytes),
                pids: Some(1),
                network_rx_bytes: None,
                network_tx_bytes: None,
            })
        };
        self.inner.call(Call::Stats, id, body).await
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError> {
        let body = async {
            let unsupported = RuntimeError::Unsupported {
                runtime: NAME,
                what: "changing the limits of a running container",
            };
            if !self.inner.capabilities.update_resources {
                return Err(unsupported);
            }
            let mut state = self.inner.state.lock();
            let record = state.running(id)?;
            let limits = &mut record.container.resources;
            limits.cpu_shares = resources.cpu_shares.or(limits.cpu_shares);
            limits.cpu_limit_millis = resources.cpu_limit_millis.or(limits.cpu_limit_millis);
            limits.memory_limit_bytes = resources.memory_limit_bytes.or(limits.memory_limit_bytes);
            limits.pids_limit = resources.pids_limit.or(limits.pids_limit);
            limits.oom_score_adj = resources.oom_score_adj.or(limits.oom_score_adj);
            self.inner.container_changed(record);
            Ok(())
        };
        self.inner.call(Call::UpdateResources, id, body).await
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.inner.hub.subscribe()
    }
}
