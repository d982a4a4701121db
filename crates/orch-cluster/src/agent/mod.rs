//! The node agent, Kubernetes' kubelet: makes the pods bound to its node run, and says how they are.

mod conditions;
mod config;
pub mod decide;
#[cfg(test)]
mod decide_tests;
mod downward;
mod env;
mod observed;
mod probe;
mod prober;
mod qos;
mod restart;
pub mod status;
mod support;
#[cfg(test)]
mod testkit;
mod translate;

pub use config::{AgentConfig, Backoff};
pub use qos::qos_class;
