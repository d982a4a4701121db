//! Binds pods to nodes: translates both into the scheduler's neutral words, places, and writes the bindings.

mod amounts;
mod bind;
#[cfg(test)]
mod bind_tests;
mod node;
mod pod;
mod requirements;
mod run;
mod taints;
mod template;
#[cfg(test)]
mod tests;
mod words;

pub use run::{Scheduling, SchedulingOptions};
pub(crate) use taints::tolerates;
