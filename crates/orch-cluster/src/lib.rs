//! Kubernetes behaviour on orch-core.

pub mod agent;
pub mod events;
pub mod kinds;
pub mod manifest;
