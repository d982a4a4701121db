//! The store: an etcd-shaped transactional key-value store over bytes.
//!
//! A store holds keys and values it does not interpret. Every commit that changes something takes the next
//! [`Revision`]; every key remembers the revision that created it and the one that last wrote it. The past
//! stays readable until it is [compacted](Store::compact), so a list can be paged as one snapshot and a watch
//! resumed where it broke off.

pub mod changelog;
mod error;
mod memory;
mod txn;
mod types;
mod watch;

use async_trait::async_trait;

pub use error::{CommitError, ReadError, WatchError};
pub use memory::{MemoryStore, MemoryStoreOptions};
pub use txn::{Committed, Compare, Expect, Op, Txn};
pub use types::{Entry, Key, ListOptions, Page, Prefix, Read, Revision};
pub use watch::{Batch, Change, Watch};

/// The bounds every store keeps; a request beyond one is refused before anything is written.
pub mod limits {
    /// Longest key, in bytes.
    pub const KEY_BYTES: usize = 1024;
    /// Largest value, in bytes: etcd's default request bound of 1.5 MiB.
    pub const VALUE_BYTES: usize = 1536 * 1024;
    /// Most compares plus operations in one transaction.
    pub const TXN_OPS: usize = 1024;
    /// Most entries in one page of a list; a larger or absent limit is cut to it.
    pub const PAGE_ENTRIES: usize = 10_000;
}

/// A transactional key-value store with revisions, history and watches.
///
/// The contract is etcd's (v3 `KV` and `Watch`), narrowed to what an orchestrator needs. Every
/// implementation passes the suite `testing::store` (feature `store-conformance`), which third parties run too.
///
/// All methods may be called from any number of tasks at once. Dropping a returned future never leaves a
/// commit half done: it happens whole or not at all, though the caller then does not know which.
///
/// ```
/// use orch_core::store::{CommitError, MemoryStore, Store, Txn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let first = store.commit(Txn::new().create("greeting", "hello")).await?;
/// // Compare-and-swap on the revision that was read:
/// store.commit(Txn::new().update("greeting", first.revision, "hello, world")).await?;
/// // A writer who missed that is refused:
/// let late = store.commit(Txn::new().update("greeting", first.revision, "bye")).await;
/// assert!(matches!(late, Err(CommitError::Conflict { .. })));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads one key as of now.
    ///
    /// The answer reflects every commit acknowledged before the call began. Its `revision` is the store's
    /// own at the time of the read, also when the key is absent.
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError>;

    /// Lists the keys under `prefix` in byte order, one page at a time.
    ///
    /// Without [`ListOptions::at`] the page shows the store as of now and says at which revision; passing
    /// that revision and the page's [`next`](Page::next) gives the following page *of the same snapshot*,
    /// whatever was written meanwhile. A revision that has been compacted is [`ReadError::Compacted`]; one
    /// not yet reached is [`ReadError::Future`].
    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError>;

    /// Applies `txn` if all its compares hold.
    ///
    /// - Once it has returned `Ok`, every operation is in force, all at one revision, and durable to the
    ///   degree the store promises (a file store: survives power loss). Readers and watchers saw none of it
    ///   before, and see all of it from then on.
    /// - [`CommitError::Conflict`], [`Invalid`](CommitError::Invalid) and
    ///   [`Unavailable`](CommitError::Unavailable) mean that nothing was written and nothing will be.
    /// - After [`CommitError::Unknown`], or if the caller is killed before the answer, it was applied
    ///   whole or not at all: read back to learn which. Compares make a repeat safe.
    /// - A transaction that changes nothing (no operations, or only deletes of absent keys) takes no
    ///   revision and wakes no watcher. A put always takes one, even of an equal value.
    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError>;

    /// Streams every change under `prefix` made after revision `after`, in commit order.
    ///
    /// Each change is delivered exactly once; changes of one commit come in one [`Batch`] and are never
    /// torn apart. Passing a batch's revision to a new watch resumes without gap or repeat.
    /// `Revision::ZERO` starts at the beginning, if that is still held.
    ///
    /// If `after` has been compacted away the call fails with [`WatchError::Compacted`]. A watcher that
    /// reads so slowly that the store drops history it has not seen gets the same error in its stream, as
    /// its last item: it must list and start again. The store never buffers without bound for anyone.
    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError>;

    /// Forgets history up to and including `through`; live values stay.
    ///
    /// Afterwards lists at, and watches from, revisions before `through` are refused as compacted; a list
    /// at `through` itself and a watch after it still work. Compacting twice, or to before an earlier
    /// compaction, does nothing; compacting to the future is [`ReadError::Future`].
    async fn compact(&self, through: Revision) -> Result<(), ReadError>;

    /// The revision of the newest commit, reflecting every commit acknowledged before the call.
    async fn revision(&self) -> Result<Revision, ReadError>;
}
