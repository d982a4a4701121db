//! Where in an object something is wrong, and what: field paths and field errors in Kubernetes' words.

mod error;
mod path;
#[cfg(test)]
mod tests;

pub use error::{FieldError, FieldErrorKind, FieldErrors};
pub use path::{FieldPath, Segment};
