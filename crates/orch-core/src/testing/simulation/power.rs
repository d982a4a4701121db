//! A store that outlives its power: what it must have kept, and how a run goes on with it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::state::State;
use super::trace::What;
use super::world::World;
use crate::random::Random;
use crate::store::{Change, Committed, Compare, Key, ListOptions, Op, Prefix, Revision, Store, Txn};

/// How long a power cut waits for the change in whose midst it is to come.
const WAIT: Duration = Duration::from_secs(10);

/// The change in whose midst the power fails is one of so many to come.
const CHANGES: u64 = 60;

/// The longest that the power is away, in seconds.
const AWAY: u64 = 30;

/// A disk with a store on it, for [`Setup::store`](super::Setup::store).
///
/// For runs to be the same each time, the store must do all that it does in the calls that are made to it, and neither it
/// nor the disk may ask for the time or for chance that does not come from a seed.
///
/// What came of a commit may be [unknown](crate::store::CommitError::Unknown) when the power has failed, and only then:
/// otherwise the run fails, since it could not know any more what the store holds. So a disk that also fails in other ways
/// is not for a simulation.
pub trait StoreOnDisk: Send + Sync + 'static {
    /// Opens the store that is on the disk, or makes one. The one that was opened before is of no use any more.
    ///
    /// # Errors
    ///
    /// What is wrong. It fails the run, unless the disk has lost its power meanwhile.
    fn open(&self) -> Result<Arc<dyn Store>, String>;

    /// The power fails in the midst of a change of the disk, after so many more. From then on everything fails, and what
    /// was not durable may be lost.
    fn power_cut_after(&self, changes: u64);

    /// The power fails now, if it is there.
    fn power_cut(&self);

    /// The power is back, and no cut is to come.
    fn power_on(&self);

    /// Whether there is power.
    fn has_power(&self) -> bool;
}

/// The store of a run, and the disk that it is on.
pub(super) struct Powered {
    disk: Option<Box<dyn StoreOnDisk>>,
    /// None while there is no power.
    store: RwLock<Option<Arc<dyn Store>>>,
    /// Rung when the power goes, and when it is back.
    turned: Notify,
    unsure: Mutex<Unsure>,
}

/// Commits of which those who made them cannot know whether they are there.
#[derive(Default)]
struct Unsure {
    /// How many there have been.
    count: u64,
    /// Since the power was there last.
    commits: Vec<(u64, Arc<str>, Txn)>,
    /// Those that were found when it was back.
    landed: Vec<(u64, Revision)>,
    /// Whether a power cut is under way.
    is_cut: bool,
}

impl Powered {
    pub(super) fn always(store: impl Store) -> Self {
        Self::new(None, Some(Arc::new(store)))
    }

    /// The store on this disk, which is opened by [`World::power_up`].
    pub(super) fn by(disk: Box<dyn StoreOnDisk>) -> Self {
        Self::new(Some(disk), None)
    }

    fn new(disk: Option<Box<dyn StoreOnDisk>>, store: Option<Arc<dyn Store>>) -> Self {
        Self {
            disk,
            store: RwLock::new(store),
            turned: Notify::new(),
            unsure: Mutex::default(),
        }
    }

    /// Takes note of a commit whose outcome is unknown; by what it can be asked for.
    pub(super) fn note(&self, by: &Arc<str>, txn: Txn) -> u64 {
        let mut unsure = self.unsure.lock();
        unsure.count += 1;
        let number = unsure.count;
        unsure.commits.push((number, by.clone(), txn));
        number
    }

    /// What came of a commit whose outcome was unknown, now that the power is back.
    pub(super) fn landed(&self, number: u64) -> Option<Committed> {
        let unsure = self.unsure.lock();
        let landed = unsure.landed.iter().find(|(landed, _)| *landed == number);
        landed.map(|(_, revision)| Committed {
            revision: *revision,
            changed: true,
        })
    }
}

impl World {
    /// The store; none while there is no power.
    pub(super) fn store(&self) -> Option<Arc<dyn Store>> {
        self.0.powered.store.read().clone()
    }

