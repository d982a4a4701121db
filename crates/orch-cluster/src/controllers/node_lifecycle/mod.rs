//! Notices nodes that are heard of no more, taints them, and evicts what does not tolerate it.

mod evict;
mod health;
mod taints;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use evict::{Eviction, eviction};
pub(crate) use health::{Health, overdue};
pub(crate) use taints::taints;
pub(crate) use view::NodeView;
