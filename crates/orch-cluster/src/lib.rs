//! Kubernetes behaviour on orch-core.

pub mod controllers;
pub mod kinds;
pub mod scheduling;
