//! Rolls a Deployment's ReplicaSets from one pod template to the next.

mod decide;
mod new_set;
mod progress;
mod proportional;
mod revision;
mod rollback;
mod rolling;
mod sets;
#[cfg(test)]
mod simulation;
mod strategy;
#[cfg(test)]
mod tests;

pub(crate) use decide::{Change, Plan, SetUpdate, decide};
pub(crate) use new_set::{NameTaken, name_taken};
pub(crate) use progress::creation_failed;
pub use rollback::{RollbackError, RollbackTo, rollback_to};
