//! The process runtime's calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::BoxStream;

use super::container::Cell;
use super::dir::{ContainerRecord, SandboxRecord, remove_tree};
use super::{Inner, NAME, ProcessRuntime, State, exec, not_found, os, stats};
use crate::runtime::cri;
use crate::runtime::{
    AppArmorProfile, AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId,
    ContainerStats, ExecOutput, ExecRequest, Image, LogChunk, LogOptions, PortStream, PullRequest, Resources,
    Runtime, RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId,
    SandboxState, Session,
};
use crate::time;

/// The image that is what it says: this machine.
const HOST: &str = "host";

const NO_PAUSE: RuntimeError = RuntimeError::Unsupported {
    runtime: NAME,
    what: std::borrow::Cow::Borrowed("pausing containers"),
};

pub(super) fn image(reference: &str) -> Image {
    Image {
        id: format!("{NAME}:{HOST}"),
        tags: vec![reference.to_owned()],
        digests: Vec::new(),
        size_bytes: 0,
        user: String::new(),
    }
}

fn sandbox(id: &SandboxId, record: &SandboxRecord) -> Sandbox {
    let config = &record.config;
    Sandbox {
        id: id.clone(),
        name: config.name.clone(),
        namespace: config.namespace.clone(),
        uid: config.uid.clone(),
        attempt: config.attempt,
        state: if record.stopped {
            SandboxState::NotReady
        } else {
            SandboxState::Ready
        },
        ips: Vec::new(),
        created_at: record.created_at,
        labels: config.labels.clone().into(),
        annotations: config.annotations.clone().into(),
    }
}

fn invalid(field: &str, reason: impl Into<String>) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.into(),
        reason: reason.into(),
    }
}

