//! A store that is far away, for one kind of objects: news of them come late, and so do writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use orch_core::store::{
    CommitError, Committed, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store, Txn,
    Watch, WatchError,
};
use orch_core::testing::{Fault, FaultyStore};
use parking_lot::Mutex;

/// Passes everything on, but for what it was told to do with the objects of one kind.
pub(crate) struct Distant {
    inner: Arc<FaultyStore>,
    kind: Prefix,
    lag: Arc<Mutex<Duration>>,
    past: Mutex<Option<Revision>>,
    next: Mutex<VecDeque<Mishap>>,
    reads: AtomicUsize,
}

/// What becomes of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// It meets a fault of the store.
    Meets(Fault),
    /// Its caller hears at once that nobody knows what became of it, and it arrives so much later.
    Late(Duration),
}

impl Distant {
    /// Far away for the objects whose plural is this, of Kubernetes' core group.
    pub(crate) fn new(inner: Arc<dyn Store>, plural: &str) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(FaultyStore::new(inner)),
            kind: format!("registry/{plural}/").into(),
            lag: Arc::default(),
            past: Mutex::default(),
            next: Mutex::default(),
            reads: AtomicUsize::new(0),
        })
    }

    /// Each piece of news takes so long from now on, one after the other.
    pub(crate) fn set_lag(&self, lag: Duration) {
        *self.lag.lock() = lag;
    }

    /// Views are filled from here with what was there then.
    pub(crate) fn set_past(&self, past: Revision) {
        *self.past.lock() = Some(past);
    }

    /// How often such objects were listed as they are now, and not for a view.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// What becomes of the next commits that write such objects.
    pub(crate) fn spoil_next(&self, mishaps: impl IntoIterator<Item = Mishap>) {
        self.next.lock().extend(mishaps);
    }
}

#[async_trait]
impl Store for Distant {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &Prefix, mut options: ListOptions) -> Result<Page, ReadError> {
        if options.may_be_stale && *prefix == self.kind {
            options.at = options.at.or(*self.past.lock());
        }
        if !options.may_be_stale && prefix.as_ref().starts_with(self.kind.as_ref()) {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.list(prefix, options).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        let is_such = txn.ops.iter().any(|op| self.kind.contains(op.key()));
        let mishap = is_such.then(|| self.next.lock().pop_front()).flatten();
        match mishap {
            None => {}
            Some(Mishap::Meets(fault)) => self.inner.spoil_next([fault]),
            Some(Mishap::Late(time)) => {
                let store = Arc::clone(&self.inner);
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    store.commit(txn).await
                });
                return Err(CommitError::Unknown("it is under way".into()));
            }
        }
        self.inner.commit(txn).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        let watch = self.inner.watch(prefix, after).await?;
        if *prefix != self.kind {
            return Ok(watch);
        }
        let lag = Arc::clone(&self.lag);
        Ok(Watch::new(watch.then(move |batch| {
            let lag = *lag.lock();
            async move {
                tokio::time::sleep(lag).await;
                batch
            }
        })))
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        self.inner.compact(through).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.inner.revision().await
    }
}
