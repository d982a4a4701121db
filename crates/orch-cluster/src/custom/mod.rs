//! Kinds of a user's own: what CustomResourceDefinitions define, and the rules of its objects.
//!
//! A definition is an object like others (its rules are in `kinds/definition/`). The client looks for it whenever a kind is
//! used that it was not given ([`Definitions`]), so a kind is served from the write that defines it on. What it says is read
//! into a [`Definition`] once for each of its generations.
//!
//! Sources: apiextensions-apiserver's `pkg/registry/customresource` and `pkg/apiserver`.

mod conversion;
mod definition;
mod path;
mod rules;
pub mod schema;
#[cfg(test)]
mod tests;

pub use definition::{Column, Definition, ScalePaths, Version};
pub use path::Path;
pub use rules::{DEFINITION, Definitions};
