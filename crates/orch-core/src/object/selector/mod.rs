//! Which objects are meant: selectors over labels and over fields.

mod error;
mod fields;
mod labels;
mod parse;
#[cfg(test)]
mod tests;
mod wire;

pub use error::SelectorError;
pub use fields::{FieldRequirement, FieldSelector};
pub use labels::{Operator, Requirement, Selector};
pub use wire::{LabelSelector, LabelSelectorRequirement};

/// The longest selector that is read from a string, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
