//! The power of the disk fails at any moment: what was acknowledged is there, whole and in order, and nothing else.

#![allow(
    clippy::print_stderr,
    reason = "it says of which seed it is that something goes wrong"
)]

use orch_core::store::{CommitError, Committed};
use tokio::sync::oneshot;

use super::*;
use crate::queue::Request;
use crate::{Access, SimulatedDisk};

/// How many histories are tried, each with some power cuts; more with `ORCH_POWER_SEEDS`.
const SEEDS: u64 = 250;

/// The same commits in memory, of which nothing is lost.
#[derive(Default)]
struct Model {
    memory: MemoryStore,
    /// What made it so.
    made: Vec<Txn>,
    /// Groups of commits whose outcome is not known: of each all are there or none. A disk that fails while it has power may leave
    /// several, of which a later one can be there and an earlier one not.
    unsure: Vec<Vec<Txn>>,
    /// The compaction that was acknowledged, and the furthest that was asked for.
    compacted: (Revision, Revision),
    /// Whether the disk fails also while it has power. If not, no commit may fail as long as there is power.
    fails: bool,
}

impl Model {
    async fn newest(&self) -> Revision {
        self.memory.revision().await.unwrap()
    }

    /// It has turned out that the store was at `revision`: of what was not known there is what leads there, and to what the store
    /// held then, if it can still be asked.
    async fn settle(&mut self, revision: Revision, store: Option<&RedbStore>) {
        let held = match store {
            Some(store) => Some(entries(store, revision).await),
            None => None,
        };
        for chosen in 0_u32..1 << self.unsure.len() {
            let there = (0..).zip(&self.unsure).filter(|(n, _)| chosen >> n & 1 == 1);
            let (memory, mut made) = (MemoryStore::new(), Vec::new());
            for txn in self.made.iter().chain(there.flat_map(|(_, group)| group)) {
                match memory.commit(txn.clone()).await {
                    Ok(_) => made.push(txn.clone()),
                    Err(CommitError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            if memory.revision().await.unwrap() != revision {
                continue;
            }
            if let Some(held) = &held
                && *held != entries(&memory, revision).await
            {
                continue;
            }
            (self.memory, self.made) = (memory, made);
            break;
        }
        self.unsure.clear();
    }

    /// Takes note of what was made of `txn`; gives it back if that is not known.
    async fn answered(
        &mut self,
        disk: &SimulatedDisk,
        store: &RedbStore,
        txn: Txn,
        answer: Result<Committed, CommitError>,
    ) -> Option<Txn> {
        match answer {
            Ok(committed) => {
                if !self.unsure.is_empty() {
                    let before = committed.revision.get() - u64::from(committed.changed);
                    self.settle(Revision::new(before), disk.has_power().then_some(store))
                        .await;
                }
                assert_eq!(self.memory.commit(txn.clone()).await.unwrap(), committed);
                self.made.push(txn);
            }
            // It may be one with what is not known.
            Err(CommitError::Conflict { .. }) if !self.unsure.is_empty() => {}
            Err(CommitError::Conflict { .. }) => {
                let same = self.memory.commit(txn).await;
                assert!(matches!(same, Err(CommitError::Conflict { .. })), "{same:?}");
            }
            Err(CommitError::Unknown(_)) if self.fails || !disk.has_power() => return Some(txn),
            // Nothing was written then, nor will be: it is in vain to look for it.
            Err(CommitError::Unavailable(_)) if self.fails || !disk.has_power() => {}
            Err(error) => panic!("{error}"),
        }
        None
    }

    /// The store, just opened, has what was acknowledged, and of what is not known all or nothing.
    async fn check(&mut self, store: &RedbStore, keeps: u64, random: &Random) {
        let newest = store.revision().await.unwrap();
        if !self.unsure.is_empty() {
            self.settle(newest, Some(store)).await;
        }
        assert_eq!(
            newest,
            self.newest().await,
            "what was acknowledged is there, and no more"
        );
        let oldest = match store.watch(&Prefix::default(), Revision::ZERO).await {
            Err(WatchError::Compacted { oldest, .. }) => oldest,
            Err(error) => panic!("{error}"),
            Ok(_) => Revision::ZERO,
        };
        let (least, asked) = self.compacted;
        let most = asked.max(Revision::new(newest.get().saturating_sub(keeps)));
        assert!(
            least <= oldest && oldest <= most,
            "compacted to {oldest}: {least} to {most} was asked for"
        );
        let past = oldest.get() + random.below(newest.get() - oldest.get() + 1);
        for revision in [newest, oldest, Revision::new(past)] {
            assert_eq!(
                entries(store, revision).await,
                entries(&self.memory, revision).await,
                "at {revision} of {newest}"
            );
        }
        check_watched(store, &self.memory, oldest, newest).await;
    }
}

/// Where the power failed.
#[derive(Debug, Default)]
struct Met {
    creating: u32,
    opening: u32,
    committing: u32,
    /// In what a commit does beside, which was acknowledged all the same.
    beside: u32,
    closing: u32,
    idle: u32,
    /// Commits that were not acknowledged and are there, and those that are not.
    landed: u32,
    lost: u32,
}

fn txn(random: &Random, n: u64) -> Txn {
    let txn = random_txn(random, 0, n);
    match random.below(40) {
        // Too much for the journal, or for what waits in memory.
        0 => txn.put("large", vec![b'x'; 30_000]),
        1..4 => txn.create("created", "once"),
        4..7 => txn.delete("created"),
        _ => txn,
    }
}

/// Commits some transactions as one group.
async fn commit(disk: &SimulatedDisk, store: &RedbStore, model: &mut Model, mut group: Vec<Txn>) {
    let last = group.pop().unwrap();
    let mut waiting = Vec::new();
    for txn in group {
        let (reply, answer) = oneshot::channel();
        let request = Request::Commit {
            txn: txn.clone(),
            reply,
        };
        store.queue.push(request).await.unwrap();
        waiting.push((txn, answer));
    }
    let answer = store.commit(last.clone()).await;
    let mut unknown = Vec::new();
    for (txn, mut answer) in waiting {
        let answer = answer.try_recv().unwrap();
        unknown.extend(model.answered(disk, store, txn, answer).await);
    }
    unknown.extend(model.answered(disk, store, last, answer).await);
    if !unknown.is_empty() {
        model.unsure.push(unknown);
    }
}

/// Some lives of one store.
async fn live(seed: u64, met: &mut Met) -> SimulatedDisk {
    let random = Random::seeded(seed);
    let keeps = [5, 40, 1000][usize::try_from(seed % 3).unwrap()];
    let live = LogBounds {
        commits: [8, 60][usize::try_from(seed % 2).unwrap()],
        bytes: 200_000,
    };
    let options = options(live, [2_000, 40_000][usize::try_from(seed / 2 % 2).unwrap()]);
    let disk = SimulatedDisk::new(seed).options(options.history_commits(keeps));
    // On some disks things fail also while there is power.
    let fails = seed % 4 > 1;
    if fails {
        let (chance, one_of) = (
            random.fork(),
            [15, 40, 150][usize::try_from(seed / 4 % 3).unwrap()],
        );
        disk.fails(move |access: Access<'_>| match chance.below(one_of) {
            0 if access.changes => Err(std::io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        });
    }
    let mut model = Model {
        fails,
        ..Model::default()
    };
    for _ in 0..6 {
        disk.power_on();
        if random.below(4) > 0 {
            disk.power_cut_after(random.below(90));
        }
        let is_new = model.newest().await == Revision::ZERO;
        let store = match disk.open() {
            Ok(store) => store,
            Err(_) if !disk.has_power() => {
                *(if is_new {
                    &mut met.creating
                } else {
                    &mut met.opening
                }) += 1;
                continue;
            }
            Err(OpenError::Io { source, .. })
                if fails && source.kind() == std::io::ErrorKind::StorageFull =>
            {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let before = (model.newest().await, model.unsure.len());
        model.check(&store, keeps, &random).await;
        if before.1 > 0 {
            let landed = model.newest().await > before.0;
            *(if landed { &mut met.landed } else { &mut met.lost }) += 1;
        }
        for n in 0..random.below(20) {
            if random.below(12) == 0 {
                let newest = model.newest().await.get();
                let through = Revision::new(newest.saturating_sub(random.below(20)));
                model.compacted.1 = model.compacted.1.max(through);
                match store.compact(through).await {
                    Ok(()) => model.compacted.0 = model.compacted.0.max(through),
                    Err(error) => assert!(fails || !disk.has_power(), "{error}"),
                }
            }
            let group = (0..=random.below(3)).map(|k| txn(&random, 4 * n + k)).collect();
            let acknowledged = model.newest().await;
            commit(&disk, &store, &mut model, group).await;
            if !disk.has_power() {
                let is_acknowledged = model.newest().await > acknowledged;
                *(if is_acknowledged {
                    &mut met.beside
                } else {
                    &mut met.committing
                }) += 1;
                break;
            }
        }
        if disk.has_power() && random.below(2) == 0 {
            met.idle += 1;
            disk.power_cut();
        }
        let had_power = disk.has_power();
        store.close().await;
        met.closing += u32::from(had_power && !disk.has_power());
    }
    disk.fails(|_| Ok(()));
    disk.power_on();
    let store = disk.open().unwrap();
    model.check(&store, keeps, &random).await;
    store.close().await;
    disk
}

/// Says of which seed it is that something goes wrong.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {}", self.0);
        }
    }
}

#[tokio::test]
async fn whenever_the_power_fails_what_was_acknowledged_is_there_and_nothing_is_half() {
    let asked = std::env::var("ORCH_POWER_SEEDS").ok();
    let seeds = asked.map_or(0..SEEDS, |seeds| match seeds.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..seeds.parse().unwrap(),
    });
    let count = seeds.end - seeds.start;
    let mut met = Met::default();
    for seed in seeds {
        let _seed = Seed(seed);
        live(seed, &mut met).await;
    }
    eprintln!("{count} histories: {met:?}");
    if count >= SEEDS {
        let Met {
            creating,
            opening,
            committing,
            beside,
            closing,
            idle,
            landed,
            lost,
        } = met;
        for met in [creating, opening, committing, beside, closing, idle, landed, lost] {
            assert!(met > 3, "each is met");
        }
    }
}

#[tokio::test]
async fn the_same_seed_leaves_the_same_bytes() {
    for seed in 0..20 {
        let (one, two) = (
            live(seed, &mut Met::default()).await,
            live(seed, &mut Met::default()).await,
        );
        assert_eq!(one.changes(), two.changes());
        assert!(one.read_all() == two.read_all(), "with seed {seed}");
    }
}

/// A store is made, written to, checkpointed, closed and opened again, with a power cut in the midst of a change after so
/// many.
async fn script(disk: &SimulatedDisk, model: &mut Model, after: u64) -> Result<(), OpenError> {
    let random = Random::seeded(9);
    for round in 0..3 {
        if let Some(left) = after.checked_sub(disk.changes()) {
            disk.power_cut_after(left);
        }
        let store = disk.open()?;
        model.check(&store, 100_000, &random).await;
        for n in 0..12 {
            commit(disk, &store, model, vec![txn(&random, n)]).await;
            if !disk.has_power() {
                return Ok(());
            }
        }
        if round == 1 {
            store.close().await;
        } else {
            // There is something to replay then.
            disk.power_cut();
            drop(store);
            disk.power_on();
        }
    }
    Ok(())
}

#[tokio::test]
async fn whichever_change_of_the_disk_the_power_fails_in_the_store_opens_and_has_everything() {
    let make = |seed| {
        let live = LogBounds {
            commits: 8,
            bytes: 200_000,
        };
        SimulatedDisk::new(seed).options(options(live, 4_000))
    };
    let mut cuts = 0;
    for after in 0_u64.. {
        let _seed = Seed(after);
        let disk = make(after);
        let mut model = Model::default();
        let ran = script(&disk, &mut model, after).await;
        assert!(ran.is_ok() || !disk.has_power(), "{ran:?}");
        let is_over = ran.is_ok() && disk.changes() <= after;
        disk.power_on();
        let store = disk.open().unwrap();
        model.check(&store, 100_000, &Random::seeded(after)).await;
        if is_over {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 250, "only {cuts}");
}

#[tokio::test]
async fn a_first_checkpoint_whose_sync_failed_is_not_taken_for_done() {
    for seed in 0..60 {
        let _seed = Seed(seed);
        let live = LogBounds {
            commits: 8,
            bytes: 200_000,
        };
        let disk = SimulatedDisk::new(seed).options(options(live, 40_000));
        let store = disk.open().unwrap();
        let mut is_first = true;
        disk.fails(move |access| {
            let is_it = access.syncs && access.name == "state.redb" && std::mem::take(&mut is_first);
            if is_it {
                Err(std::io::ErrorKind::StorageFull.into())
            } else {
                Ok(())
            }
        });
        let mut model = Model {
            fails: true,
            ..Model::default()
        };
        let random = Random::seeded(seed);
        for n in 0..30 {
            commit(&disk, &store, &mut model, vec![txn(&random, n)]).await;
        }
        disk.power_cut();
        drop(store);
        disk.power_on();
        let store = disk.open().unwrap();
        model.check(&store, 100_000, &random).await;
    }
}

#[tokio::test]
async fn a_store_is_open_once_and_what_was_open_before_a_power_cut_is_of_no_use() {
    let disk = SimulatedDisk::new(1);
    let store = disk.open().unwrap();
    let error = disk.open().map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    disk.power_cut();
    disk.power_on();
    let anew = disk.open().unwrap();
    let put = || Txn::new().put("a", "b");
    assert!(store.commit(put()).await.is_err());
    assert_eq!(anew.commit(put()).await.unwrap().revision, Revision::new(1));
}
