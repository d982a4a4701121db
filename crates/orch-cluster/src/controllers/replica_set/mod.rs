//! Keeps as many pods of a ReplicaSet as it asks for.

mod backoff;
mod catch_up;
mod decide;
mod ledger;
mod pods;
mod rank;
mod reconcile;
mod status;
#[cfg(test)]
mod tests;
mod writes;

use decide::{Plan, decide};
use rank::victims;
pub(crate) use reconcile::start;
use status::{Failure, min_ready, status};
