//! Deletes what is owned by nothing any more, and keeps the order that a deletion asked for.

mod decide;
mod graph;
#[cfg(test)]
mod tests;

pub(crate) use decide::{Action, Propagation, decide};
pub(crate) use graph::{Found, Graph, Item, Uid};
