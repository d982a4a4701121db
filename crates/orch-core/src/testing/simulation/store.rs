//! The store as a component sees it.

use async_trait::async_trait;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::component::Life;
use super::fault::{Call, Fault, LATE, Point};
use crate::store::{
    Batch, CommitError, Committed, Entry, Key, ListOptions, Page, Prefix, Read, ReadError, Revision, Store,
    Txn, Watch, WatchError,
};

/// How many revisions a stale list lies back at most.
const STALE: u64 = 20;

/// The store of a run, as one life of a component sees it.
pub(super) struct ComponentStore {
    life: Life,
}

/// The cause that injected errors give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the simulation makes it fail")]
struct Injected;

impl ComponentStore {
    pub(super) fn new(life: Life) -> Self {
        Self { life }
    }

    /// The store; who is not to suffer waits for it.
    async fn inner(&self) -> Result<Arc<dyn Store>, Injected> {
        let world = self.life.world();
        match world.store() {
            Some(store) => Ok(store),
            None if self.life.is_tried() => Err(Injected),
            None => Ok(world.store_with_power().await),
        }
    }

    /// Asks the store; where who asks is not to suffer, until the power stays on meanwhile.
    async fn ask<T, E: From<Injected>, F: Future<Output = Result<T, E>> + Send>(
        &self,
        ask: impl Fn(Arc<dyn Store>) -> F + Send + Sync,
    ) -> Result<T, E> {
        loop {
            let store = self.inner().await?;
            let answer = ask(store.clone()).await;
            self.life.world().look_at_power();
            if answer.is_ok() || self.life.is_tried() || self.life.world().is_in_use(&Arc::downgrade(&store))
            {
                return answer;
            }
        }
    }

    /// Commits for one who is not to suffer: until it is known what came of it.
    async fn commit_at_last(&self, txn: Txn) -> Result<Committed, CommitError> {
        let world = self.life.world();
        loop {
            let store = world.store_with_power().await;
            let (committed, unsure) = world.commit(self.life.shared_name(), &*store, txn.clone()).await;
            if committed.is_ok() || world.is_in_use(&Arc::downgrade(&store)) {
                return committed;
            }
            world.store_with_power().await;
            if let Some(landed) = unsure.and_then(|unsure| world.0.powered.landed(unsure)) {
                return Ok(landed);
            }
        }
    }

    /// Commits for one who may suffer.
    async fn deliver(&self, txn: Txn, point: Option<&Point>) -> Result<Committed, CommitError> {
        let store = self
            .inner()
            .await
            .map_err(|cause| CommitError::Unavailable(cause.into()))?;
        let world = self.life.world();
        let (committed, _) = world.commit(self.life.shared_name(), &*store, txn).await;
        let has_changed = committed.as_ref().is_ok_and(|committed| committed.changed);
        world.done(point, has_changed);
        committed
    }

    /// Begins a read of this kind; where it is, and the fault, if it does not fail.
    async fn read(&self, call: Call) -> Result<(Option<Fault>, Option<Point>), Injected> {
        let (point, fault) = self.life.enter(call).await;
        if self.life.is_cut_off() || fault == Some(Fault::Fails) {
            return Err(Injected);
        }
        Ok((fault, point))
    }
}

impl From<Injected> for ReadError {
    fn from(cause: Injected) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl From<Injected> for WatchError {
    fn from(cause: Injected) -> Self {
        Self::Unavailable(cause.into())
    }
}

#[async_trait]
impl Store for ComponentStore {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        let (fault, _) = self.read(Call::Read).await?;
        let read = self.ask(|store| async move { store.get(key).await }).await;
        self.life.leave(fault).await;
        read
    }

