//! The runtime as the rest of the world sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use futures::stream::BoxStream;
use orch_core::runtime::{
    AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerStats,
    ExecOutput, ExecRequest, Image, LogChunk, LogOptions, PortStream, PullRequest, Resources, Runtime,
    RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId, Session,
};

use crate::driver::Driver;
use crate::image::Images;
use crate::options::OciOptions;
use crate::resources::MEMORY_MIN;
use crate::{NAME, logs};

/// Runs containers on this machine's kernel, with no engine.
///
/// The state directory is the record: what was acknowledged is found again by whoever opens it next, containers
/// that go on running included. One runtime has a directory open at a time.
pub struct OciRuntime {
    driver: Arc<Driver>,
}

impl OciRuntime {
    /// Opens a state directory, finds what runs, and removes what is left of what does not. Must be called within
    /// a tokio runtime, as all of its methods.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] if there is no shim: neither was [`init`](crate::init) called as it must be
    /// nor is the program of [`OciOptions::shim`] one. [`RuntimeError::Unavailable`] without root, or if another
    /// has the directory open.
    pub async fn open(options: OciOptions) -> Result<Self, RuntimeError> {
        let driver = Driver::open(options).await?;
        Ok(Self { driver })
    }

    /// The images that containers run from, for what a runtime has no call for: importing archives, and telling how
    /// a pull gets on.
    pub fn image_store(&self) -> &Images {
        &self.driver.images
    }
}

/// Does what may keep a thread on one of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RuntimeError> {
    orch_core::runtime::blocking(NAME, work).await
}

/// Does something to its end, also if whoever asks for it gives up.
pub(crate) async fn going_on<T: Send + 'static>(
    work: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
) -> Result<T, RuntimeError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RuntimeError::Unavailable {
                runtime: NAME,
                reason: "the tokio runtime that it was called on is shutting down; call it before that"
                    .into(),
            }),
        },
    }
}

#[async_trait]
impl Runtime for OciRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.app_armor = self.driver.app_armor.is_enabled();
        capabilities.attach = true;
        capabilities.exec = true;
        capabilities.hugepages = self.driver.limiter.has_hugepages();
        capabilities.images = true;
        capabilities.memory_limit_min = MEMORY_MIN;
        capabilities.mounts = true;
        capabilities.host_ports = self.driver.options.network.is_some();
        capabilities.sandbox_network = self.driver.options.network.is_some();
        capabilities.resource_limits = self.driver.limiter.is_complete();
        capabilities.pause = self.driver.ground.hierarchies.can_freeze();
        capabilities.port_forward = true;
        capabilities.pod_groups = self.driver.limiter.is_complete();
        capabilities.security = true;
        capabilities.user_namespaces = self.driver.users.is_there();
        capabilities.survives_restart = true;
        capabilities.tty = true;
        capabilities.update_resources = self.driver.limiter.is_complete();
        capabilities
    }

    async fn status(&self) -> RuntimeStatus {
        let message = match self.driver.trouble() {
            None => self.driver.network_trouble().await,
            trouble => trouble,
        };
        RuntimeStatus {
            version: "libcontainer 0.7.0".into(),
            ready: message.is_none(),
            message,
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        self.driver.images.get(reference).await
    }

    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        self.driver.images.pull(request).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.driver.images.list().await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        self.driver.images.remove(reference).await
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        self.driver.run_sandbox(config.clone()).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.driver.stop_sandbox(id).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.driver.remove_sandbox(id).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        let pods = self.driver.pods();
        let pods = pods.iter().filter(|pod| pod.matches(filter));
        Ok(pods.map(|pod| pod.seen()).collect())
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        self.driver.create_container(sandbox, config.clone()).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.driver.start_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.driver.stop_cell(&self.driver.cell(id)?, grace).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.driver.set_still(id, true).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.driver.set_still(id, false).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        match self.driver.cell(id) {
            Ok(cell) => self.driver.remove_cell(&cell).await,
            Err(_) => Ok(()),
        }
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        let cells = self.driver.cells(|cell| cell.matches(filter));
        let seen = cells.into_iter().map(|cell| self.driver.seen(cell));
        let mut found = Vec::new();
        for seen in join_all(seen).await {
            match seen {
                // Removed since it was listed.
                Err(RuntimeError::NotFound { .. }) => {}
                seen => found.push(seen?),
            }
        }
        Ok(found)
    }

    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        self.driver.seen(self.driver.cell(id)?).await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
        self.driver.exec(id, request).await
    }

    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError> {
        self.driver.open_exec(id, request).await
    }

    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError> {
        self.driver.attach(id, options).await
    }

    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        self.driver.port_forward(sandbox, port).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        let cell = self.driver.cell(id)?;
        let complete = self.driver.has_ended(&cell).await?;
        logs::read(cell.dir.log(), options.clone(), complete, cell.ended.subscribe()).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        self.driver.stats(id).await
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError> {
        self.driver.update_resources(id, resources).await
    }

    async fn update_sandbox(&self, id: &SandboxId, resources: &Resources) -> Result<(), RuntimeError> {
        self.driver.update_sandbox(id, resources).await
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.driver.hub.subscribe()
    }
}
