//! Fakes and conformance suites.

pub mod fake_runtime;
pub mod runtime;
pub mod store;

pub use fake_runtime::FakeRuntime;
