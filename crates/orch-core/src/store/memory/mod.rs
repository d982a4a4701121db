//! A store in memory.

mod options;
#[cfg(test)]
mod tests;
mod versions;

use async_trait::async_trait;
use futures::stream;
use parking_lot::RwLock;
use tokio::task::coop::consume_budget;

pub use self::options::MemoryStoreOptions;
use self::versions::Versions;
use super::changelog::{ChangeLog, Commit, Cursor, Next, Record, Refused};
use super::{
    CommitError, Committed, Compare, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store,
    Txn, Watch, WatchError, limits,
};

/// Commits that one hold of the lock forgets when a caller compacts.
const COMPACT_STEP: usize = 1024;

/// Keeps everything in memory; for tests, and where nothing need outlive the process.
///
/// History is bounded by [`MemoryStoreOptions`]: beyond that the oldest commits are compacted, and a watcher
/// that has not read them is told [`WatchError::Compacted`]. Values are shared with whoever reads them, never
/// copied. When the store is dropped its watches end with [`WatchError::Unavailable`].
///
/// ```
/// use orch_core::store::{MemoryStore, Revision, Store, Txn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let mut watch = store.watch(&"pods/".into(), Revision::ZERO).await?;
/// store.commit(Txn::new().create("pods/web", "{}")).await?;
/// let batch = watch.next().await.expect("a watch ends only after an error")?;
/// assert_eq!(batch.changes[0].1.key, "pods/web".into());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    state: RwLock<State>,
    log: ChangeLog,
}

#[derive(Debug)]
struct State {
    versions: Versions,
    revision: Revision,
    /// Lists before this revision, and watches from before it, are refused.
    compacted: Revision,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_options(MemoryStoreOptions::default())
    }

    /// An empty store that behaves as `options` say.
    pub fn with_options(options: MemoryStoreOptions) -> Self {
        Self {
            state: RwLock::new(State {
                versions: Versions::default(),
                revision: Revision::ZERO,
                compacted: Revision::ZERO,
            }),
            log: ChangeLog::new(options.bounds(), Revision::ZERO),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.log.close();
    }
}

// Nothing here waits, so each call takes part in tokio's cooperative scheduling: a task that does nothing but
// read and write still lets others run.
#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        consume_budget().await;
        let state = self.state.read();
        Ok(Read {
            value: state.versions.newest(key).map(|version| version.entry(key)),
            revision: state.revision,
        })
    }

    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
        consume_budget().await;
        let state = self.state.read();
        let at = options.at.unwrap_or(state.revision);
        if at > state.revision {
            return Err(ReadError::Future {
                requested: at,
                newest: state.revision,
            });
        }
        if at < state.compacted {
            return Err(ReadError::Compacted {
                requested: at,
                oldest: state.compacted,
            });
        }
        let limit = match options.limit {
            None | Some(0) => limits::PAGE_ENTRIES,
            Some(limit) => limit.min(limits::PAGE_ENTRIES),
        };
        let mut range = state.versions.range(prefix, options.from.as_ref(), at);
        let entries = range
            .by_ref()
            .take(limit)
            .map(|(key, version)| version.entry(key))
            .collect();
        Ok(Page {
            entries,
            revision: at,
            next: range.next().map(|(key, _)| key.clone()),
        })
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        consume_budget().await;
        txn.check()?;
        // What is forgotten is freed, and watchers are woken, after the lock is released.
        let mut appended;
        let revision;
        {
            let mut state = self.state.write();
            revision = state.revision.next();
            let Some(commit) = state.apply(txn, revision)? else {
                return Ok(Committed {
                    revision: state.revision,
                    changed: false,
                });
            };
            state.revision = revision;
            appended = self.log.append(commit);
            state.forget(&appended.trimmed);
        }
        appended.wake();
        Ok(Committed {
            revision,
            changed: true,
        })
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        consume_budget().await;
        let cursor = self
            .log
            .subscribe(prefix, after)
            .map_err(|refused| match refused {
                Refused::Trimmed { oldest } => WatchError::Compacted { after, oldest },
                Refused::Future { newest } => WatchError::Future {
                    requested: after,
                    newest,
                },
            })?;
        Ok(follow(cursor, self.log.clone()))
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        loop {
            consume_budget().await;
            let trimmed;
            {
                let mut state = self.state.write();
                if through > state.revision {
                    return Err(ReadError::Future {
                        requested: through,
                        newest: state.revision,
                    });
                }
                trimmed = self.log.trim(through, COMPACT_STEP);
                state.forget(&trimmed);
            }
            if trimmed.len() < COMPACT_STEP {
                return Ok(());
            }
        }
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        Ok(self.state.read().revision)
    }
}

impl State {
    /// Makes the changes; none if there is nothing to change. Fails with the first compare that does not hold, and
    /// changes nothing then.
    fn apply(&mut self, mut txn: Txn, revision: Revision) -> Result<Option<Commit>, CommitError> {
        // Most transactions look at one key and write it.
        if let ([compare], [op]) = (&*txn.compares, &*txn.ops)
            && compare.key == *op.key()
            && let (Some(compare), Some(op)) = (txn.compares.pop(), txn.ops.pop())
        {
            let applied = self.versions.apply(op, Some(compare.expect), revision);
            let record = applied.map_err(|actual| conflict(compare, actual))?;
            return Ok(record.map(|record| Commit::one(revision, record)));
        }
        for compare in txn.compares {
            let actual = self.versions.newest(&compare.key).map(|version| version.modified);
            if !compare.expect.holds(actual) {
                return Err(conflict(compare, actual));
            }
        }
        let records: Vec<Record> = txn
            .ops
            .into_iter()
            .filter_map(|op| self.versions.apply(op, None, revision).ok().flatten())
            .collect();
        Ok((!records.is_empty()).then(|| Commit::new(revision, records)))
    }

    /// Drops the versions that the trimmed commits replaced.
    fn forget(&mut self, trimmed: &[std::sync::Arc<Commit>]) {
        for commit in trimmed {
            for record in commit.records() {
                self.versions.forget_before(&record.key, commit.revision);
            }
            self.compacted = commit.revision;
        }
    }
}

fn conflict(compare: Compare, actual: Option<Revision>) -> CommitError {
    CommitError::Conflict {
        key: compare.key,
        expected: compare.expect,
        actual,
    }
}

/// The watch that a cursor makes; it ends after what the cursor cannot deliver.
fn follow(cursor: Cursor, log: ChangeLog) -> Watch {
    Watch::new(stream::unfold(Some(cursor), move |cursor| {
        let log = log.clone();
        async move {
            let mut cursor = cursor?;
            let next = std::future::poll_fn(|cx| cursor.poll_next(cx)).await;
            Some(match next {
                Next::Batch(batch) => (Ok(batch), Some(cursor)),
                Next::Trimmed { .. } => {
                    let error = WatchError::Compacted {
                        after: cursor.seen(),
                        oldest: log.oldest(),
                    };
                    (Err(error), None)
                }
                Next::Closed => (Err(WatchError::Unavailable("the store was dropped".into())), None),
            })
        }
    }))
}
