//! Pods on a network: what a runtime needs that makes sandboxes with network namespaces of their own.

use std::net::IpAddr;
use std::path::Path;

use async_trait::async_trait;

use super::{RuntimeError, SandboxConfig, SandboxId};

/// Connects sandboxes to a network.
///
/// The runtime makes a network namespace for each sandbox that does not share the machine's, and has it connected
/// before it runs anything in it. It is to an implementation as it is to a CNI plugin: the namespace is a file, and
/// what is in there is the network's business.
///
/// General rules:
///
/// - **Everything may be called twice**: attaching again gives the same answer, detaching what is gone succeeds.
/// - **The network remembers**: addresses are given out once, and what was attached stays so when the application
///   ends and another opens the same network.
/// - **Only its own**: rules, links and addresses of others on the machine are left as they are.
#[async_trait]
pub trait PodNetwork: Send + Sync + 'static {
    /// A short constant name (`bridge`, `cni`), used in messages.
    fn name(&self) -> &'static str;

    /// Connects the namespace at `namespace`: once this returns, it has the addresses and routes that are answered,
    /// its loopback interface is up, and [`SandboxConfig::host_ports`] lead to it.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] for what this network can never do, named by the field of `config`;
    /// [`RuntimeError::InUse`] for a port of the machine that leads elsewhere; [`RuntimeError::Unavailable`] or
    /// [`RuntimeError::Failed`] for what may pass, addresses used up for one. After an error nothing needs to be
    /// detached, and may be.
    async fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        config: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError>;

    /// Disconnects a sandbox: nothing of it is left, and its addresses may be given to another. The namespace may
    /// have gone already, as after a restart of the machine.
    async fn detach(&self, sandbox: &SandboxId, namespace: Option<&Path>) -> Result<(), RuntimeError>;

    /// Removes what belongs to none of these sandboxes: a runtime calls it when it opens, for what a crash left.
    async fn retain(&self, live: &[SandboxId]) -> Result<(), RuntimeError>;

    /// Whether sandboxes can be connected now: if not, why, and what to do about it.
    async fn status(&self) -> Result<(), String>;
}

/// What a sandbox got from its network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// Its addresses, the primary one first; never empty.
    pub ips: Vec<IpAddr>,
}
