//! Fakes and conformance suites.

pub mod fake_runtime;
mod faulty_store;
pub mod runtime;
pub mod simulation;
#[cfg(any(test, feature = "store-conformance"))]
pub mod store;

pub use fake_runtime::FakeRuntime;
pub use faulty_store::{Fault, FaultyStore};
