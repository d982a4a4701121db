//! Kubernetes behaviour on orch-core.

pub mod kinds;
pub mod manifest;
