//! Controllers: what moves the cluster from what is to what is wanted.
//!
//! Each decides in a pure function and applies in a thin loop.

mod claim;
pub mod deployment;
mod garbage;
mod namespace;
mod node_lifecycle;
mod pod_gc;
mod pod_view;
mod replica_set;
mod selector;
