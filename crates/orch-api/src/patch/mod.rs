//! What a patch makes of an object: pure functions from values to a value.

pub mod apply;
pub mod strategic;
