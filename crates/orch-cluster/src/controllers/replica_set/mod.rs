//! Keeps as many pods of a ReplicaSet as it asks for.

mod decide;
mod rank;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use decide::{Plan, decide};
pub(crate) use rank::victims;
pub(crate) use status::{Failure, status};
