//! Removes pods that nobody else will: of nodes that are gone, never started, or finished too many.

mod decide;

pub(crate) use decide::{Removal, decide};
