//! A bridge of one's own, to which sandboxes are connected with nothing but the kernel and `nft`.

mod addresses;
mod alone;
mod connect;
mod flows;
mod forwarding;
mod machine;
mod made;
mod network;
mod options;
mod ports;
mod rules;
mod sysctl;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use orch_core::runtime::{Attachment, PodNetwork, RuntimeError, SandboxConfig, SandboxId};

use crate::desk::Desk;
use network::Network;
pub use options::BridgeOptions;

const NAME: &str = "bridge";

/// Sandboxes on a bridge of the machine, each with an address of the bridge's subnets.
///
/// They reach each other, the machine, and through it whatever the machine reaches. Ports of the machine lead to them
/// from outside, from the machine itself (also by 127.0.0.1, but not by `::1`, from which the kernel sends nothing on)
/// and from sandboxes, themselves included.
///
/// It belongs to the network namespace of the thread that opens it.
///
/// # What it does to the machine
///
/// - The bridge, with a kernel alias that says which state directory it is of, and a pair of links for each sandbox.
/// - An nftables table `orch-podnet-NAME`.
/// - Where iptables' policy is to forward nothing, as with a Docker engine, two rules at the end of the chain `FORWARD`.
///   A firewall that rejects more by rules of its own has to be told of the bridge.
/// - `net.ipv4.ip_forward` and, with an IPv6 subnet, `net.ipv6.conf.all.forwarding` are turned on; `route_localnet` of
///   the bridge alone, with a rule that keeps sandboxes from the machine's loopback addresses.
///
/// All of it is left when the network is closed, for sandboxes go on; [`Bridge::remove`] removes what is its own.
#[derive(Clone, Debug)]
pub struct Bridge {
    desk: Arc<Desk<Network>>,
}

impl Bridge {
    /// Makes the bridge, or takes up the one that was made with this state directory.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InvalidConfig`] for options that cannot be, or clash with what the machine has, or with what is
    /// connected; [`RuntimeError::Unavailable`] without root or `nft`, or if the state is open already, or the kernel's
    /// settings cannot be written.
    pub async fn open(options: BridgeOptions) -> Result<Self, RuntimeError> {
        let subnets = options.checked()?;
        let desk = Desk::open("opening the bridge", move || Network::open(options, subnets)).await?;
        Ok(Self { desk: Arc::new(desk) })
    }

    /// The subnets that sandboxes have addresses of, the primary one first.
    pub fn subnets(&self) -> Vec<String> {
        self.desk
            .network()
            .plan()
            .subnets
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Removes the bridge and everything else that [`Bridge`] does to the machine, but for forwarding, which others may
    /// rely on by now.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::InUse`] while a sandbox is connected.
    pub async fn remove(self) -> Result<(), RuntimeError> {
        self.desk.run("removing the bridge", Network::remove).await
    }
}

#[async_trait]
impl PodNetwork for Bridge {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        config: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError> {
        let (id, namespace, ports) = (sandbox.clone(), namespace.to_owned(), config.host_ports.clone());
        self.desk
            .work("connecting", sandbox, move |network| {
                let ips = network.attach(&id, &namespace, &ports)?;
                Ok(Attachment { ips })
            })
            .await
    }

    async fn detach(&self, sandbox: &SandboxId, _namespace: Option<&Path>) -> Result<(), RuntimeError> {
        let id = sandbox.clone();
        self.desk
            .work("disconnecting", sandbox, move |network| network.detach(&id))
            .await
    }

    async fn retain(&self, live: &[SandboxId]) -> Result<(), RuntimeError> {
        let orphans = self.desk.network().others(live);
        self.desk.disconnect(orphans, Network::detach).await?;
        self.desk.run("removing stray links", Network::sweep).await
    }

    async fn status(&self) -> Result<(), String> {
        let seen = self.desk.run("looking at the bridge", Network::mend).await;
        seen.map_err(|error| error.to_string())
    }
}
