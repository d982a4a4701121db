//! Kubernetes behaviour on orch-core.

pub mod agent;
pub mod cluster;
pub mod controllers;
pub mod events;
pub mod kinds;
pub mod manifest;
pub mod scheduling;
mod strict;
