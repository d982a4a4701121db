//! Networks made by CNI plugins, as Kubernetes' nodes have them.

mod conf;
mod network;
mod options;
mod plugin;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future;
use orch_core::runtime::{Attachment, PodNetwork, RuntimeError, SandboxConfig, SandboxId};
use tokio::sync::Semaphore;

use crate::files;
use crate::threads::Home;
use crate::turns::Turns;
use network::Network;
pub use options::CniOptions;
pub use plugin::PluginError;

const NAME: &str = "cni";

/// How many sandboxes are worked on at once. Plugins are programs, and take locks of their own.
const AT_ONCE: usize = 8;

/// Sandboxes on a network that a chain of [CNI](https://www.cni.dev/docs/spec/) plugins makes.
///
/// It speaks versions 0.3.0 to 1.1.0 of the specification: plugins are asked to `ADD` and `DEL`, to `CHECK` when a
/// sandbox is attached again (from 0.4.0 on), and for their `STATUS` and to collect what was left, `GC` (from 1.1.0 on).
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
    home: Home,
    network: Arc<Network>,
    turns: Arc<Turns>,
    places: Arc<Semaphore>,
}

impl Cni {
    /// Opens the network that the options say.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Unavailable`] if there is no configuration that can be read, a plugin is missing, or the state is
    /// open already; [`RuntimeError::InvalidConfig`] for options that cannot be.
    pub async fn open(options: CniOptions) -> Result<Self, RuntimeError> {
        let home =
            Home::here().map_err(|error| RuntimeError::failed("opening /proc/thread-self/ns/net", error))?;
        let network = home
            .run("opening the CNI network", move || Network::open(options))
            .await?;
        Ok(Self {
            home,
            network: Arc::new(network),
            turns: Arc::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Works on one sandbox, when its turn comes.
    async fn work<T: Send + 'static>(
        &self,
        what: &str,
        sandbox: &SandboxId,
        work: impl FnOnce(&Network) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        files::checked(sandbox)?;
        let turn = self.turns.take(&sandbox.0).await;
        let place = self.places.clone().acquire_owned().await;
        let network = self.network.clone();
        let work = move || {
            let _held = (turn, place);
            work(&network)
        };
        self.home.run(&format!("{what} sandbox {sandbox}"), work).await
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
        self.work("connecting", sandbox, move |network| {
            let ips = network.attach(&id, &namespace, &config)?;
            Ok(Attachment { ips })
        })
        .await
    }

    async fn detach(&self, sandbox: &SandboxId, namespace: Option<&Path>) -> Result<(), RuntimeError> {
        let (id, namespace) = (sandbox.clone(), namespace.map(Path::to_owned));
        self.work("disconnecting", sandbox, move |network| {
            network.detach(&id, namespace.as_deref())
        })
        .await
    }

    async fn retain(&self, live: &[SandboxId]) -> Result<(), RuntimeError> {
        let orphans = self.network.others(live);
        let gone = orphans.iter().map(|orphan| async move {
            tracing::info!(sandbox = %orphan, "disconnecting what belongs to no sandbox");
            self.detach(orphan, None).await
        });
        future::join_all(gone)
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        let network = self.network.clone();
        self.home
            .run("having plugins collect what was left", move || network.collect())
            .await
    }

    async fn status(&self) -> Result<(), String> {
        let network = self.network.clone();
        let seen = self
            .home
            .run("asking plugins for their status", move || network.status())
            .await;
        seen.map_err(|error| error.to_string())
    }
}
