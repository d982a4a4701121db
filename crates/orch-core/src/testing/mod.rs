//! Fakes and conformance suites.

pub mod store;