    /// The store, as soon as there is power.
    pub(super) async fn store_with_power(&self) -> Arc<dyn Store> {
        loop {
            let turned = self.0.powered.turned.notified();
            if let Some(store) = self.store() {
                return store;
            }
            turned.await;
        }
    }

    /// Whether there has been power since this store was opened.
    pub(super) fn is_in_use(&self, store: &Weak<dyn Store>) -> bool {
        let now = self.store();
        now.is_some_and(|now| std::ptr::addr_eq(Arc::as_ptr(&now), store.as_ptr()))
    }

    pub(super) fn has_power(&self) -> bool {
        let disk = self.0.powered.disk.as_ref();
        disk.is_none_or(|disk| disk.has_power())
    }

    /// A store does not know what came of a commit: on a disk that is for power cuts to bring, after which it can be known.
    pub(super) fn must_know_with_power(&self) {
        if self.0.powered.disk.is_some() && self.has_power() {
            self.fail(
                "the store does not know what came of a commit, and its disk has power: in a simulation a disk must fail in no other way than by \
                 losing it",
            );
        }
    }

    /// Takes note of it if the power has gone.
    pub(super) fn look_at_power(&self) {
        let powered = &self.0.powered;
        if self.has_power() {
            return;
        }
        if let Some(store) = powered.store.write().take() {
            self.record(&"world".into(), What::Note("the power is off".to_owned()), &[]);
            drop(store);
            self.0.troubled.notify_waiters();
            powered.turned.notify_waiters();
        }
    }

    /// The power of the store's disk fails: in the midst of one of the next sixty changes of the disk or, if fewer come
    /// within ten seconds, then. It is back within half a minute; this returns then.
    ///
    /// Meanwhile all calls to the store fail, those of the scenario apart, which wait; all watches end, the scenario's too.
    /// What is drawn from `random`: when it
    /// happens, for how long, whether all components die with it, as on one machine, and whether the power fails again while
    /// the store is opened.
    ///
    /// The run fails if the store cannot be opened any more, if a commit that was acknowledged is not there or is another,
    /// or if one is there that nobody made, or of which its maker was told that it would not be, in whatever words but
    /// [`Unknown`](crate::store::CommitError::Unknown).
    ///
    /// It also fails if the store is not [on a disk](super::Setup::store), and has no power to lose. While another power cut is
    /// under way nothing happens.
    pub async fn power_cut(&self, random: &Random) {
        let powered = &self.0.powered;
        let Some(disk) = &powered.disk else {
            self.fail("World::power_cut: the store is in memory and has no power to lose; Setup::store puts one on a disk");
            return;
        };
        if std::mem::replace(&mut powered.unsure.lock().is_cut, true) {
            return;
        }
        disk.power_cut_after(random.below(CHANGES));
        let gone = async {
            loop {
                let turned = powered.turned.notified();
                if self.store().is_none() {
                    return;
                }
                turned.await;
            }
        };
        if tokio::time::timeout(WAIT, gone).await.is_err() {
            disk.power_cut();
            self.look_at_power();
        }
        if random.below(2) == 0 {
            let names: Vec<_> = self.0.lives.lock().keys().cloned().collect();
            names.iter().for_each(|name| self.crash(name));
        }
        tokio::time::sleep(Duration::from_secs(1 + random.below(AWAY - 1))).await;
        let again = (random.below(3) == 0).then(|| random.below(CHANGES));
        if let Err(why) = self.power_up(again).await {
            self.fail(why);
        }
        powered.unsure.lock().is_cut = false;
    }

    /// The power is there, and the store is opened; with a cut in between, if one is to come `after` so many changes.
    pub(super) async fn power_up(&self, mut after: Option<u64>) -> Result<(), String> {
        let powered = &self.0.powered;
        let Some(disk) = &powered.disk else { return Ok(()) };
        loop {
            disk.power_on();
            if let Some(after) = after.take() {
                disk.power_cut_after(after);
            }
            let opened = disk.open();
            if !disk.has_power() {
                continue;
            }
            let store = opened.map_err(|why| format!("the store cannot be opened: {why}"))?;
            // A cut that was to come while it was opened comes no more.
            disk.power_on();
            self.catch_up(&*store).await?;
            let revision = self.look(State::revision);
            self.record(
                &"world".into(),
                What::Note(format!("the store is open at {revision}")),
                &[],
            );
            *powered.store.write() = Some(store);
            powered.turned.notify_waiters();
            return Ok(());
        }
    }

