//! Where the file ends and memory begins: answers are those of a store that is all in memory, while checkpoints
//! move commits from one to the other under writers, readers and watchers.

mod faults;
mod past;
mod power;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use orch_core::random::Random;
use orch_core::store::changelog::LogBounds;
use orch_core::store::{
    Entry, Key, ListOptions, MemoryStore, Op, Page, Prefix, ReadError, Revision, Store, Txn, WatchError,
};

use crate::{OpenError, RedbStore, RedbStoreOptions};

const WRITERS: u64 = 4;
const COMMITS: u64 = 120;

/// So little in memory that the log is trimmed all the time and a checkpoint made every few commits.
fn options(live: LogBounds, journal_bytes: usize) -> RedbStoreOptions {
    let mut options = RedbStoreOptions::new().journal_bytes(journal_bytes);
    options.live = live;
    options
}

fn at(revision: Revision) -> ListOptions {
    ListOptions {
        at: Some(revision),
        ..ListOptions::default()
    }
}

/// Changes keys that all writers share: puts, deletes of what may be there or not, several at once, now and then a lot.
fn random_txn(random: &Random, writer: u64, n: u64) -> Txn {
    let mut ops = BTreeMap::new();
    for _ in 0..=random.below(3) {
        let key = format!("{}/{}", random.below(2), random.below(8));
        let length = match random.below(60) {
            0 => 9_000,
            _ => random.below(120),
        };
        let fill = "x".repeat(usize::try_from(length).unwrap());
        ops.insert(key, (random.below(3) > 0).then(|| format!("{writer}-{n}-{fill}")));
    }
    ops.into_iter().fold(Txn::new(), |txn, (key, value)| match value {
        Some(value) => txn.put(key, value),
        None => txn.delete(key),
    })
}

/// What somebody was told while others wrote.
enum Told {
    Got(Key, Revision, Option<Entry>),
    Listed(Revision, Vec<Entry>),
    Watched(Revision, Vec<(Revision, orch_core::store::Change)>),
}

async fn write(store: Arc<RedbStore>, random: Random, writer: u64) -> Vec<(Revision, Vec<Op>)> {
    let mut written = Vec::new();
    for n in 0..COMMITS {
        let txn = random_txn(&random, writer, n);
        let ops = txn.ops.clone();
        let committed = store.commit(txn).await.unwrap();
        if committed.changed {
            written.push((committed.revision, ops));
        }
    }
    written
}

