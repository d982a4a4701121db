//! Kinds that people define themselves.

pub mod schema;
