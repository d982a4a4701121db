//! Networks made by CNI plugins, as Kubernetes' nodes have them.

mod conf;
mod network;
mod options;
mod plugin;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use orch_core::runtime::{Attachment, PodNetwork, RuntimeError, SandboxConfig, SandboxId};

use crate::desk::Desk;
use network::Network;
pub use options::CniOptions;
pub use plugin::PluginError;

const NAME: &str = "cni";

/// Sandboxes on a network that a chain of [CNI](https://www.cni.dev/docs/spec/) plugins makes.
///
/// It speaks versions 0.3.0 to 1.1.0 of the specification: plugins are asked to `ADD` and `DEL`, to `CHECK` when a
/// sandbox is attached again (from 0.4.0 on; unless the configuration has `disableCheck`), and for their `STATUS` and to collect what was left, `GC` (from 1.1.0 on).
/// What a plugin finds at a `CHECK` is logged as a warning, with the sandbox and the plugin's words, and the sandbox stays as it
/// is: nobody is told otherwise, its pod is not restarted, and its addresses stay. Those it is looked for itself: a sandbox that
/// has lost one is disconnected and connected anew. containerd asks for no `CHECK` at all, CRI-O where it looks up a
/// pod's addresses; and plugins in use find fault with sandboxes that work.
///
/// Ports of the machine go to plugins with the capability `portMappings`, name servers and annotations to those with
/// `dns` and `io.kubernetes.cri.pod-annotations`.
///
/// The configuration is read anew for each sandbox; one that is connected is disconnected with the configuration that
/// it was connected with. A sandbox's loopback link is brought up here: no plugin is needed for that.
///
/// It belongs to the network namespace of the thread that opens it. Plugins are run as this process's user, with none of
/// its descriptors, and of its environment with `PATH` alone.
#[derive(Clone, Debug)]
pub struct Cni {
    desk: Arc<Desk<Network>>,
}

impl Cni {
    /// Opens the network that the options say.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unavailable`] if there is no configuration that can be read, a plugin is missing, or the state is
    /// open already; [`RuntimeError::InvalidConfig`] for options that cannot be.
    pub async fn open(options: CniOptions) -> Result<Self, RuntimeError> {
        let desk = Desk::open("opening the CNI network", move || Network::open(options)).await?;
        Ok(Self { desk: Arc::new(desk) })
    }
}

#[async_trait]
impl PodNetwork for Cni {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        config: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError> {
        let (id, namespace, config) = (sandbox.clone(), namespace.to_owned(), config.clone());
        self.desk
            .work("connecting", sandbox, move |network| {
                let ips = network.attach(&id, &namespace, &config)?;
                Ok(Attachment { ips })
            })
            .await
    }

    async fn detach(&self, sandbox: &SandboxId, namespace: Option<&Path>) -> Result<(), RuntimeError> {
        let (id, namespace) = (sandbox.clone(), namespace.map(Path::to_owned));
        self.desk
            .work("disconnecting", sandbox, move |network| {
                network.detach(&id, namespace.as_deref())
            })
            .await
    }

    async fn retain(&self, live: &[SandboxId]) -> Result<(), RuntimeError> {
        let orphans = self.desk.network().others(live);
        self.desk
            .disconnect(orphans, |network, orphan| network.detach(orphan, None))
            .await?;
        self.desk
            .run("having plugins collect what was left", |network| {
                network.collect()
            })
            .await
    }

    async fn status(&self) -> Result<(), String> {
        let seen = self
            .desk
            .run("asking plugins for their status", Network::status)
            .await;
        seen.map_err(|error| error.to_string())
    }
}
