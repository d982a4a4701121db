//! The disk under the store's own file fails: what is acknowledged stays, and the store goes on when it can.

use std::io;
use std::time::{Duration, Instant};

use orch_core::store::{CommitError, Watch};
use parking_lot::Mutex;

use super::*;
use crate::{Access, SimulatedDisk};

/// Longer than any pause between two attempts.
const RECOVERS: Duration = Duration::from_secs(30);

/// What fails; a sync of the file is a write here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fails {
    #[default]
    Nothing,
    /// All writes of the store's own file, as on a full disk.
    Writes,
    /// One of them, after so many that do not.
    OneWriteAfter(u32),
    /// Nothing at all of that file can be read or written.
    Everything,
    /// A sync of the journal, once; of the file nothing.
    JournalSync,
}

impl Fails {
    fn judge(&mut self, access: Access<'_>) -> io::Result<()> {
        let is_own = !access.name.contains("-journal");
        match self {
            Self::Writes if is_own && access.changes => Err(io::ErrorKind::StorageFull.into()),
            Self::OneWriteAfter(0) if is_own && access.changes => {
                *self = Self::Nothing;
                Err(io::ErrorKind::StorageFull.into())
            }
            Self::OneWriteAfter(left) if is_own && access.changes => {
                *left -= 1;
                Ok(())
            }
            Self::Everything if is_own => Err(io::Error::other("the disk is gone")),
            Self::JournalSync if !is_own && access.syncs => {
                *self = Self::Nothing;
                Err(io::Error::other("the disk has lost it"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Default)]
struct Faults(Arc<Mutex<Fails>>);

impl Faults {
    fn set(&self, fails: Fails) {
        *self.0.lock() = fails;
    }

    fn get(&self) -> Fails {
        *self.0.lock()
    }
}

struct Scene {
    disk: SimulatedDisk,
    faults: Faults,
    /// What was acknowledged.
    written: Vec<(Revision, Vec<Op>)>,
}

/// A store with room for so many commits in memory.
fn scene(commits: usize) -> (Scene, RedbStore) {
    let bytes = 1 << 20;
    let disk = SimulatedDisk::new(7).options(options(LogBounds { commits, bytes }, 1 << 20));
    let store = disk.open_with_threads();
    let faults = Faults::default();
    let judge = faults.clone();
    disk.fails(move |access| judge.0.lock().judge(access));
    let scene = Scene {
        disk,
        faults,
        written: Vec::new(),
    };
    (scene, store)
}

impl Scene {
    async fn commit(&mut self, store: &RedbStore, txn: Txn) -> Result<(), CommitError> {
        let ops = txn.ops.clone();
        let committed = store.commit(txn).await?;
        self.written.push((committed.revision, ops));
        Ok(())
    }

    /// Writes a key of its own. It is not asked what a key held before: that can be read if the file cannot.
    async fn put(&mut self, store: &RedbStore) -> Result<(), CommitError> {
        let n = self.written.len();
        let txn = Txn::new().put(format!("{}/{n}", n % 7), n.to_string());
        self.commit(store, txn).await
    }

    /// Writes until that works again.
    async fn put_at_last(&mut self, store: &RedbStore) {
        let started = Instant::now();
        while let Err(error) = self.put(store).await {
            assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
            assert!(started.elapsed() < RECOVERS, "still {error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The store says of every past what a store in memory says, and so does what a crash would leave.
    async fn check(&self, store: &RedbStore) {
        let memory = in_memory(self.written.clone()).await;
        let newest = store.revision().await.unwrap();
        assert_eq!(newest, memory.revision().await.unwrap());
        check_all(store, &memory, newest).await;
    }

    async fn check_closed(self, store: RedbStore) {
        self.check(&store).await;
        store.close().await;
        let store = self.disk.open_with_threads();
        self.check(&store).await;
    }
}

/// Fills the store's memory until no commit is taken any more, and gives the refusal.
async fn refusal(scene: &mut Scene, store: &RedbStore) -> String {
    for _ in 0..1000 {
        if let Err(error) = scene.put(store).await {
            assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
            return error.to_string();
        }
    }
    panic!("there is a bound on what waits in memory");
}

/// How often the checkpoint had been tried that a refusal tells of.
fn attempts(refusal: &str) -> u32 {
    let (_, times) = refusal.split_once("failed (").expect("it says how often");
    times.split_once(" times").unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn writes_go_on_while_the_file_has_no_room_and_when_memory_is_full_the_refusal_says_why() {
    let (mut scene, store) = scene(200);
    for _ in 0..30 {
        scene.put(&store).await.unwrap();
    }
    let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
    scene.faults.set(Fails::Writes);
    let refusal = refusal(&mut scene, &store).await;
    // A quarter at least is what the checkpoint has, and all of it was filled after that had begun.
    assert!(scene.written.len() >= 125, "only {}", scene.written.len());
    for said in ["no room for commits", "is tried again", "no storage space"] {
        assert!(refusal.contains(said), "{said} in: {refusal}");
    }
    let crashed = scene.disk.copy().open_with_threads();
    scene.check(&crashed).await;
    scene.faults.set(Fails::Nothing);
    scene.put_at_last(&store).await;
    for _ in 0..300 {
        scene.put_at_last(&store).await;
    }
    told_of_all(&mut watch, &scene).await;
    scene.check_closed(store).await;
}

/// The watcher was told of every commit, once and in order.
async fn told_of_all(watch: &mut Watch, scene: &Scene) {
    let memory = in_memory(scene.written.clone()).await;
    let newest = memory.revision().await.unwrap();
    let (mut reached, mut changes) = (Revision::ZERO, Vec::new());
    while reached < newest {
        let batch = watch.next().await.unwrap().unwrap();
        reached = batch.revision;
        changes.extend(batch.changes);
    }
    check(&memory, Told::Watched(Revision::ZERO, changes)).await;
}

#[tokio::test]
async fn whichever_write_of_a_checkpoint_fails_it_is_made_up_for_and_readers_keep_the_file() {
    let mut failed = 0;
    for nth in 0.. {
        // A checkpoint every three commits.
        let (mut scene, store) = scene(8);
        for _ in 0..10 {
            scene.put(&store).await.unwrap();
        }
        scene.faults.set(Fails::OneWriteAfter(nth));
        for _ in 0..10 {
            scene.put_at_last(&store).await;
        }
        let done = scene.faults.get() != Fails::Nothing;
        scene.faults.set(Fails::Nothing);
        for _ in 0..10 {
            scene.put_at_last(&store).await;
        }
        scene.check_closed(store).await;
        if done {
            break;
        }
        failed += 1;
    }
    assert!(failed > 10, "only {failed} writes");
}

#[tokio::test]
async fn a_commit_past_the_journal_that_the_file_has_no_room_for_is_refused_and_the_next_is_taken() {
    let (mut refused, mut taken) = (0, 0);
    for nth in 0.. {
        let (mut scene, store) = scene(40);
        scene.put(&store).await.unwrap();
        let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
        scene.faults.set(Fails::OneWriteAfter(nth));
        let large = Txn::new().put("large", vec![b'x'; 700_000]).put("0/0", "anew");
        match scene.commit(&store, large).await {
            Ok(()) => taken += 1,
            Err(CommitError::Unavailable(_)) => refused += 1,
            Err(error) => panic!("it is known what the file holds: {error}"),
        }
        let done = scene.faults.get() != Fails::Nothing;
        scene.put(&store).await.unwrap();
        // Its history tells what it was taken to have held.
        let again = Txn::new().put("0/0", "once more");
        scene.commit(&store, again).await.unwrap();
        told_of_all(&mut watch, &scene).await;
        scene.check_closed(store).await;
        if done {
            break;
        }
    }
    assert!(refused > 10 && taken > 0, "{refused} refused, {taken} taken");
}

#[tokio::test]
async fn while_it_is_not_known_whether_the_file_has_a_commit_there_is_no_other() {
    let (mut scene, store) = scene(40);
    scene.put(&store).await.unwrap();
    let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
    scene.faults.set(Fails::Everything);
    let large = Txn::new().put("large", vec![b'x'; 700_000]);
    let ops = large.ops.clone();
    let error = scene.commit(&store, large).await.unwrap_err();
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    for _ in 0..3 {
        let error = scene.put(&store).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
        assert_eq!(store.revision().await.unwrap(), Revision::new(1));
    }
    scene.faults.set(Fails::Nothing);
    let started = Instant::now();
    while let Err(error) = scene.put(&store).await {
        assert!(started.elapsed() < RECOVERS, "still {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if store.get(&"large".into()).await.unwrap().value.is_some() {
        scene.written.push((Revision::new(2), ops));
    }
    told_of_all(&mut watch, &scene).await;
    scene.check_closed(store).await;
}

#[tokio::test]
async fn a_store_whose_file_cannot_be_read_comes_back_when_it_can() {
    let (mut scene, store) = scene(8);
    store.close().await;
    let options = options(
        LogBounds {
            commits: 8,
            bytes: 1 << 20,
        },
        1 << 20,
    );
    scene.disk = scene.disk.options(options.cache_bytes(0));
    let store = scene.disk.open_with_threads();
    for _ in 0..100 {
        scene.put(&store).await.unwrap();
    }
    scene.faults.set(Fails::Everything);
    assert!(matches!(
        store.list(&Prefix::default(), ListOptions::default()).await,
        Err(ReadError::Unavailable(_))
    ));
    scene.faults.set(Fails::Nothing);
    scene.put_at_last(&store).await;
    scene.put_at_last(&store).await;
    let started = Instant::now();
    while let Err(error) = store.list(&Prefix::default(), ListOptions::default()).await {
        assert!(started.elapsed() < RECOVERS, "still {error}");
        scene.put_at_last(&store).await;
    }
    scene.check_closed(store).await;
}

#[tokio::test]
async fn closing_while_the_file_has_no_room_loses_nothing_and_does_not_wait_for_it() {
    let (mut scene, store) = scene(40);
    scene.faults.set(Fails::Writes);
    // Until the pause before the next attempt is a long one.
    let started = Instant::now();
    while attempts(&refusal(&mut scene, &store).await) < 4 {
        assert!(started.elapsed() < RECOVERS, "it is not tried again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let started = Instant::now();
    store.close().await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    scene.faults.set(Fails::Nothing);
    let store = scene.disk.open_with_threads();
    scene.check_closed(store).await;
}

#[tokio::test]
async fn after_a_failed_sync_of_the_journal_no_commit_is_taken_until_the_store_is_opened_anew() {
    let (mut scene, store) = scene(200);
    for _ in 0..30 {
        scene.put(&store).await.unwrap();
    }
    let acknowledged = store.revision().await.unwrap();
    scene.faults.set(Fails::JournalSync);
    let error = scene.put(&store).await.unwrap_err();
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert!(
        error.to_string().contains("only opening the store anew tells"),
        "{error}"
    );
    // The disk is well again, but that proves nothing of what was written before.
    for _ in 0..3 {
        let error = scene.put(&store).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
        for said in [
            "until the store is closed and opened anew",
            "the disk has lost it",
        ] {
            assert!(error.to_string().contains(said), "{said} in: {error}");
        }
    }
    scene.check(&store).await;
    store.close().await;
    let store = scene.disk.open_with_threads();
    // The commit of which nothing was known is here, whole; on a disk that had really lost it it would not be.
    if store.revision().await.unwrap() > acknowledged {
        let n = scene.written.len();
        let put = Txn::new().put(format!("{}/{n}", n % 7), n.to_string());
        scene.written.push((acknowledged.next(), put.ops));
    }
    scene.put(&store).await.unwrap();
    scene.check_closed(store).await;
}
