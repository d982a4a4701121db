//! Connects pods to a network.
#![cfg(target_os = "linux")]

mod bridge;
mod command;
mod files;
mod netlink;
mod threads;
mod turns;

use orch_core::runtime::RuntimeError;

pub use bridge::{Bridge, BridgeOptions};

/// A field that cannot be what it is.
fn invalid(field: &str, reason: String) -> RuntimeError {
    RuntimeError::InvalidConfig {
        field: field.to_owned(),
        reason,
    }
}
