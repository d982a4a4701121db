//! Empties a namespace that is being deleted, then lets it go; and keeps writers out of one that is no more.

mod admission;
mod decide;
mod reconcile;

pub use admission::{NamespaceLifecycle, PROTECTED, ensure_namespaces};
use decide::{Plan, decide};
pub(crate) use reconcile::start;
