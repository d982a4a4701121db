//! A store that fails when it is told to, over one that does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::store::{
    CommitError, Committed, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store, Txn,
    Watch, WatchError,
};

/// Passes everything on to another store, but for what it is told to spoil.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_core::store::{CommitError, MemoryStore, Store, Txn};
/// use orch_core::testing::{Fault, FaultyStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyStore::new(Arc::new(MemoryStore::new()));
/// store.spoil_next([Fault::AppliedUnanswered]);
/// let answer = store.commit(Txn::new().create("greeting", "hello")).await;
/// assert!(matches!(answer, Err(CommitError::Unknown(_))));
/// assert!(store.get(&"greeting".into()).await?.value.is_some(), "applied all the same");
///
/// store.set_available(false);
/// assert!(store.get(&"greeting".into()).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    available: watch::Sender<bool>,
    next: Mutex<VecDeque<Fault>>,
    pages: AtomicUsize,
}

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is done as if nothing were wrong.
    None,
    /// It is not done: [`CommitError::Unavailable`].
    Unavailable,
    /// It is not done, and the caller cannot know: [`CommitError::Unknown`].
    LostUnanswered,
    /// It is done, and the caller cannot know: [`CommitError::Unknown`].
    AppliedUnanswered,
}

impl FaultyStore {
    /// A store that does all that `inner` does until it is told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            available: watch::Sender::new(true),
            next: Mutex::default(),
            pages: AtomicUsize::new(0),
        }
    }

    /// While it is not available every call fails, and every watch ends with [`WatchError::Unavailable`].
    pub fn set_available(&self, available: bool) {
        self.available.send_replace(available);
    }

    /// What becomes of the next commits, one after another; those after them succeed.
    pub fn spoil_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.next.lock().extend(faults);
    }

    /// How many pages it was asked for so far: what a reader costs the store.
    pub fn pages(&self) -> usize {
        self.pages.load(Ordering::Relaxed)
    }

    fn reach(&self) -> Result<&dyn Store, Unreachable> {
        if *self.available.borrow() {
            Ok(&*self.inner)
        } else {
            Err(Unreachable)
        }
    }
}

/// The cause that its errors give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store was told to fail")]
struct Unreachable;

impl From<Unreachable> for ReadError {
    fn from(cause: Unreachable) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl From<Unreachable> for WatchError {
    fn from(cause: Unreachable) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl From<Unreachable> for CommitError {
    fn from(cause: Unreachable) -> Self {
        Self::Unavailable(cause.into())
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        self.reach()?.get(key).await
    }

    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.reach()?.list(prefix, options).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        let store = self.reach()?;
        let fault = self.next.lock().pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::None => store.commit(txn).await,
            Fault::Unavailable => Err(Unreachable.into()),
            Fault::LostUnanswered => Err(CommitError::Unknown(Unreachable.into())),
            Fault::AppliedUnanswered => {
                store.commit(txn).await?;
                Err(CommitError::Unknown(Unreachable.into()))
            }
        }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        let watch = self.reach()?.watch(prefix, after).await?;
        let mut available = self.available.subscribe();
        let outage = futures::stream::once(async move {
            // An error says that the store is gone, and so nobody can tell it to fail.
            if available.wait_for(|available| !available).await.is_err() {
                std::future::pending::<()>().await;
            }
            Err(Unreachable.into())
        });
        let batches = futures::stream::select(watch, outage).boxed();
        // An error is a watch's last item.
        Ok(Watch::new(futures::stream::unfold(
            Some(batches),
            |batches| async {
                let mut batches = batches?;
                let batch = batches.next().await?;
                let rest = batch.is_ok().then_some(batches);
                Some((batch, rest))
            },
        )))
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        self.reach()?.compact(through).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.reach()?.revision().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn an_outage_ends_watches_and_passes() {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        let mut watch = store.watch(&"a".into(), Revision::ZERO).await.unwrap();
        store.commit(Txn::new().create("a1", "x")).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().revision, Revision::new(1));
        store.set_available(false);
        assert!(matches!(
            watch.next().await,
            Some(Err(WatchError::Unavailable(_)))
        ));
        assert!(watch.next().await.is_none());
        assert!(store.watch(&"a".into(), Revision::ZERO).await.is_err());
        assert!(store.commit(Txn::new().create("a2", "x")).await.is_err());
        store.set_available(true);
        assert_eq!(store.revision().await.unwrap(), Revision::new(1));
    }

    #[tokio::test]
    async fn commits_meet_the_faults_in_order() {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        store.spoil_next([
            Fault::Unavailable,
            Fault::LostUnanswered,
            Fault::AppliedUnanswered,
        ]);
        let create = |key: &'static str| store.commit(Txn::new().create(key, "x"));
        assert!(matches!(create("a").await, Err(CommitError::Unavailable(_))));
        assert!(matches!(create("b").await, Err(CommitError::Unknown(_))));
        assert!(matches!(create("c").await, Err(CommitError::Unknown(_))));
        assert_eq!(
            create("d").await.unwrap().revision,
            Revision::new(2),
            "c and d were written"
        );
    }

    mod left_alone_it_is_a_store {
        use super::*;

        crate::store_conformance!(async || FaultyStore::new(Arc::new(MemoryStore::new())));
    }
}
