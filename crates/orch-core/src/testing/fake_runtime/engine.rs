//! What a fake runtime's calls do to its state.

use std::sync::Arc;

use super::calls::{Call, CallRecord, Fault};
use super::machine::{Answer, End, Machine};
use super::script::{Behavior, ImageBehavior};
use super::state::{ContainerRecord, SandboxRecord, State};
use super::{CALLS, Inner, NAME, not_found};
use crate::runtime::{
    AppArmorProfile, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerState, ExitReason,
    Image, Resources, RuntimeError, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState,
};
use crate::testing::runtime::{Program, Step};
use crate::time;

fn unavailable(reason: &str) -> RuntimeError {
    RuntimeError::Unavailable {
        runtime: NAME,
        reason: reason.to_owned(),
    }
}

impl Inner {
    /// Records a call, and does it as the faults in its way allow.
    pub(super) async fn call<T>(
        &self,
        call: Call,
        subject: &(impl ToString + ?Sized),
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

    pub(super) fn image_behavior(&self, reference: &str) -> ImageBehavior {
        self.shared
            .images
            .read()
            .get(reference)
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn image(&self, reference: &str) -> Option<Image> {
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

    /// Refuses users of a sandbox's own where they are not declared, and what does not go with them.
    pub(super) fn check_users(&self, config: &SandboxConfig) -> Result<(), RuntimeError> {
        if !config.user_namespace {
            return Ok(());
        }
        if !self.capabilities.user_namespaces {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "users of a sandbox's own (user_namespace)".into(),
            });
        }
        let shared = [
            (config.host_network, "host_network"),
            (config.host_pid, "host_pid"),
        ];
        match shared.into_iter().find(|(is_shared, _)| *is_shared) {
            Some((_, field)) => Err(RuntimeError::InvalidConfig {
                field: field.into(),
                reason: "must not be set together with user_namespace".into(),
            }),
            None => Ok(()),
        }
    }

    /// Refuses limits that are not declared, or of pages that no kernel has.
    pub(super) fn check(&self, resources: &Resources) -> Result<(), RuntimeError> {
        if resources.hugepages.is_empty() {
            return Ok(());
        }
        if !self.capabilities.hugepages {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "limits of huge pages".into(),
            });
        }
        match resources.hugepages.keys().find(|size| !size.is_power_of_two()) {
            Some(size) => Err(RuntimeError::InvalidConfig {
                field: "resources.hugepages".into(),
                reason: format!("{size}: must be a power of two"),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn update_sandbox(&self, id: &SandboxId, resources: &Resources) -> Result<(), RuntimeError> {
        if !self.capabilities.update_resources || !self.capabilities.pod_groups {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "changing what the containers of a sandbox may use together".into(),
            });
        }
        self.check(resources)?;
        let mut state = self.state.lock();
        let missing = || not_found("sandbox", id);
        let record = state.sandboxes.get_mut(id).ok_or_else(missing)?;
        if record.config.cgroup_parent.is_empty() {
            return Err(RuntimeError::InvalidConfig {
                field: "resources".into(),
                reason: "the sandbox has no group of its own".into(),
            });
        }
        if record.sandbox.state != SandboxState::Ready {
            return Err(RuntimeError::failed(
                format!("changing sandbox {id}"),
                "it has ended",
            ));
        }
        change(&mut record.config.resources, resources);
        Ok(())
    }

    pub(super) fn create(
        &self,
        sandbox_id: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        config.check()?;
        if let AppArmorProfile::Localhost(name) = &config.security.app_armor
            && !self.capabilities.app_armor
        {
            return Err(RuntimeError::InvalidConfig {
                field: "security.app_armor".into(),
                reason: format!("{name:?}: this runtime has no AppArmor"),
            });
        }
        config
            .resources
            .check_memory(self.capabilities.memory_limit_min)?;
        if self.image(&config.image).is_none() {
            return Err(RuntimeError::ImageNotFound {
                image: config.image.clone(),
            });
        }
        self.check(&config.resources)?;
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
            paused: false,
            created_at: time::now(),
            resources: config.resources.in_force(),
            labels: config.labels.clone().into(),
            annotations: config.annotations.clone().into(),
        };
        let behavior = self.behavior(&record.sandbox, config);
        record.containers.push(id.clone());
        let record = ContainerRecord::new(container, config.clone(), behavior);
        self.container_changed(&record);
        containers.insert(id.clone(), record);
        Ok(id)
    }

    pub(super) fn start(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
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
        let machine = Machine::new(program, record.config.clone(), record.config.tty);
        let sandbox = sandboxes.get(&record.container.sandbox);
        record.machine = Some(machine.with_users(sandbox.and_then(users)));
        self.container_changed(record);
        let pause = record.proceed(|machine, emit| machine.run(emit));
        self.settle(record, pause);
        Ok(())
    }

    /// Asks a running container to end; says whether it will within the grace.
    pub(super) fn signal(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        let record = state
            .containers
            .get_mut(id)
            .ok_or_else(|| not_found("container", id))?;
        self.go_on(record);
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

    pub(super) fn remove_container_from(&self, state: &mut State, id: &ContainerId) {
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

    pub(super) fn sandboxes_of(&self, filter: &SandboxFilter) -> Vec<&SandboxRecord> {
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

    pub(super) fn containers_of(&self, filter: &ContainerFilter) -> Vec<Container> {
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

pub(super) fn image(reference: &str, user: String) -> Image {
    Image {
        id: format!("fake:{reference}"),
        tags: vec![reference.to_owned()],
        digests: Vec::new(),
        size_bytes: 0,
        user,
    }
}

/// Changes those limits that an update sets.
pub(super) fn change(limits: &mut Resources, update: &Resources) {
    limits.cpu_shares = update.cpu_shares.or(limits.cpu_shares);
    limits.cpu_limit_millis = update.cpu_limit_millis.or(limits.cpu_limit_millis);
    limits.memory_limit_bytes = update.memory_limit_bytes.or(limits.memory_limit_bytes);
    limits.pids_limit = update.pids_limit.or(limits.pids_limit);
    limits.oom_score_adj = update.oom_score_adj.or(limits.oom_score_adj);
    limits.hugepages.extend(&update.hugepages);
    *limits = limits.in_force();
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

/// Users that no other sandbox has: by its id, which is no other's. There are no more numbers than for as many ranges as this
/// counts to, after which they begin anew: no test has so many at a time.
fn users(sandbox: &SandboxRecord) -> Option<String> {
    let number = sandbox
        .sandbox
        .id
        .0
        .trim_start_matches(|c: char| !c.is_ascii_digit());
    let number: u32 = number.parse().ok().filter(|_| sandbox.config.user_namespace)?;
    Some(format!("0 {} 65536\n", (number % 60_000 + 1) << 16))
}
