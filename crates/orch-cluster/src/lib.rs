//! Kubernetes behaviour on orch-core: its kinds, their defaults and validation, its controllers, scheduler and node
//! agent, and its manifests.
//!
//! Start at [`cluster::Cluster`], which puts all of it together in one process: apply a [`manifest::Manifest`] to it,
//! read and write objects through its [`client`](cluster::Cluster::client), and reach into containers through its
//! [`agent`](cluster::Cluster::agent)s ([`agent::Agent`]: logs, exec). Each part can also be run by itself:
//! [`controllers`], [`scheduling`], [`agent`]. [`disruption::evict`] makes a pod go when its budget allows it.

mod admission;
pub mod agent;
pub mod cluster;
pub mod controllers;
pub mod custom;
pub mod disruption;
pub mod events;
mod expression;
pub mod kinds;
pub mod manifest;
pub mod policies;
pub mod scheduling;
mod strict;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod webhooks;
