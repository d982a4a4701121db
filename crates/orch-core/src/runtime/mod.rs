//! What makes containers run: the [`Runtime`] trait, shaped like Kubernetes' CRI.
//!
//! A runtime knows sandboxes (what a pod's containers share), containers and images. It knows nothing of
//! desired state: the node agent decides, the runtime does.

mod blocking;
mod check;
mod container;
pub mod cri;
mod error;
mod hub;
mod image;
pub(crate) mod line;
mod network;
mod ports;
#[cfg(all(unix, feature = "process"))]
pub mod process;
mod sandbox;
mod stats;
mod stream;

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use blocking::blocking;
pub use container::{
    AppArmorProfile, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerState, ExitReason,
    Mount, Resources, SeccompProfile, Security, kernel_page_size,
};
pub use error::RuntimeError;
pub use hub::EventHub;
pub use image::{Credentials, Image, PullRequest};
pub use network::{Attachment, PodNetwork};
pub use ports::connect_loopback;
pub use sandbox::{HostPort, Protocol, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState};
pub use stats::{ContainerStats, InterfaceStats};
pub use stream::{
    AttachOptions, ByteStream, ExecOutput, ExecRequest, LogChunk, LogOptions, LogStream, PortStream, Session,
    SessionInput, TerminalSize,
};

/// What a runtime can do beyond the minimum. Declared, never discovered by failure.
///
/// The node agent refuses, with a reason, what a pod asks for and the runtime does not declare; the
/// conformance suite tests what is declared and skips the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Containers see a root file system from their image rather than the machine's own.
    pub images: bool,
    /// Each sandbox has a network of its own, and [`Sandbox::ips`] are set.
    pub sandbox_network: bool,
    /// [`SandboxConfig::host_ports`] are honoured.
    pub host_ports: bool,
    /// [`ContainerConfig::mounts`] are honoured.
    pub mounts: bool,
    /// Limits in [`Resources`] are enforced, and exceeding memory ends in [`ExitReason::OutOfMemory`].
    pub resource_limits: bool,
    /// The least memory, in bytes, to which a container can be limited; 0: any. A lower
    /// [`Resources::memory_limit_bytes`] is [`RuntimeError::InvalidConfig`], also where
    /// [`resource_limits`](Self::resource_limits) are not kept to, so that a pod that runs on one machine runs on the next; the
    /// node agent refuses a pod that asks for one.
    pub memory_limit_min: u64,
    /// [`Runtime::update_resources`] changes a running container, and with [`pod_groups`](Self::pod_groups)
    /// [`Runtime::update_sandbox`] a sandbox.
    pub update_resources: bool,
    /// [`Resources::hugepages`] are enforced; where they are not, who sets them gets [`RuntimeError::Unsupported`]. A size that
    /// the machine's kernel does not have is [`RuntimeError::InvalidConfig`] for the field `resources.hugepages`.
    pub hugepages: bool,
    /// [`Runtime::pause`] and [`Runtime::resume`] work.
    pub pause: bool,
    /// [`SandboxConfig::cgroup_parent`] is honoured, and [`SandboxConfig::resources`] are enforced.
    pub pod_groups: bool,
    /// [`SandboxConfig::user_namespace`] is honoured; where it is not, who asks for it gets [`RuntimeError::Unsupported`].
    pub user_namespaces: bool,
    /// [`Security`] is honoured.
    pub security: bool,
    /// AppArmor can be enforced: the machine's kernel has it. Where it is not, a container that asks for a profile by name
    /// ([`AppArmorProfile::Localhost`]) gets [`RuntimeError::InvalidConfig`] for the field `security.app_armor`, and the node
    /// agent refuses a pod that asks for any, for the default too, by name.
    pub app_armor: bool,
    /// [`Runtime::exec`] and [`Runtime::open_exec`] work.
    pub exec: bool,
    /// [`Runtime::attach`] works.
    pub attach: bool,
    /// Terminals: [`ContainerConfig::tty`], [`ExecRequest::tty`] and resizing.
    pub tty: bool,
    /// [`Runtime::port_forward`] works.
    pub port_forward: bool,
    /// Containers, their logs and exit codes survive the death of the process that holds the runtime.
    pub survives_restart: bool,
}

