//! Empties a namespace that is being deleted, then lets it go.

mod decide;

pub(crate) use decide::{Plan, Remaining, decide};
