//! The parts of an orchestrator that know no Kubernetes.
//!
//! Desired state goes into a [`Store`](store::Store) through a [`Client`](client::Client), which defaults,
//! validates and admits it; [informers](cache) keep indexed local views of it; the [engine](controller) runs
//! reconcilers over those views; a [`Scheduler`](scheduler::Scheduler) decides where things go and a
//! [`Runtime`](runtime::Runtime) makes them run. Each is a trait with a shipped implementation, a fake under
//! virtual time where one helps, and a published conformance suite in `testing` (feature `testing`).
//!
//! To write a controller, start at [`controller::Controller`]; to keep objects of a kind of your own, at
//! [`object::Object`] and [`client::Client`]; to test either, at `testing::FakeRuntime` and tokio's paused clock.
//!
//! Features: `derive` for `#[derive(Object)]`, `k8s-openapi` for Kubernetes' types as objects, `testing` for fakes and
//! the runtimes' conformance suite, `store-conformance` for that of stores too.

pub mod cache;
pub mod client;
pub mod controller;
pub mod delays;
mod level;
pub mod object;
pub mod random;
pub mod runtime;
pub mod scheduler;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
