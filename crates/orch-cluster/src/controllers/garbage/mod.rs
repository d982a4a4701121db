//! Deletes what is owned by nothing any more, and keeps the order that a deletion asked for.

mod collect;
mod decide;
mod graph;
#[cfg(test)]
mod tests;

pub(crate) use collect::{Collector, start};
use decide::{Action, Propagation, decide};
use graph::{Found, Graph, Item, Uid};
