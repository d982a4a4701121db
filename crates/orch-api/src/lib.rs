//! Kubernetes' own face: what its API does to what it is sent.
//!
//! [`schema`] says how values of a kind merge, and [`patch`] merges them. Both are pure: from values to values.

pub mod patch;
pub mod schema;
