//! Stores that lose their power, right ones and wrong ones.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use futures::FutureExt;
use parking_lot::Mutex;

use crate::random::Random;
use crate::store::{
    CommitError, Committed, Entry, Key, ListOptions, MemoryStore, Page, Prefix, Read, ReadError, Revision,
    Store, Txn, Watch, WatchError,
};
use crate::testing::simulation::*;

/// What a store does wrong when its power fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    /// Its last commit is gone.
    LosesOne,
    /// It has another value for its last commit.
    KeepsAnother,
    /// It has one more.
    MakesOneUp,
    /// It cannot be opened.
    Breaks,
    /// It says of its last commit that nothing was written.
    RefusesWhatItKeeps,
    /// Its last commit is there whatever it asked for.
    ForgetsCompares,
    /// It loses track of a commit while there is power.
    LosesTrack,
}

/// A disk that holds the commits of its store.
#[derive(Clone)]
struct Disk(Arc<Held>);

struct Held {
    mistake: Mistake,
    commits: Mutex<Vec<Txn>>,
    /// Every store that was opened, as by calls that never end: it is not what ends its watches.
    opened: Mutex<Vec<Arc<dyn Store>>>,
    has_power: AtomicBool,
    left: AtomicU64,
    cuts: AtomicU64,
}

impl Disk {
    fn new(mistake: Mistake) -> Self {
        Self(Arc::new(Held {
            mistake,
            commits: Mutex::default(),
            opened: Mutex::default(),
            has_power: true.into(),
            left: u64::MAX.into(),
            cuts: 0.into(),
        }))
    }
}

impl StoreOnDisk for Disk {
    fn open(&self) -> Result<Arc<dyn Store>, String> {
        let held = MemoryStore::new();
        let mut commits = self.0.commits.lock();
        // The first time it has nothing to do wrong.
        if self.0.cuts.load(Relaxed) > 0 && !commits.is_empty() {
            match self.0.mistake {
                Mistake::None
                | Mistake::RefusesWhatItKeeps
                | Mistake::ForgetsCompares
                | Mistake::LosesTrack => {}
                Mistake::LosesOne => drop(commits.pop()),
                Mistake::KeepsAnother => {
                    let key = commits.last().map(|txn| txn.ops[0].key().clone());
                    commits.pop();
                    commits.extend(key.map(|key| Txn::new().put(key, "another")));
                }
                Mistake::MakesOneUp => commits.push(Txn::new().put("made", "up")),
                Mistake::Breaks => return Err("it is broken".to_owned()),
            }
        }
        for txn in commits.iter() {
            let committed = tokio::task::unconstrained(held.commit(txn.clone())).now_or_never();
            assert!(matches!(committed, Some(Ok(_))), "memory answers at once");
        }
        let disk = Arc::downgrade(&self.0);
        let opened: Arc<dyn Store> = Arc::new(OnDisk { disk, held });
        self.0.opened.lock().push(opened.clone());
        Ok(opened)
    }

    fn power_cut_after(&self, changes: u64) {
        self.0.left.store(changes, Relaxed);
    }

    fn power_cut(&self) {
        self.0.has_power.store(false, Relaxed);
        self.0.cuts.fetch_add(1, Relaxed);
    }

    fn power_on(&self) {
        self.0.left.store(u64::MAX, Relaxed);
        self.0.has_power.store(true, Relaxed);
    }

    fn has_power(&self) -> bool {
        self.0.has_power.load(Relaxed)
    }
}

struct OnDisk {
    disk: Weak<Held>,
    held: MemoryStore,
}

#[async_trait]
impl Store for OnDisk {
    async fn get(&self, key: &Key) -> Result<Read<Option<Entry>>, ReadError> {
        self.held.get(key).await
    }

    async fn list(&self, prefix: &Prefix, options: ListOptions) -> Result<Page, ReadError> {
        self.held.list(prefix, options).await
    }

    async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        let Some(disk) = self.disk.upgrade().map(Disk) else {
            return Err(CommitError::Unavailable("there is no disk".into()));
        };
        let mistake = disk.0.mistake;
        let mut txn = txn;
        if mistake == Mistake::ForgetsCompares && disk.0.left.load(Relaxed) == 0 {
            txn.compares.clear();
        }
        let committed = self.held.commit(txn.clone()).await?;
        let left = disk.0.left.fetch_sub(1, Relaxed);
        // The power may fail before it is on disk, or thereafter.
        if left > 0 || committed.revision.get().is_multiple_of(2) {
            disk.0.commits.lock().push(txn);
        }
        if mistake == Mistake::LosesTrack && committed.revision.get() == 20 {
            return Err(CommitError::Unknown("a cable is loose".into()));
        }
        if left > 0 {
            return Ok(committed);
        }
        disk.power_cut();
        let off = "the power is off".into();
        Err(match mistake {
            Mistake::RefusesWhatItKeeps => CommitError::Unavailable(off),
            _ => CommitError::Unknown(off),
        })
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, WatchError> {
        self.held.watch(prefix, after).await
    }

