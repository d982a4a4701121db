//! Connects orch pods to a network, without an engine: two implementations of
//! [`PodNetwork`](orch_core::runtime::PodNetwork), for runtimes that make network namespaces themselves.
//!
//! - [`Bridge`] is a network of one's own on one machine: a bridge, addresses that are given out once, masquerading,
//!   ports of the machine, in IPv4 and IPv6. It needs root and the program `nft` of nftables, and nothing else: no
//!   plugins, no daemon. A sandbox is connected in a few milliseconds.
//! - [`Cni`] has the network made by CNI plugins, as on a node of Kubernetes, with the configuration and from the
//!   directories that they have there.
//!
//! Both keep what they gave out in a state directory, so that sandboxes stay connected when the program ends, is killed
//! or replaced, and are found again. Both are safe beside others: what they did not make they leave as it is.
//!
//! ```no_run
//! use orch_core::runtime::{PodNetwork, SandboxConfig, SandboxId};
//! use orch_podnet::{Bridge, BridgeOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Bridge::open(BridgeOptions::new("/run/edge/network").name("edge0")).await?;
//! // What a crash left of sandboxes that there are no more.
//! network.retain(&[]).await?;
//!
//! // As a runtime does it: with a namespace that `ip netns add web`, or `unshare`, made.
//! let sandbox = SandboxId("web".into());
//! let namespace = std::path::Path::new("/run/netns/web");
//! let attachment = network.attach(&sandbox, namespace, &SandboxConfig::default()).await?;
//! println!("web is {}", attachment.ips[0]);
//!
//! network.detach(&sandbox, Some(namespace)).await?;
//! # Ok(())
//! # }
//! ```
#![cfg(target_os = "linux")]

mod bridge;
mod cni;
mod command;
mod desk;
mod files;
mod netlink;
mod threads;
mod turns;

use orch_core::runtime::RuntimeError;

pub use bridge::{Bridge, BridgeOptions};
pub use cni::{Cni, CniOptions, PluginError};

/// A field that cannot be what it is.
fn invalid(field: &str, reason: String) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.to_owned(),
        reason,
    }
}