    async fn list(&self, prefix: &Prefix, mut options: ListOptions) -> Result<Page, ReadError> {
        let call = if options.may_be_stale && options.at.is_none() {
            Call::View
        } else {
            Call::Read
        };
        let (fault, point) = self.read(call).await?;
        if fault == Some(Fault::Stale) {
            let store = self.inner().await?;
            let newest = store.revision().await?;
            // Where there are few revisions, most would otherwise be of before the first, and show nothing.
            let most = STALE.min(newest.get());
            let back = point.map_or(0, |point| self.life.world().draw(&point, most));
            let at = Revision::new(newest.get().saturating_sub(1 + back));
            let stale = ListOptions {
                at: Some(at),
                ..options.clone()
            };
            if let Ok(page) = store.list(prefix, stale).await {
                self.life.leave(fault).await;
                return Ok(page);
            }
            options.at = None;
        }
        let options = &options;
        let page = self
            .ask(|store| async move { store.list(prefix, options.clone()).await })
            .await;
        self.life.leave(fault).await;
        page
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        if !self.life.is_tried() {
            return self.commit_at_last(txn).await;
        }
        let (point, fault) = self.life.enter(Call::Commit).await;
        if self.life.is_cut_off() {
            return Err(CommitError::Unavailable(Injected.into()));
        }
        match fault {
            Some(Fault::Fails) => return Err(CommitError::Unavailable(Injected.into())),
            Some(Fault::Lost) => return Err(CommitError::Unknown(Injected.into())),
            Some(Fault::Conflicts) => {
                // Of the keys that it looks at, one that it writes: any other would be a fence.
                let writes = |key: &Key| txn.ops.iter().any(|op| op.key() == key);
                let compare = txn.compares.iter().find(|compare| writes(&compare.key));
                if let Some(compare) =
                    compare.filter(|compare| compare.expect != crate::store::Expect::Absent)
                {
                    return Err(CommitError::Conflict {
                        key: compare.key.clone(),
                        expected: compare.expect,
                        actual: Some(self.life.world().look(super::state::State::revision)),
                    });
                }
            }
            _ => {}
        }
        if fault == Some(Fault::Late) {
            let (arriving, point) = (Self::new(self.life.clone()), point.clone());
            let under_way = tokio::spawn(async move {
                if let Some(point) = &point {
                    let late = arriving.life.world().draw_time(point, LATE);
                    tokio::time::sleep(late).await;
                }
                arriving.life.live().await;
                arriving.deliver(txn, point.as_ref()).await
            });
            return match under_way.await {
                Ok(committed) => committed,
                Err(gone) => Err(CommitError::Unknown(Box::new(gone))),
            };
        }
        let committed = self.deliver(txn, point.as_ref()).await;
        self.life.leave(fault).await;
        match fault {
            Some(Fault::Unanswered) if committed.is_ok() => Err(CommitError::Unknown(Injected.into())),
            _ => committed,
        }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        let (fault, _) = self.read(Call::Read).await?;
        let (watch, store) = self
            .ask(|store| async move {
                let watch = store.watch(prefix, after).await?;
                Ok::<_, WatchError>((watch, Arc::downgrade(&store)))
            })
            .await?;
        self.life.leave(fault).await;
        let delivery = Delivery {
            life: self.life.clone(),
            watch,
            store,
            after,
            again: None,
        };
        Ok(Watch::new(futures::stream::unfold(
            Some(delivery),
            |delivery| async { delivery?.next().await },
        )))
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        self.read(Call::Read).await?;
        self.ask(|store| async move { store.compact(through).await })
            .await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.read(Call::Read).await?;
        self.ask(|store| async move { store.revision().await }).await
    }
}

/// A watch as it reaches a component.
struct Delivery {
    life: Life,
    watch: Watch,
    /// The watch ends with its power: calls that were under way when their caller died hold it for ever, and keep it from
    /// ending the watch.
    store: Weak<dyn Store>,
    after: Revision,
    /// What was delivered last and is delivered once more.
    again: Option<Batch>,
}

impl Delivery {
    async fn next(mut self) -> Option<(Result<Batch, WatchError>, Option<Self>)> {
        if let Some(batch) = self.again.take() {
            return Some((Ok(batch), Some(self)));
        }
        let batch = loop {
            let world = self.life.world().clone();
            let troubled = world.0.troubled.notified();
            if self.life.is_cut_off() || !world.is_in_use(&self.store) {
                return Some((Err(Injected.into()), None));
            }
            tokio::select! {
                biased;
                batch = self.watch.next() => break batch?,
                () = troubled => {}
            }
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => return Some((Err(error), None)),
        };
        let (point, fault) = self.life.enter(Call::Watch).await;
        match fault {
            Some(Fault::Ends) => return Some((Err(Injected.into()), None)),
            Some(Fault::Skips) => {
                let error = WatchError::Compacted {
                    after: self.after,
                    oldest: batch.revision,
                };
                return Some((Err(error), None));
            }
            Some(Fault::Lags) => {
                let world = self.life.world();
                let lag = point.map_or(Duration::ZERO, |point| world.draw_time(&point, world.0.lag));
                tokio::time::sleep(lag).await;
            }
            Some(Fault::Repeats) => self.again = Some(batch.clone()),
            _ => {}
        }
        self.life.leave(None).await;
        self.after = batch.revision;
        Some((Ok(batch), Some(self)))
    }
}
