//! A durable [`Store`](orch_core::store::Store) in one [redb](https://docs.rs/redb) file.
//!
//! [`RedbStore`] acknowledges a commit once it is on disk, and shares the cost of getting it there: commits
//! that wait at the same time go into a journal with one sync, and into redb's file later, many such groups at
//! once. What is not there yet is read from memory. Past values are kept for as long as
//! [`RedbStoreOptions`] say, so lists can be paged as one snapshot, and watches resume, also after the file
//! was closed and opened again. `docs/format.md` in this crate describes the file to the byte.

mod answers;
mod checkpoint;
mod checkpointer;
mod disk;
mod error;
mod files;
mod format;
mod group;
mod history;
mod holder;
mod journal;
mod known;
mod layer;
mod list;
mod open;
mod options;
mod pace;
mod queue;
#[cfg(any(test, feature = "testing"))]
mod simulated;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod undo;
mod watch;
mod writer;

pub use error::OpenError;
pub use options::RedbStoreOptions;
#[cfg(any(test, feature = "testing"))]
pub use simulated::{Access, SimulatedDisk};
pub use store::RedbStore;
