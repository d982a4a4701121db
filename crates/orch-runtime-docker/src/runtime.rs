//! The runtime as the rest of the world sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use orch_core::runtime::{
    AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerStats,
    ExecOutput, ExecRequest, Image, LogChunk, LogOptions, PortStream, PullRequest, Resources, Runtime,
    RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId, Session,
};

use crate::NAME;
use crate::driver::Driver;
use crate::options::DockerOptions;
use crate::spec::MEMORY_MIN;

/// Runs pods on a Docker engine, or on another that speaks its API. Clones share everything.
///
/// ```no_run
/// use orch_core::runtime::{ContainerConfig, Runtime, SandboxConfig};
/// use orch_runtime_docker::{DockerOptions, DockerRuntime};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let docker = DockerRuntime::new(DockerOptions::default().scope("example"))?;
/// let sandbox = docker
///     .run_sandbox(&SandboxConfig {
///         name: "web".into(),
///         namespace: "default".into(),
///         uid: "0b8e…".into(),
///         ..SandboxConfig::default()
///     })
///     .await?;
/// let container = docker
///     .create_container(&sandbox.id, &ContainerConfig {
///         name: "main".into(),
///         image: "nginx:1".into(),
///         ..ContainerConfig::default()
///     })
///     .await?;
/// docker.start_container(&container).await?;
/// println!("listening on {:?}", sandbox.ip());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DockerRuntime(Arc<Driver>);

impl DockerRuntime {
    /// A runtime on the engine that the options name. The engine need not answer yet: see
    /// [`status`](Runtime::status).
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] if an option cannot be used.
    pub fn new(options: DockerOptions) -> Result<Self, RuntimeError> {
        Ok(Self(Arc::new(Driver::new(options)?)))
    }

    /// Every [scope](DockerOptions::scope) that has containers on this engine, this one's too, and how many each has:
    /// what a program finds that has lost the name of its own. They are named alone; whose they are, and whether
    /// somebody looks after them, the engine does not know.
    ///
    /// # Errors
    ///
    /// As [`Runtime::containers`].
    pub async fn scopes(&self) -> Result<BTreeMap<String, usize>, RuntimeError> {
        self.0.scopes().await
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        // Only the engine knows, which need not answer yet: a profile by name is refused when it is asked for.
        capabilities.app_armor = true;
        capabilities.images = true;
        capabilities.sandbox_network = true;
        capabilities.host_ports = true;
        capabilities.memory_limit_min = MEMORY_MIN;
        capabilities.mounts = true;
        capabilities.resource_limits = true;
        capabilities.update_resources = true;
        capabilities.pause = true;
        capabilities.port_forward = self.0.reaches_ports();
        capabilities.security = true;
        capabilities.exec = true;
        capabilities.attach = true;
        capabilities.tty = true;
        capabilities.survives_restart = true;
        capabilities
    }

    async fn status(&self) -> RuntimeStatus {
        match self.0.engine.hello().await {
            Ok(engine) => RuntimeStatus {
                version: engine.described(),
                ready: true,
                message: None,
            },
            Err(fault) => RuntimeStatus {
                version: NAME.into(),
                ready: false,
                message: Some(match fault {
                    crate::engine::fault::Fault::Timeout(after) => format!(
                        "the engine at {} takes connections but has not answered within {after:?}; see what its log \
                         says, or restart it",
                        self.0.engine.address()
                    ),
                    other => other.to_string(),
                }),
            },
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        self.0.image(reference).await
    }

    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        self.0.pull_image(request).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.0.images().await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        self.0.remove_image(reference).await
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        self.0.run_sandbox(config).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.0.stop_sandbox(id).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.0.remove_sandbox(id).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        self.0.sandboxes(filter).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        self.0.create_container(sandbox, config).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.0.start_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.0.stop_container(id, grace).await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.0.pause(id).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.0.resume(id).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.0.remove_container(id).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        self.0.containers(filter).await
    }

    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        self.0.container(id).await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
        self.0.exec(id, request).await
    }

    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError> {
        self.0.open_exec(id, request).await
    }

    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError> {
        self.0.attach(id, options).await
    }

    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        self.0.port_forward(sandbox, port).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        self.0.logs(id, options).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        self.0.stats(id).await
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError> {
        self.0.update_resources(id, resources).await
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        self.0.events().await
    }
}
