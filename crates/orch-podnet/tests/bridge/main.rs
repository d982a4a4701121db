//! The bridge network on the real kernel, each test on a machine of its own.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod docker;
mod lasting;
mod ports;
mod reach;

use std::path::Path;

use common::{Namespace, id};
use orch_core::runtime::{Attachment, PodNetwork, SandboxConfig};
use orch_podnet::{Bridge, BridgeOptions};

pub(crate) const V4: &str = "10.77.0.0/24";
pub(crate) const V6: &str = "fd00:77::/64";

pub(crate) fn options(state: &Path) -> BridgeOptions {
    BridgeOptions::new(state).subnet(V4).subnet(V6)
}

/// A sandbox with a namespace of its own.
pub(crate) async fn sandbox(bridge: &Bridge, name: &str) -> (Namespace, Attachment) {
    let namespace = Namespace::new();
    let attachment = bridge
        .attach(&id(name), &namespace.path(), &SandboxConfig::default())
        .await
        .unwrap();
    (namespace, attachment)
}