    /// Takes note of what was committed without anybody being told, and checks everything else.
    async fn catch_up(&self, store: &dyn Store) -> Result<(), String> {
        let failed = |error: &dyn std::fmt::Display| format!("the store, opened anew: {error}");
        let known = self.look(State::revision);
        let newest = store.revision().await.map_err(|error| failed(&error))?;
        if newest < known {
            return Err(format!(
                "the store, opened anew, is at {newest}, and {known} was acknowledged"
            ));
        }
        let all = Prefix::default();
        let mut watch = store.watch(&all, known).await.map_err(|error| failed(&error))?;
        let mut reached = known;
        while reached < newest {
            let batch = watch.next().await.ok_or_else(|| failed(&"a watch has ended"))?;
            let batch = batch.map_err(|error| failed(&error))?;
            reached = batch.revision;
            for commit in batch.changes.chunk_by(|one, two| one.0 == two.0) {
                self.land(commit)?;
            }
        }
        self.0.powered.unsure.lock().commits.clear();
        self.check_store(store).await
    }

    /// A commit is found of which nothing was known.
    fn land(&self, commit: &[(Revision, Change)]) -> Result<(), String> {
        let revision = commit[0].0;
        let mut unsure = self.0.powered.unsure.lock();
        let is_it = |txn: &Txn| self.look(|state| is_what_came_of(txn, commit, state));
        let Some(at) = unsure.commits.iter().position(|(_, _, txn)| is_it(txn)) else {
            let key = &commit[0].1.key;
            return Err(format!(
                "the store, opened anew, has a commit of {key} at {revision} that nobody made, or that was refused"
            ));
        };
        let (number, by, txn) = unsure.commits.remove(at);
        unsure.landed.push((number, revision));
        drop(unsure);
        self.committed(&by, revision, txn.ops);
        Ok(())
    }

    /// Whether the store holds what it was seen to commit, and nothing else.
    async fn check_store(&self, store: &dyn Store) -> Result<(), String> {
        let mut options = ListOptions::default();
        let mut held = Vec::new();
        loop {
            let page = store.list(&Prefix::default(), options.clone()).await;
            let page = page.map_err(|error| format!("the store, opened anew: {error}"))?;
            held.extend(page.entries);
            let Some(next) = page.next else { break };
            options.from = Some(next);
            options.at = Some(page.revision);
        }
        self.look(|state| {
            let mut held = held.iter();
            for (key, revision, value) in state.entries() {
                match held.next() {
                    Some(entry) if entry.key == *key && entry.modified == revision && entry.value == *value => {}
                    other => {
                        return Err(format!(
                            "{key}, written at {revision}, was acknowledged; the store, opened anew, has {} in its place",
                            other.map_or("nothing".to_owned(), |entry| format!("{} of {}", entry.key, entry.modified))
                        ));
                    }
                }
            }
            match held.next() {
                None => Ok(()),
                Some(entry) => Err(format!("the store, opened anew, still has {}, which was deleted", entry.key)),
            }
        })
    }

    /// Opens the store once more, as after a power cut in which nobody did anything, and checks it.
    pub(super) async fn check_what_is_kept(&self) -> Result<(), String> {
        let Some(disk) = &self.0.powered.disk else {
            return Ok(());
        };
        disk.power_cut();
        self.look_at_power();
        self.power_up(None).await
    }
}

/// Whether this transaction makes this commit of what the store held.
fn is_what_came_of(txn: &Txn, commit: &[(Revision, Change)], state: &State) -> bool {
    let written = |key: &Key| state.held(key).map(|held| held.revision);
    let holds = |compare: &Compare| compare.expect.holds(written(&compare.key));
    let changes = txn.ops.iter().filter_map(|op| match op {
        Op::Put { key, value } => Some((key, Some(value))),
        Op::Delete { key } => state.held(key).map(|_| (key, None)),
    });
    txn.compares.iter().all(holds)
        && changes.eq(commit.iter().map(|(_, change)| {
            let current = change.current.as_ref();
            (&change.key, current.map(|entry| &entry.value))
        }))
}
