//! Server-side apply: who owns which fields of an object, and what that makes of what is applied.
//!
//! The semantics are those of Kubernetes' structured-merge-diff and of `apimachinery/pkg/util/managedfields`:
//! a manager owns what it applies, each field by itself as the schema says; to change what another owns is a
//! conflict, unless it is forced; to apply the same value is to own it together; and what a manager applied
//! before and leaves out now is removed, unless another owns it. Who writes in another way owns what it
//! changes.
//!
//! All versions of a kind are taken to have the same fields: who owns fields in another version owns those of
//! the same names.

mod client_side;
mod conflict;
mod fieldset;
mod managed;
mod object;
mod path;
mod request;
#[cfg(test)]
mod tests;
mod typed;

pub use conflict::Conflicts;
pub use fieldset::{FieldSet, FieldSetError};
pub use managed::{Managed, ManagedError, ManagedProblem, Manager, Operation, Owned};
pub(crate) use object::is_same_but;
pub use path::{PathElement, PathElementError};
pub use request::{ApplyError, Request};
