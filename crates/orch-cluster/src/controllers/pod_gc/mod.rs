//! Removes pods that nobody else will: of nodes that are gone, never started, or finished too many.

mod decide;
mod run;

use decide::{KEPT_FINISHED, Removal, Why, decide};
pub(crate) use run::run;
