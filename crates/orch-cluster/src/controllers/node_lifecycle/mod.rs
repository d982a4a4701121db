//! Notices nodes that are heard of no more, taints them, and evicts what does not tolerate it.

mod evict;
mod health;
mod reconcile;
mod taints;
#[cfg(test)]
mod tests;
mod view;

use evict::{Eviction, eviction};
use health::{Health, overdue};
pub(crate) use reconcile::start;
use taints::taints;
use view::{NodeView, is_ready};