    async fn compact(&self, through: Revision) -> Result<(), ReadError> {
        self.held.compact(through).await
    }

    async fn revision(&self) -> Result<Revision, ReadError> {
        self.held.revision().await
    }
}

/// Two count, a component and the scenario; the power is cut often.
fn counting(mistake: Mistake) -> Simulation {
    Simulation::new("counting", move |run| {
        run.store(move |_| Disk::new(mistake));
        run.disaster("power-cut", 60.0, |world, random| async move {
            world.power_cut(&random).await;
        });
        run.component("counter", |life| async move {
            let store = life.store();
            let key = Key::from("counted");
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let Ok(read) = store.get(&key).await else { continue };
                if read.revision.get() > 500 {
                    return std::future::pending().await;
                }
                let counted = Txn::new().put(key.clone(), "x");
                drop(store.commit(counted).await);
                // In vain: it is there.
                drop(store.commit(Txn::new().create(key.clone(), "y")).await);
            }
        });
        run.scenario(|world| async move {
            let store = component::Life::of_the_scenario(&world).store();
            for n in 0..100_u64 {
                let value = n.to_string();
                let committed = store.commit(Txn::new().create(format!("n/{n}"), value)).await;
                committed.map_err(|error| format!("{n}: {error}"))?;
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Ok(())
        });
    })
    .rates(Rates::none())
    .normal(|_| None)
    .storm(Duration::from_secs(300))
    .quiet(Duration::from_secs(5))
}

#[test]
fn the_power_of_a_right_store_fails_and_the_scenario_does_not_suffer() {
    let simulation = counting(Mistake::None);
    let mut cuts = 0;
    for seed in 0..20 {
        let run = simulation.run(seed);
        assert_eq!(run.failure, None, "with seed {seed}");
        assert_eq!(
            run.state
                .entries()
                .filter(|(key, ..)| key.to_string().starts_with("n/"))
                .count(),
            100
        );
        cuts += run.strikes.len();
        simulation.repeats(seed).unwrap();
    }
    assert!(cuts > 40, "{cuts}");
}

#[test]
fn who_watches_a_store_that_has_lost_its_power_is_told_even_if_somebody_holds_it() {
    let simulation = Simulation::new("watching", |run| {
        run.store(|_| Disk::new(Mistake::None));
        let seen = Arc::new(AtomicU64::new(0));
        let sees = seen.clone();
        run.component("watcher", move |life| {
            let sees = sees.clone();
            async move {
                let store = life.store();
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    let after = Revision::new(sees.load(Relaxed));
                    let Ok(mut watch) = store.watch(&Prefix::default(), after).await else {
                        continue;
                    };
                    while let Some(Ok(batch)) = watch.next().await {
                        sees.store(batch.revision.get(), Relaxed);
                    }
                }
            }
        });
        run.scenario(move |world| {
            let seen = seen.clone();
            async move {
                let store = component::Life::of_the_scenario(&world).store();
                let random = Random::seeded(world.seed());
                for n in 0..4_u64 {
                    world.power_cut(&random).await;
                    let committed = store.commit(Txn::new().put("key", n.to_string())).await;
                    let written = committed.map_err(|error| error.to_string())?.revision.get();
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    let seen = seen.load(Relaxed);
                    if seen != written {
                        return Err(format!("it has seen {seen}, and {written} was written"));
                    }
                }
                Ok(())
            }
        });
    })
    .rates(Rates::none())
    .quiet(Duration::from_secs(5));
    for seed in 0..5 {
        assert_eq!(simulation.run(seed).failure, None, "with seed {seed}");
    }
}

#[test]
fn what_a_store_does_wrong_when_its_power_fails_fails_the_run() {
    let mistakes = [
        (Mistake::LosesOne, "was acknowledged"),
        (Mistake::KeepsAnother, "was acknowledged"),
        (Mistake::MakesOneUp, "that nobody made"),
        (Mistake::Breaks, "cannot be opened: it is broken"),
        (Mistake::RefusesWhatItKeeps, "that was refused"),
        (Mistake::ForgetsCompares, "that nobody made"),
        (Mistake::LosesTrack, "and its disk has power"),
    ];
    for (mistake, said) in mistakes {
        let mut failures = (1..10).filter_map(|seed| counting(mistake).run(seed).failure);
        let failure = failures.next().expect("it is wrong");
        assert!(failure.contains(said), "{mistake:?}: {failure}");
    }
}