/// What cannot be done here, ever.
fn check(config: &ContainerConfig) -> Result<(), RuntimeError> {
    if !config.resources.hugepages.is_empty() {
        return Err(RuntimeError::Unsupported {
            runtime: NAME,
            what: "limits of huge pages".into(),
        });
    }
    if config.command.is_empty() {
        return Err(invalid(
            "command",
            "the process runtime has no images to take a command from; name a program of this machine",
        ));
    }
    if config.tty {
        return Err(invalid("tty", "the process runtime has no terminals"));
    }
    if let Some(mount) = config.mounts.first() {
        let reason = format!(
            "the process runtime cannot mount {}; use the machine's path",
            mount.source.display()
        );
        return Err(invalid("mounts", reason));
    }
    if let Some(name) = config
        .stop_signal
        .as_deref()
        .filter(|name| os::signal(name).is_none())
    {
        return Err(invalid(
            "stop_signal",
            format!("{name:?} is no signal's name or number"),
        ));
    }
    if config.stdin && !cfg!(target_os = "linux") {
        return Err(invalid(
            "stdin",
            "the process runtime has standard input on Linux only",
        ));
    }
    let user = rustix::process::geteuid();
    if let Some(asked) = config
        .security
        .run_as_user
        .filter(|asked| *asked != user.as_raw())
    {
        let reason = format!(
            "the process runtime runs as user {} and not as {asked}",
            user.as_raw()
        );
        return Err(invalid("security.run_as_user", reason));
    }
    if config.security.run_as_non_root && user.is_root() {
        return Err(invalid(
            "security.run_as_non_root",
            "the process runtime runs as root here",
        ));
    }
    if let AppArmorProfile::Localhost(name) = &config.security.app_armor {
        let reason = format!("{name:?}: the process runtime does not confine containers");
        return Err(invalid("security.app_armor", reason));
    }
    let nul = |text: &String| text.contains('\0');
    let words = config.command.iter().chain(&config.args);
    if words.chain(config.env.iter().map(|(_, value)| value)).any(nul) {
        return Err(invalid("command, args, env", "must not contain a NUL character"));
    }
    match config
        .env
        .iter()
        .find(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
    {
        Some((name, _)) => Err(invalid("env", format!("{name:?} is no variable's name"))),
        None => Ok(()),
    }
}

impl Inner {
    fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        config.check()?;
        if config.wants_group() {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "control groups of pods".into(),
            });
        }
        if config.user_namespace {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "users of a sandbox's own (user_namespace)".into(),
            });
        }
        let mut state = self.state.lock();
        let same = |record: &SandboxRecord| {
            record.config.uid == config.uid && record.config.attempt == config.attempt
        };
        if let Some((id, record)) = state.sandboxes.iter().find(|(_, record)| same(record)) {
            return Ok(sandbox(id, record));
        }
        let id = SandboxId(self.new_id());
        let record = SandboxRecord {
            created_at: time::now(),
            stopped: false,
            config: config.clone(),
        };
        self.dir.write_sandbox(&id, &record)?;
        let made = sandbox(&id, &record);
        self.sandbox_changed(&id, &config.uid);
        state.sandboxes.insert(id, record);
        Ok(made)
    }

    fn create(&self, id: &SandboxId, config: &ContainerConfig) -> Result<ContainerId, RuntimeError> {
        config.check()?;
        let mut state = self.state.lock();
        let pod = state.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
        let same = |cell: &&Arc<Cell>| {
            let other = &cell.record;
            other.sandbox == *id && other.config.name == config.name && other.config.attempt == config.attempt
        };
        if let Some(cell) = state.containers.values().find(same) {
            return Ok(cell.id.clone());
        }
        check(config)?;
        if pod.stopped {
            let what = format!("creating container {}", config.name);
            return Err(RuntimeError::failed(what, format!("sandbox {id} is not ready")));
        }
        let record = ContainerRecord {
            created_at: time::now(),
            sandbox: id.clone(),
            pod_uid: pod.config.uid.clone(),
            hostname: pod.config.hostname.clone(),
            config: config.clone(),
        };
        let id = ContainerId(self.new_id());
        self.dir.make_container(&id, &record)?;
        let cell = Cell::new(id.clone(), self.dir.container(&id), record, self.limits);
        self.container_changed(&cell);
        state.containers.insert(id.clone(), Arc::new(cell));
        Ok(id)
    }

    fn new_id(&self) -> String {
        self.random.uuid().replace('-', "")
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let uid = {
            let mut state = self.state.lock();
            let record = state
                .sandboxes
                .get_mut(id)
                .ok_or_else(|| not_found("sandbox", id))?;
            if !record.stopped {
                self.dir.write_sandbox(
                    id,
                    &SandboxRecord {
                        stopped: true,
                        ..record.clone()
                    },
                )?;
                record.stopped = true;
            }
            record.config.uid.clone()
        };
        let cells = self.cells_in(id);
        let stopped = join_all(cells.iter().map(|cell| cell.stop(Duration::ZERO))).await;
        self.sandbox_changed(id, &uid);
        stopped.into_iter().collect()
    }

    async fn remove_sandbox(self: &Arc<Self>, id: &SandboxId) -> Result<(), RuntimeError> {
        match self.stop_sandbox(id).await {
            Err(RuntimeError::NotFound { .. }) => return Ok(()),
            stopped => stopped?,
        }
        for cell in self.cells_in(id) {
            self.remove_container(&cell.id).await?;
        }
        let mut state = self.state.lock();
        self.dir.remove_sandbox(id)?;
        if let Some(record) = state.sandboxes.remove(id) {
            self.sandbox_changed(id, &record.config.uid);
        }
        Ok(())
    }

    fn cells_in(&self, id: &SandboxId) -> Vec<Arc<Cell>> {
        let state = self.state.lock();
        state
            .containers
            .values()
            .filter(|cell| cell.record.sandbox == *id)
            .cloned()
            .collect()
    }

    async fn remove_container(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let Ok(cell) = self.cell(id) else { return Ok(()) };
        cell.stop(Duration::ZERO).await?;
        self.blocking(move |inner| inner.discard(&cell)).await?
    }

    /// Removes a container that does not run.
    fn discard(&self, cell: &Cell) -> Result<(), RuntimeError> {
        let trash = {
            let mut state = self.state.lock();
            let trash = self.dir.discard_container(&cell.id)?;
            if state.containers.remove(&cell.id).is_none() {
                // Another call was faster.
                return Ok(());
            }
            trash
        };
        cell.bury(&trash);
        remove_tree(&trash);
        self.container_changed(cell);
        Ok(())
    }

    fn containers(&self, filter: &ContainerFilter) -> Vec<Container> {
        let wanted = |cell: &&Arc<Cell>| {
            filter.id.as_ref().is_none_or(|id| *id == cell.id)
                && filter
                    .sandbox
                    .as_ref()
                    .is_none_or(|id| *id == cell.record.sandbox)
                && filter
                    .pod_uid
                    .as_ref()
                    .is_none_or(|uid| *uid == cell.record.pod_uid)
        };
        let State { containers, .. } = &*self.state.lock();
        match &filter.id {
            Some(id) => containers
                .get(id)
                .into_iter()
                .filter(wanted)
                .map(|cell| cell.container())
                .collect(),
            None => containers
                .values()
                .filter(wanted)
                .map(|cell| cell.container())
                .collect(),
        }
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            exec: true,
            attach: cfg!(target_os = "linux"),
            port_forward: true,
            survives_restart: true,
            ..Capabilities::default()
        }
    }

    async fn status(&self) -> RuntimeStatus {
        let root = self.inner.dir.root();
        let message = rustix::fs::access(root, rustix::fs::Access::WRITE_OK)
            .err()
            .map(|error| {
                format!(
                    "the state directory {} cannot be written: {error}",
                    root.display()
                )
            });
        RuntimeStatus {
            version: format!("{NAME} {}", env!("CARGO_PKG_VERSION")),
            ready: message.is_none(),
            message,
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        Ok(Some(image(reference)))
    }

    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        Ok(image(&request.image))
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        Ok(vec![image(HOST)])
    }

    async fn remove_image(&self, _: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        self.inner.run_sandbox(config)
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.inner.stop_sandbox(id).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.inner.remove_sandbox(id).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let wanted = |(id, record): &(&SandboxId, &SandboxRecord)| {
            filter.id.as_ref().is_none_or(|wanted| wanted == *id)
                && filter
                    .pod_uid
                    .as_ref()
                    .is_none_or(|uid| *uid == record.config.uid)
        };
        let state = self.inner.state.lock();
        Ok(state
            .sandboxes
            .iter()
            .filter(wanted)
            .map(|(id, record)| sandbox(id, record))
            .collect())
    }

    async fn create_container(
        &self,
        id: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        self.inner.create(id, config)
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let cell = self.inner.cell(id)?;
        self.inner.blocking(move |inner| cell.start(inner)).await?
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.inner.cell(id)?.stop(grace).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.inner.cell(id)?;
        Err(NO_PAUSE)
    }

    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.inner.cell(id)?;
        Err(NO_PAUSE)
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.inner.remove_container(id).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        Ok(self.inner.containers(filter))
    }

    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        Ok(self.inner.cell(id)?.container())
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
        let cell = self.inner.cell(id)?;
        exec::exec(&cell, request).await
    }

    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError> {
        exec::open(&self.inner.cell(id)?, request).await
    }

    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError> {
        if !self.capabilities().attach {
            return Err(RuntimeError::Unsupported {
                runtime: NAME,
                what: "attach on this system".into(),
            });
        }
        let (cell, options) = (self.inner.cell(id)?, options.clone());
        self.inner
            .blocking(move |_| exec::attach(&cell, &options))
            .await?
    }

    async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        self.inner.port_forward(id, port).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        let (cell, options) = (self.inner.cell(id)?, options.clone());
        let reading = self.inner.blocking(move |_| {
            if let Err(error) = cell.log.catch_up() {
                tracing::warn!(container = %cell.id, %error, "reading a log that is not up to date");
            }
            cri::read(cell.dir.clone(), options, cell.log.progress())
        });
        reading.await?
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let cell = self.inner.cell(id)?;
        self.inner.blocking(move |_| stats::stats(&cell)).await?
    }

    async fn update_resources(&self, id: &ContainerId, _: &Resources) -> Result<(), RuntimeError> {
        self.inner.cell(id)?;
        Err(RuntimeError::Unsupported {
            runtime: NAME,
            what: "changing the limits of a running container".into(),
        })
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.inner.hub.subscribe()
    }
}
