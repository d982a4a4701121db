//! Kubernetes behaviour on orch-core.

pub mod controllers;
pub mod scheduling;
