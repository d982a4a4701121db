//! Kubernetes' kinds: what each fills in, and what each refuses.
//!
//! Every kind has a module of pure functions: `default` fills what a writer left out, in the raw JSON object, so
//! that nothing a writer sent is lost; `prepare_*` resets what this writer may not write; `validate` and
//! `validate_update` say what is wrong, in Kubernetes' own words and with its field paths. The table [`KINDS`] lists
//! them for the API and the client; adding a kind is a row there and its rules.
//!
//! Sources: Kubernetes' `pkg/apis/*/v1/defaults.go`, `pkg/apis/*/validation` and `pkg/registry/*/*/strategy.go`.

mod admission;
mod apps;
mod autoscaling;
mod batch;
mod certificates;
mod check;
pub mod config_map;
mod core;
pub mod decode;
mod definition;
pub mod deployment;
mod discovery;
pub mod event;
pub mod fields;
pub mod lease;
pub mod meta;
pub mod namespace;
mod network;
mod networking;
pub mod node;
mod other_version;
pub mod pod;
mod policy;
mod raw;
mod rbac;
pub mod replica_set;
mod rows;
mod runtime_class;
mod same;
mod scheduling;
pub mod secret;
mod storage;
pub mod table;
mod webhooks;
mod workload;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod workload_tests;

pub use definition::CLEANUP;
pub use other_version::{OTHER_VERSIONS, OtherVersion};
pub(crate) use raw::keep;
pub use table::{BuiltIn, KINDS, Write, find, find_kind, kinds, teach};
pub(crate) use webhooks::{REVIEWS, as_of_admission, with_reinvocation};
