//! The store as its users see it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use orch_core::store::changelog::ChangeLog;
use orch_core::store::{
    CommitError, Committed, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store, Txn,
    Watch, WatchError,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::coop::consume_budget;

use crate::error::Fault;
use crate::files::Place;
use crate::pace::Pace;
use crate::queue::{Queue, Request};
use crate::snapshot::{Shared, Snapshot};
use crate::writer::Writer;
use crate::{OpenError, RedbStoreOptions, list, open, watch};

/// A durable store in one file.
///
/// Commits are written by one thread of the store's own, so that no sync ever blocks a task; those that wait
/// together share one sync of a journal beside the file. They stay in memory until a checkpoint brings them into
/// the file, many at once, on a thread beside that one. Gets and lists read the file's cached pages in the caller's task: a get is a
/// microsecond, less than handing it to another thread, and a list gives way to other tasks between hundreds
/// of entries. A page that is not in memory is read from disk there and then, as any mapped file would be.
///
/// Watches follow a short log in memory; who resumes from further back, or falls behind, reads history from
/// the file until it meets that log.
///
/// Dropping the store serves the commits that already wait, brings everything into the file, and ends
/// the thread; it blocks for that moment. [`close`](Self::close) does the same without blocking. Watches end
/// with [`WatchError::Unavailable`].
///
/// # When the disk fails
///
/// A commit that finds no room is [`Unavailable`](CommitError::Unavailable), and the next may be taken. If the sync of the
/// journal fails, its commits are [`Unknown`](CommitError::Unknown), and the store takes no more: after such a failure the system
/// may take for written what it could not write, so that no later sync can be believed. Reads and watches go on, and tell
/// what was acknowledged. Close the store and open it anew: that reads what the disk has, and tells whether the unknown commits
/// are there.
///
/// ```
/// use orch_core::store::{Store, Txn};
/// use orch_store::RedbStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("state.redb");
/// let store = RedbStore::open(&path)?;
/// let committed = store.commit(Txn::new().create("greeting", "hello")).await?;
/// store.close().await;
///
/// let store = RedbStore::open(&path)?;
/// let entry = store.get(&"greeting".into()).await?.value.expect("it was written");
/// assert_eq!(entry.modified, committed.revision);
/// # Ok(())
/// # }
/// ```
pub struct RedbStore {
    shared: Arc<Shared>,
    pub(crate) queue: Arc<Queue>,
    work: Work,
}

/// Who serves those who wait.
enum Work {
    Thread {
        /// Resolves when the thread has ended.
        ended: Option<oneshot::Receiver<()>>,
        thread: Option<JoinHandle<()>>,
    },
    /// They do themselves. None once the store is closed.
    Callers(Box<Mutex<Option<Writer>>>),
}

impl RedbStore {
    /// Opens the store at `path`, or makes one if there is no file, with the default
    /// [options](RedbStoreOptions), which say [what it may wait for](RedbStoreOptions::open).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(&Place::of_system(path.as_ref()), &RedbStoreOptions::new())
    }

    pub(crate) fn open_with(place: &Place, options: &RedbStoreOptions) -> Result<Self, OpenError> {
        let opened = open::open(place, options)?;
        let base = opened.file.base().map_err(|fault| OpenError::Damaged {
            path: place.path.clone(),
            reason: fault.to_string(),
        })?;
        let snapshot = Snapshot::of(base, opened.file.state.compacted);
        let revision = snapshot.revision;
        let shared = Arc::new(Shared::new(snapshot, ChangeLog::new(options.live, revision)));
        let queue = Arc::new(Queue::new());
        tracing::info!(path = %place.path.display(), %revision, "store opened");
        let pace = Pace::new(place.drawn.clone());
        let writer = Writer::new(opened, shared.clone(), queue.clone(), options, pace);
        let work = if place.drawn.is_some() {
            Work::Callers(Box::new(Mutex::new(Some(writer))))
        } else {
            Work::on_a_thread(writer).map_err(|source| OpenError::Io {
                path: place.path.clone(),
                source,
            })?
        };
        Ok(Self { shared, queue, work })
    }

    /// Closes the store once the commits that wait are served; afterwards the file can be opened again.
    pub async fn close(mut self) {
        self.queue.close();
        if let Work::Thread { ended, .. } = &mut self.work
            && let Some(ended) = ended.take()
        {
            let _ = ended.await;
        }
    }
}

impl Work {
    fn on_a_thread(writer: Writer) -> std::io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("orch-store".to_owned())
            .spawn(move || {
                writer.run();
                drop(end);
            });
        Ok(Self::Thread {
            ended: Some(ended),
            thread: Some(thread?),
        })
    }

    /// What came of a request that is in line; none if the store was closed before it could be served.
    async fn answer<T>(&self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        match self {
            Self::Thread { .. } => answer.await.ok(),
            Self::Callers(writer) => {
                // Without an await: who is dropped has either not begun, or been answered.
                if let Some(writer) = &mut *writer.lock() {
                    writer.serve_waiting();
                }
                answer.try_recv().ok()
            }
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.queue.close();
        match &mut self.work {
            Work::Thread { thread, .. } => {
                if let Some(thread) = thread.take() {
                    // A panic of the thread was reported when it happened.
                    let _ = thread.join();
                }
            }
            Work::Callers(writer) => {
                if let Some(writer) = writer.get_mut().take() {
                    writer.end();
                }
            }
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("log", &self.shared.log)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        consume_budget().await;
        let snapshot = self.shared.snapshot()?;
        let version = snapshot.get(key)?;
        Ok(Read {
            value: version.map(|version| version.entry(key)),
            revision: snapshot.revision,
        })
    }

    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
        list::list(&self.shared, prefix, options).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        txn.check()?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Commit { txn, reply };
        self.queue
            .push(request)
            .await
            .map_err(|fault| CommitError::Unavailable(Box::new(fault)))?;
        let answer = self.work.answer(answer).await;
        answer.unwrap_or_else(|| Err(CommitError::Unknown(Box::new(Fault::Closed))))
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        consume_budget().await;
        watch::watch(self.shared.clone(), prefix, after)
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Request::Compact { through, reply }).await?;
        self.work.answer(answer).await.ok_or(Fault::Closed)?
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        Ok(self.shared.snapshot()?.revision)
    }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        Self::Unavailable(Box::new(fault))
    }
}

impl From<Fault> for WatchError {
    fn from(fault: Fault) -> Self {
        Self::Unavailable(Box::new(fault))
    }
}
