//! A runtime as a component sees it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::component::Life;
use super::fault::{Call, Fault, HANG};
use super::trace::What;
use crate::runtime::{
    AttachOptions, Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerStats,
    ExecOutput, ExecRequest, Image, LogChunk, LogOptions, PortStream, PullRequest, Resources, Runtime,
    RuntimeError, RuntimeEvent, RuntimeStatus, Sandbox, SandboxConfig, SandboxFilter, SandboxId, Session,
};

/// A runtime, as one life of a component sees it.
pub(super) struct ComponentRuntime {
    life: Life,
    inner: Arc<dyn Runtime>,
}

impl ComponentRuntime {
    pub(super) fn new(life: Life, inner: Arc<dyn Runtime>) -> Self {
        Self { life, inner }
    }

    /// Makes a call that changes nothing.
    async fn look<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, RuntimeError>> + Send,
    ) -> Result<T, RuntimeError> {
        self.make(what, call, false, None).await
    }

    /// Makes a call of which nobody can say whether it changes something.
    async fn run<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, RuntimeError>> + Send,
    ) -> Result<T, RuntimeError> {
        self.make(what, call, true, None).await
    }

    /// Makes a call that changes something, of which the trace tells.
    async fn change<T>(
        &self,
        what: &'static str,
        whose: &(dyn Display + Sync),
        call: impl Future<Output = Result<T, RuntimeError>> + Send,
    ) -> Result<T, RuntimeError> {
        self.make(what, call, true, Some(whose)).await
    }

    async fn make<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, RuntimeError>> + Send,
        may_change: bool,
        whose: Option<&(dyn Display + Sync)>,
    ) -> Result<T, RuntimeError> {
        let (point, fault) = self.life.enter(Call::Runtime).await;
        let failed = || RuntimeError::Unavailable {
            runtime: self.inner.name(),
            reason: "the simulation makes it fail".to_owned(),
        };
        match fault {
            Some(Fault::Fails) => return Err(failed()),
            Some(Fault::Hangs) => {
                tokio::time::sleep(HANG).await;
                self.life.leave(None).await;
                return Err(RuntimeError::Timeout {
                    what: what.to_owned(),
                    after: HANG,
                });
            }
            _ => {}
        }
        if may_change {
            self.life.world().touch();
        }
        let made = call.await;
        self.life.world().done(point.as_ref(), may_change);
        if let Some(whose) = whose {
            let line = match &made {
                Ok(_) => format!("{what} {whose}"),
                Err(error) => format!("{what} {whose}: {error}"),
            };
            self.life
                .world()
                .record(self.life.shared_name(), What::Runtime(line), &[]);
        }
        self.life.leave(fault).await;
        match fault {
            Some(Fault::Unanswered) if made.is_ok() => Err(failed()),
            _ => made,
        }
    }
}

#[async_trait]
impl Runtime for ComponentRuntime {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn status(&self) -> RuntimeStatus {
        let (point, fault) = self.life.enter(Call::Runtime).await;
        self.life.world().cannot_fail(point.as_ref());
        let status = self.inner.status().await;
        self.life.world().done(point.as_ref(), false);
        self.life.leave(fault).await;
        status
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError> {
        self.look("looking for an image", self.inner.image(reference))
            .await
    }

    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError> {
        let call = self.inner.pull_image(request);
        self.change("pull", &request.image, call).await
    }

    async fn images(&self) -> Result<Vec<Image>, RuntimeError> {
        self.look("listing images", self.inner.images()).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let call = self.inner.remove_image(reference);
        self.change("remove image", &reference, call).await
    }

    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError> {
        let call = self.inner.run_sandbox(config);
        self.change("run sandbox of", &config.name, call).await
    }

    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.change("stop", id, self.inner.stop_sandbox(id)).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.change("remove", id, self.inner.remove_sandbox(id)).await
    }

    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError> {
        self.look("listing sandboxes", self.inner.sandboxes(filter)).await
    }

    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError> {
        let call = self.inner.create_container(sandbox, config);
        self.change("create container", &config.name, call).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.change("start", id, self.inner.start_container(id)).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.change("stop", id, self.inner.stop_container(id, grace))
            .await
    }

    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.change("pause", id, self.inner.pause(id)).await
    }

    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.change("resume", id, self.inner.resume(id)).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.change("remove", id, self.inner.remove_container(id)).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError> {
        self.look("listing containers", self.inner.containers(filter))
            .await
    }

    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError> {
        self.look("looking at a container", self.inner.container(id))
            .await
    }

    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError> {
        self.run("running a command", self.inner.exec(id, request)).await
    }

    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError> {
        self.run("running a command", self.inner.open_exec(id, request))
            .await
    }

    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError> {
        self.run("attaching", self.inner.attach(id, options)).await
    }

    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        let call = self.inner.port_forward(sandbox, port);
        self.run("connecting to a port", call).await
    }

    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        self.look("reading logs", self.inner.logs(id, options)).await
    }

    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        self.look("reading stats", self.inner.stats(id)).await
    }

    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError> {
        let call = self.inner.update_resources(id, resources);
        self.change("update resources of", id, call).await
    }

    async fn update_sandbox(&self, id: &SandboxId, resources: &Resources) -> Result<(), RuntimeError> {
        let call = self.inner.update_sandbox(id, resources);
        self.change("update", id, call).await
    }

    async fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let life = self.life.clone();
        let events = self.inner.events().await;
        events
            .then(move |event| {
                let life = life.clone();
                async move {
                    life.leave(None).await;
                    event
                }
            })
            .boxed()
    }
}
