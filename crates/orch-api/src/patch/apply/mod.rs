//! Server-side apply: who owns which fields of an object.
//!
//! The semantics are those of Kubernetes' structured-merge-diff and of `apimachinery/pkg/util/managedfields`.

mod fieldset;
mod path;
#[cfg(test)]
mod tests;

pub use fieldset::{FieldSet, FieldSetError};
pub use path::{PathElement, PathElementError};
