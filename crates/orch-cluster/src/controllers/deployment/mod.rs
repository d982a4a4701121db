//! Rolls a Deployment's ReplicaSets from one pod template to the next.

mod conditions;
mod decide;
mod new_set;
mod progress;
mod proportional;
mod reconcile;
mod revision;
mod rollback;
mod rolling;
mod sets;
#[cfg(test)]
mod simulation;
mod strategy;
#[cfg(test)]
mod tests;

use decide::{Change, Plan, SetUpdate, decide};
use new_set::{NameTaken, name_taken};
use progress::creation_failed;
pub(crate) use reconcile::start;
pub use rollback::{RollbackError, RollbackTo, rollback_to};
pub use strategy::max_unavailable;
pub(crate) use strategy::{Round, scaled};