/// Whether a runtime can work now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// Name and version of what runs the containers, as a person would say it: `docker 28.2.2`.
    pub version: String,
    /// Whether containers can be run now.
    pub ready: bool,
    /// If not ready: why, and what to do about it. A sentence for the node's condition.
    pub message: Option<String>,
}

/// A hint that something may have changed. Hints can be lost, doubled or late: list to learn what is so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeEvent {
    /// A container was created, started, ended or removed.
    Container {
        /// The container.
        id: ContainerId,
        /// Its sandbox.
        sandbox: SandboxId,
        /// The pod it belongs to, from [`SandboxConfig::uid`].
        pod_uid: String,
    },
    /// A sandbox was created, ended or removed.
    Sandbox {
        /// The sandbox.
        id: SandboxId,
        /// The pod it belongs to, from [`SandboxConfig::uid`].
        pod_uid: String,
    },
    /// Hints may have been lost, or the runtime was away: look at everything again.
    Relist,
}

/// Runs sandboxes and containers on one machine.
///
/// General rules, which the conformance suite (`testing::runtime`) checks:
///
/// - **Everything may be called twice.** Creating what exists (same pod uid; same sandbox, container name and
///   attempt) returns it; starting what runs, stopping what is stopped and removing what is gone succeed.
/// - **The runtime is the record.** What a call acknowledged shows in the lists, also to a new process that
///   opens the runtime again, if [`Capabilities::survives_restart`]. A call killed halfway leaves something
///   that lists show and that calling again, or removing, sets right: nothing leaks unseen.
/// - **Only its own.** Where several users share an engine, a runtime lists and touches only what it made
///   under its own scope.
/// - **Calls end.** Each call is bounded in time, by its own argument or by the runtime's settings.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// A short constant name (`docker`, `process`), used in container ids (`docker://…`) and logs.
    fn name(&self) -> &'static str;

    /// What this runtime can do. Constant for its lifetime.
    fn capabilities(&self) -> Capabilities;

    /// Whether the runtime works now. An engine that does not answer is a status, not an error.
    async fn status(&self) -> RuntimeStatus;

    /// The image as present on this machine, none if it is not.
    async fn image(&self, reference: &str) -> Result<Option<Image>, RuntimeError>;

    /// Fetches an image, also if an older one of that name is present.
    ///
    /// Once it has returned, containers can be created from the reference. If it fails, an image present
    /// before is still usable.
    async fn pull_image(&self, request: &PullRequest) -> Result<Image, RuntimeError>;

    /// All images present.
    async fn images(&self) -> Result<Vec<Image>, RuntimeError>;

    /// Removes an image; succeeds if it is not present, fails with [`RuntimeError::InUse`] if a container
    /// needs it.
    async fn remove_image(&self, reference: &str) -> Result<(), RuntimeError>;

    /// Makes a sandbox and readies it for containers, or returns the one that exists for the same
    /// [`SandboxConfig::uid`] and [`SandboxConfig::attempt`].
    ///
    /// What no runtime can make of it is [`RuntimeError::InvalidConfig`], before anything is looked for: see
    /// [`SandboxConfig::check`].
    ///
    /// One that asks for a control group is [`RuntimeError::Unsupported`] without [`Capabilities::pod_groups`], one that asks
    /// for users of its own without [`Capabilities::user_namespaces`].
    async fn run_sandbox(&self, config: &SandboxConfig) -> Result<Sandbox, RuntimeError>;

    /// Ends a sandbox: its containers are killed, its network is released. What ran stays listed.
    async fn stop_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// Removes a sandbox with all its containers and their logs, running or not.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// The sandboxes that match, in no particular order.
    async fn sandboxes(&self, filter: &SandboxFilter) -> Result<Vec<Sandbox>, RuntimeError>;

    /// Makes a container, not yet running, or returns the id of the one that exists for the same sandbox,
    /// name and attempt.
    ///
    /// The image must be present; nothing is pulled ([`RuntimeError::ImageNotFound`]). What no runtime can make of the
    /// configuration is [`RuntimeError::InvalidConfig`], or [`RuntimeError::InvalidImage`], before anything is looked for: see
    /// [`ContainerConfig::check`].
    async fn create_container(
        &self,
        sandbox: &SandboxId,
        config: &ContainerConfig,
    ) -> Result<ContainerId, RuntimeError>;

    /// Starts a created container; does nothing if it already runs. One that has ended is
    /// [`RuntimeError::Ended`]: make the next attempt instead.
    ///
    /// A program that cannot be executed is [`RuntimeError::StartFailed`], and the container is then listed
    /// as ended.
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Asks the container to end, then kills it after `grace`; returns when it has ended.
    ///
    /// Zero grace kills at once. A container never started counts as ended.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;

    /// Has a running container stand still, if [`Capabilities::pause`]; else [`RuntimeError::Unsupported`]. Once this returns no
    /// process of it goes on, until it is [resumed](Self::resume) or asked to end, which ends the pause. Its state is still
    /// [`Running`](ContainerState::Running), and [`Container::paused`] is true.
    ///
    /// Meanwhile [`exec`](Self::exec) and [`open_exec`](Self::open_exec) fail with [`RuntimeError::Paused`]; so may
    /// [`attach`](Self::attach). One that does not run is [`RuntimeError::NotRunning`].
    async fn pause(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Has a paused container go on. Fails as [`pause`](Self::pause) does.
    async fn resume(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Removes a container and its logs, killing it first if it runs.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// The containers that match, in no particular order, running or not.
    async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>, RuntimeError>;

    /// One container; [`RuntimeError::NotFound`] if there is none.
    async fn container(&self, id: &ContainerId) -> Result<Container, RuntimeError>;

    /// Runs a command in a running container and returns what it wrote, up to 1 MiB per stream (the rest
    /// is read and dropped, and [`ExecOutput::truncated`] says so). A command that outlives
    /// `request.timeout` is killed: [`RuntimeError::Timeout`].
    async fn exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<ExecOutput, RuntimeError>;

    /// Starts a command in a running container and hands over its streams.
    async fn open_exec(&self, id: &ContainerId, request: &ExecRequest) -> Result<Session, RuntimeError>;

    /// Connects to the streams of a running container from now on.
    async fn attach(&self, id: &ContainerId, options: &AttachOptions) -> Result<Session, RuntimeError>;

    /// Connects to a TCP port in a sandbox, if [`Capabilities::port_forward`]; else [`RuntimeError::Unsupported`]. In the
    /// sandbox's own network, or the machine's if it shares that, it is as if a program in there connected to 127.0.0.1 or,
    /// if nothing listens there, to ::1 (CRI: `PortForward`).
    ///
    /// [`RuntimeError::NotListening`] if nothing listens on either.
    async fn port_forward(&self, sandbox: &SandboxId, port: u16) -> Result<PortStream, RuntimeError>;

    /// What the container wrote, oldest first; with [`LogOptions::follow`], until it ends.
    async fn logs(
        &self,
        id: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError>;

    /// What a running container uses now; [`RuntimeError::NotRunning`] if it does not run.
    async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError>;

    /// Changes the limits of a running container in place, if [`Capabilities::update_resources`]; else
    /// [`RuntimeError::Unsupported`]. Only the fields that are set change, and one that means no limit
    /// ([`Resources::in_force`]) takes the limit away. Those of its sandbox do not: see
    /// [`update_sandbox`](Self::update_sandbox).
    async fn update_resources(&self, id: &ContainerId, resources: &Resources) -> Result<(), RuntimeError>;

    /// Changes in place what the containers of a ready sandbox may use together ([`SandboxConfig::resources`]), if
    /// [`Capabilities::pod_groups`] and [`Capabilities::update_resources`]; else [`RuntimeError::Unsupported`], as without an
    /// implementation. Only the fields that are set change.
    ///
    /// Containers are held to this and to their own limits. So who resizes a pod raises this before
    /// [its containers' limits](Self::update_resources), and lowers it after them (KEP-1287).
    ///
    /// [`RuntimeError::InvalidConfig`] for the field `resources` if the sandbox has no
    /// [group of its own](SandboxConfig::cgroup_parent).
    async fn update_sandbox(&self, id: &SandboxId, resources: &Resources) -> Result<(), RuntimeError> {
        let _ = (id, resources);
        Err(RuntimeError::Unsupported {
            runtime: self.name(),
            what: "changing what the containers of a sandbox may use together".into(),
        })
    }

    /// Hints from now on. The stream may end at any time; subscribe again and relist.
    ///
    /// A subscriber that falls behind gets [`RuntimeEvent::Relist`] in place of what it missed.
    async fn events(&self) -> BoxStream<'static, RuntimeEvent>;
}