/// Asks for everything there is to ask for, of now and of any past, until told to stop.
async fn read(store: Arc<RedbStore>, random: Random, stop: Arc<AtomicBool>) -> Vec<Told> {
    let mut told = Vec::new();
    while !stop.load(Relaxed) {
        let key = Key::from(format!("{}/{}", random.below(2), random.below(8)));
        let got = store.get(&key).await.unwrap();
        let newest = got.revision;
        told.push(Told::Got(key, newest, got.value));
        let page = store
            .list(&Prefix::default(), ListOptions::default())
            .await
            .unwrap();
        assert!(page.revision >= newest);
        told.push(Told::Listed(page.revision, page.entries));
        let past = Revision::new(random.below(newest.get() + 1));
        match store.list(&Prefix::default(), at(past)).await {
            Ok(page) => {
                if let Some(entries) = pages(&store, past).await {
                    assert_eq!(entries, page.entries, "{past}");
                }
                told.push(Told::Listed(past, page.entries));
            }
            Err(ReadError::Compacted { requested, oldest }) => assert!(requested == past && oldest > past),
            Err(error) => panic!("{error}"),
        }
        match store.watch(&Prefix::default(), past).await {
            Ok(mut watch) => {
                let (mut reached, mut changes) = (past, Vec::new());
                while reached < newest {
                    match watch.next().await.unwrap() {
                        Ok(batch) => {
                            reached = batch.revision;
                            changes.extend(batch.changes);
                        }
                        Err(WatchError::Compacted { .. }) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                told.push(Told::Watched(past, changes));
            }
            Err(WatchError::Compacted { after, oldest }) => assert!(after == past && oldest > past),
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
    told
}

/// All entries of a past, some at a time; none if it is compacted by then.
async fn pages(store: &RedbStore, past: Revision) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut options = ListOptions {
        limit: Some(3),
        ..at(past)
    };
    loop {
        match store.list(&Prefix::default(), options.clone()).await {
            Ok(page) => {
                entries.extend(page.entries);
                options.from = page.next;
            }
            Err(ReadError::Compacted { .. }) => return None,
            Err(error) => panic!("{error}"),
        }
        if options.from.is_none() {
            return Some(entries);
        }
        tokio::task::yield_now().await;
    }
}

/// The same commits in a store that is all in memory and forgets nothing.
async fn in_memory(mut written: Vec<(Revision, Vec<Op>)>) -> MemoryStore {
    written.sort_by_key(|(revision, _)| *revision);
    let memory = MemoryStore::new();
    for (n, (revision, ops)) in (1..).zip(written) {
        assert_eq!(revision, Revision::new(n), "revisions have no gap");
        let txn = Txn {
            compares: Vec::new(),
            ops,
        };
        assert_eq!(memory.commit(txn).await.unwrap().revision, revision);
    }
    memory
}

async fn entries(store: &dyn Store, revision: Revision) -> Vec<Entry> {
    let page: Page = store.list(&Prefix::default(), at(revision)).await.unwrap();
    page.entries
}

async fn check(memory: &MemoryStore, told: Told) {
    match told {
        Told::Got(key, revision, entry) => {
            let then = entries(memory, revision).await;
            let expected = then.into_iter().find(|entry| entry.key == key);
            assert_eq!(entry, expected, "{key} at {revision}");
        }
        Told::Listed(revision, listed) => assert_eq!(listed, entries(memory, revision).await, "{revision}"),
        Told::Watched(after, changes) => {
            let mut watch = memory.watch(&Prefix::default(), after).await.unwrap();
            let mut expected = Vec::new();
            while expected.len() < changes.len() {
                expected.extend(watch.next().await.unwrap().unwrap().changes);
            }
            expected.truncate(changes.len());
            assert_eq!(changes, expected, "after {after}");
        }
    }
}

async fn compact_now_and_then(store: Arc<RedbStore>, random: Random, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        let newest = store.revision().await.unwrap().get();
        let through = Revision::new(newest.saturating_sub(random.below(60)));
        store.compact(through).await.unwrap();
        assert!(
            matches!(
                store.watch(&Prefix::default(), Revision::ZERO).await,
                Err(WatchError::Compacted { oldest, .. }) if oldest >= through
            ) || through == Revision::ZERO
        );
        for _ in 0..random.below(40) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_and_watchers_see_the_same_wherever_checkpoints_stand() {
    let live = |commits, bytes| LogBounds { commits, bytes };
    let cases = [
        // (what memory holds, journal, whether history is compacted meanwhile)
        (live(4, 1 << 20), 1 << 20, false),
        (live(64, 1 << 20), 1 << 20, true),
        (live(1 << 20, 20_000), 1 << 20, false),
        (live(1 << 20, 1 << 20), 2_000, false),
        (live(40, 20_000), 4_000, true),
    ];
    for (case, (live, journal, compacts)) in (0_u64..).zip(cases) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.redb");
        let store = Arc::new(options(live, journal).open(&path).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let random = |n| Random::seeded(case * 1000 + n);
        let readers: Vec<_> = (0..3)
            .map(|n| tokio::spawn(read(store.clone(), random(100 + n), stop.clone())))
            .collect();
        let compactor =
            compacts.then(|| tokio::spawn(compact_now_and_then(store.clone(), random(200), stop.clone())));
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| tokio::spawn(write(store.clone(), random(n), n)))
            .collect();
        let mut written = Vec::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        stop.store(true, Relaxed);
        let memory = in_memory(written).await;
        for reader in readers {
            let told = reader.await.unwrap();
            assert!(told.len() > 20, "readers read while writers wrote");
            for told in told {
                check(&memory, told).await;
            }
        }
        if let Some(compactor) = compactor {
            compactor.await.unwrap();
        }
        let newest = store.revision().await.unwrap();
        let Ok(store) = Arc::try_unwrap(store) else {
            panic!("nobody else is left")
        };
        check_all(&store, &memory, newest).await;
        store.close().await;
        let store = options(live, journal).open(&path).unwrap();
        assert_eq!(store.revision().await.unwrap(), newest);
        check_all(&store, &memory, newest).await;
    }
}

/// Every past that is held, and the watch from its beginning.
async fn check_all(store: &RedbStore, memory: &MemoryStore, newest: Revision) {
    let oldest = match store.watch(&Prefix::default(), Revision::ZERO).await {
        Err(WatchError::Compacted { oldest, .. }) => oldest,
        _ => Revision::ZERO,
    };
    for revision in oldest.get()..=newest.get() {
        let revision = Revision::new(revision);
        assert_eq!(
            entries(store, revision).await,
            entries(memory, revision).await,
            "{revision}"
        );
    }
    check_watched(store, memory, oldest, newest).await;
}

/// What a watch tells from `oldest` on, up to `newest`.
async fn check_watched(store: &RedbStore, memory: &MemoryStore, oldest: Revision, newest: Revision) {
    let mut watch = store.watch(&Prefix::default(), oldest).await.unwrap();
    let (mut reached, mut changes) = (oldest, Vec::new());
    while reached < newest {
        let batch = watch.next().await.unwrap().unwrap();
        reached = batch.revision;
        changes.extend(batch.changes);
    }
    check(memory, Told::Watched(oldest, changes)).await;
}

/// What a crash at this moment would leave, opened. No checkpoint is under way.
fn after_a_crash(path: &Path, options: &RedbStoreOptions) -> (tempfile::TempDir, RedbStore) {
    let directory = tempfile::tempdir().unwrap();
    for name in ["state.redb", "state.redb-journal", "state.redb-journal2"] {
        std::fs::copy(path.with_file_name(name), directory.path().join(name)).unwrap();
    }
    let store = options.clone().open(directory.path().join("state.redb")).unwrap();
    (directory, store)
}

#[tokio::test]
async fn commits_that_no_checkpoint_has_seen_survive_a_closing_and_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let (options, random) = (RedbStoreOptions::new(), Random::seeded(7));
    let mut written = Vec::new();
    // The second round begins with a file and adds to it.
    for round in 0..2 {
        let store = options.clone().open(&path).unwrap();
        for n in 0..60 {
            let txn = random_txn(&random, round, n);
            let ops = txn.ops.clone();
            let committed = store.commit(txn).await.unwrap();
            if committed.changed {
                written.push((committed.revision, ops));
            }
        }
        let memory = in_memory(written.clone()).await;
        let newest = store.revision().await.unwrap();
        let (_copy, crashed) = after_a_crash(&path, &options);
        check_all(&crashed, &memory, newest).await;
        check_all(&store, &memory, newest).await;
        store.close().await;
        assert!(!path.with_file_name("state.redb-journal").exists());
        assert!(!path.with_file_name("state.redb-journal2").exists());
        let store = options.clone().open(&path).unwrap();
        check_all(&store, &memory, newest).await;
    }
}

#[tokio::test]
async fn a_commit_larger_than_memory_may_hold_is_as_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let live = LogBounds {
        commits: 100,
        bytes: 40_000,
    };
    let options = options(live, 1 << 20);
    let store = options.clone().open(&path).unwrap();
    let mut written = Vec::new();
    let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
    for n in 0..30_u64 {
        let value = Bytes::from(format!("{n}"));
        let txn = match n % 10 {
            // Over what is only in memory: keys that the large one writes, and one that it deletes.
            4 => (0..8).fold(Txn::new().delete("small"), |txn, key| {
                txn.put(format!("large/{key}"), vec![b'x'; 50_000])
            }),
            5 => Txn::new().put("small", value).delete("large/3"),
            _ => Txn::new()
                .put("small", value.clone())
                .put(format!("large/{}", n % 8), value),
        };
        let ops = txn.ops.clone();
        written.push((store.commit(txn).await.unwrap().revision, ops));
        let memory = in_memory(written.clone()).await;
        let newest = store.revision().await.unwrap();
        assert_eq!(entries(&store, newest).await, entries(&memory, newest).await);
        let batch = watch.next().await.unwrap().unwrap();
        check(&memory, Told::Watched(Revision::new(n), batch.changes)).await;
        // What is small waits for a checkpoint, but for this one, which is in the file.
        if n % 10 == 4 {
            let (_copy, crashed) = after_a_crash(&path, &options);
            check_all(&crashed, &memory, newest).await;
            check_all(&store, &memory, newest).await;
        }
    }
}

#[tokio::test]
async fn a_key_is_deleted_and_created_anew_on_both_sides_of_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let live = LogBounds {
        commits: 8,
        bytes: 1 << 20,
    };
    let store = options(live, 1 << 20).open(&path).unwrap();
    let key = Key::from("b");
    let mut written = Vec::new();
    let mut commit = async |txn: Txn| {
        let ops = txn.ops.clone();
        let committed = store.commit(txn).await.unwrap();
        written.push((committed.revision, ops));
        committed.revision
    };
    for between in 0..12 {
        let created = commit(Txn::new().create("b", "one")).await;
        for n in 0..between {
            commit(Txn::new().put("a", n.to_string())).await;
        }
        commit(Txn::new().update("b", created, "two")).await;
        let entry = store.get(&key).await.unwrap().value.unwrap();
        assert_eq!((entry.created, entry.value), (created, "two".into()));
        for n in 0..between {
            commit(Txn::new().put("c", n.to_string())).await;
        }
        let deleted = commit(Txn::new().delete("b")).await;
        assert_eq!(store.get(&key).await.unwrap().value, None);
        let absent = store.list(&"b".into(), ListOptions::default()).await.unwrap();
        assert_eq!((absent.entries.len(), absent.next), (0, None));
        let before = store
            .list(&"b".into(), at(Revision::new(deleted.get() - 1)))
            .await
            .unwrap();
        assert_eq!(before.entries[0].created, created);
    }
    let memory = in_memory(written).await;
    check_all(&store, &memory, store.revision().await.unwrap()).await;
}
