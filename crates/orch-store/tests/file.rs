//! What only a store in a file promises: it comes back, and refuses what it cannot read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orch_core::store::{ListOptions, Prefix, ReadError, Revision, Store, Txn, WatchError};
use orch_store::{OpenError, RedbStore, RedbStoreOptions};
use redb::{ReadableDatabase, TableDefinition};

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    Place {
        path: directory.path().join("state.redb"),
        _directory: directory,
    }
}

async fn put(store: &RedbStore, key: &str, value: impl Into<bytes::Bytes>) -> Revision {
    store.commit(Txn::new().put(key, value)).await.unwrap().revision
}

fn at(revision: Revision) -> ListOptions {
    ListOptions {
        at: Some(revision),
        ..ListOptions::default()
    }
}

async fn values(store: &RedbStore, options: ListOptions) -> Vec<(String, bytes::Bytes)> {
    let page = store.list(&Prefix::default(), options).await.unwrap();
    page.entries
        .into_iter()
        .map(|entry| (entry.key.to_string(), entry.value))
        .collect()
}

#[tokio::test]
async fn state_history_and_revision_survive_closing_and_dropping() {
    let place = place();
    let mut past = Vec::new();
    for round in 0..6 {
        let store = RedbStore::open(&place.path).unwrap();
        for n in 0..20 {
            let revision = put(&store, &format!("key-{}", n % 3), format!("{round}-{n}")).await;
            assert_eq!(revision.get(), past.len() as u64 + 1);
            past.push((revision, values(&store, ListOptions::default()).await));
        }
        for (revision, expected) in &past {
            assert_eq!(values(&store, at(*revision)).await, *expected, "at {revision}");
        }
        let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
        let mut told = Vec::new();
        while told.len() < past.len() {
            told.extend(watch.next().await.unwrap().unwrap().changes);
        }
        for (n, (revision, change)) in told.iter().enumerate() {
            assert_eq!(revision.get(), n as u64 + 1);
            let before = told[..n]
                .iter()
                .rev()
                .find(|(_, earlier)| earlier.key == change.key);
            assert_eq!(
                change.previous,
                before.and_then(|(_, earlier)| earlier.current.clone())
            );
        }
        if round % 2 == 0 {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn compaction_survives_a_reopening() {
    let place = place();
    let store = RedbStore::open(&place.path).unwrap();
    for n in 0..10 {
        put(&store, "a", n.to_string()).await;
    }
    store.compact(Revision::new(4)).await.unwrap();
    store.close().await;
    let store = RedbStore::open(&place.path).unwrap();
    let refused = store.watch(&"a".into(), Revision::new(3)).await.unwrap_err();
    assert!(matches!(refused, WatchError::Compacted { oldest, .. } if oldest == Revision::new(4)));
    assert!(matches!(
        store.list(&"a".into(), at(Revision::new(3))).await,
        Err(ReadError::Compacted { oldest, .. }) if oldest == Revision::new(4)
    ));
    assert_eq!(
        values(&store, at(Revision::new(4))).await,
        [("a".to_owned(), "3".into())]
    );
    store.compact(Revision::new(10)).await.unwrap();
    store.close().await;
    let store = RedbStore::open(&place.path).unwrap();
    assert_eq!(store.revision().await.unwrap(), Revision::new(10));
    assert_eq!(put(&store, "a", "again").await, Revision::new(11));
}

#[tokio::test]
async fn history_stays_within_its_bounds_and_so_does_the_file() {
    let cases = [
        RedbStoreOptions::new().history_commits(160),
        RedbStoreOptions::new().history_bytes(4 << 20),
    ];
    for options in cases {
        let place = place();
        let store = options.clone().open(&place.path).unwrap();
        let value = bytes::Bytes::from(vec![7; 10_000]);
        for _ in 0..3000 / 30 {
            let mut many: Vec<_> = (0..30)
                .map(|n| store.commit(Txn::new().put(n.to_string(), value.clone())))
                .collect();
            futures::future::join_all(many.drain(..)).await;
        }
        let newest = store.revision().await.unwrap();
        assert_eq!(newest, Revision::new(3000));
        let refused = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap_err();
        let WatchError::Compacted { oldest, .. } = refused else {
            panic!("{refused}")
        };
        let held = newest.get() - oldest.get();
        assert!(
            (100..=260).contains(&held),
            "{held} commits held with {options:?}"
        );
        let length = std::fs::metadata(&place.path).unwrap().len();
        assert!(
            length < 30 << 20,
            "60 MB of history were written, the file has {length} bytes"
        );
        assert_eq!(values(&store, at(oldest)).await.len(), 30);
    }
}

#[tokio::test]
async fn a_watcher_far_behind_reads_the_file_and_then_lives_on() {
    let place = place();
    let store = std::sync::Arc::new(RedbStore::open(&place.path).unwrap());
    let mut watch = store.watch(&"a/".into(), Revision::ZERO).await.unwrap();
    let mut quiet = store.watch(&"q".into(), Revision::ZERO).await.unwrap();
    // More than the log in memory holds.
    let value = bytes::Bytes::from(vec![7; 200_000]);
    for n in 0..300 {
        put(
            &store,
            &format!("{}/{n}", if n % 2 == 0 { "a" } else { "b" }),
            value.clone(),
        )
        .await;
    }
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 300..600 {
                put(&store, &format!("a/{n}"), "small").await;
            }
        }
    });
    let mut told = Vec::new();
    while told.len() < 450 {
        let batch = watch.next().await.unwrap().unwrap();
        told.extend(
            batch
                .changes
                .into_iter()
                .map(|(_, change)| change.key.to_string()),
        );
    }
    writer.await.unwrap();
    let expected: Vec<_> = (0..600)
        .filter(|n| n % 2 == 0 || *n >= 300)
        .map(|n| format!("a/{n}"))
        .collect();
    assert_eq!(told, expected);
    store.compact(store.revision().await.unwrap()).await.unwrap();
    put(&store, "q", "now").await;
    assert_eq!(quiet.next().await.unwrap().unwrap().changes.len(), 1);
}

#[tokio::test]
async fn a_second_opener_is_refused_soon_and_told_who_has_the_file() {
    let place = place();
    let first = RedbStore::open(&place.path).unwrap();
    let started = Instant::now();
    let refused = RedbStore::open(&place.path).unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(
        matches!(&refused, OpenError::Locked { path, .. } if *path == place.path),
        "{refused}"
    );
    if cfg!(target_os = "linux") && Path::new("/proc/locks").exists() {
        assert!(
            refused.to_string().contains("in use by this process"),
            "{refused}"
        );
    }
    let watch = first.watch(&"a".into(), Revision::ZERO).await.unwrap();
    drop(first);
    RedbStore::open(&place.path).expect("the first is dropped, though a watch of it is left");
    drop(watch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opener_waits_for_a_store_that_is_closing() {
    let place = place();
    for _ in 0..5 {
        let first = RedbStore::open(&place.path).unwrap();
        // So that closing takes a moment.
        for n in 0..8 {
            put(&first, &n.to_string(), vec![7; 500_000]).await;
        }
        let closing = tokio::spawn(first.close());
        let second = RedbStore::open(&place.path).expect("it waits for the first to be closed");
        assert_eq!(values(&second, ListOptions::default()).await.len(), 8);
        closing.await.unwrap();
    }
}

#[test]
fn an_opener_waits_for_a_lock_that_is_about_to_be_let_go() {
    let place = place();
    make_store(&place.path, 10);
    let unfinished = place.path.with_file_name("other.redb.new");
    // Whether the file is there or being made by another.
    for (locked, path) in [
        (place.path.clone(), place.path.clone()),
        (unfinished, place.path.with_file_name("other.redb")),
    ] {
        let held = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(locked)
            .unwrap();
        held.lock().unwrap();
        let (opening, opened) = std::sync::mpsc::channel();
        let opener = std::thread::spawn(move || opening.send(RedbStore::open(path)));
        opened
            .recv_timeout(Duration::from_millis(200))
            .expect_err("it is locked");
        drop(held);
        opened.recv().unwrap().expect("the lock is free");
        opener.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn dropping_serves_who_waits_and_ends_watches() {
    let place = place();
    let store = RedbStore::open(&place.path).unwrap();
    let mut watch = store.watch(&"a".into(), Revision::ZERO).await.unwrap();
    let mut abandoned = Box::pin(store.commit(Txn::new().put("a", "1")));
    assert!(futures::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    drop(store);
    assert_eq!(watch.next().await.unwrap().unwrap().changes.len(), 1);
    assert!(matches!(
        watch.next().await,
        Some(Err(WatchError::Unavailable(_)))
    ));
    assert!(watch.next().await.is_none());
    let store = RedbStore::open(&place.path).unwrap();
    assert_eq!(store.get(&"a".into()).await.unwrap().value.unwrap().value, "1");
}

#[tokio::test]
async fn a_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    drop(RedbStore::open(&place.path).unwrap());
    assert_eq!(
        std::fs::metadata(&place.path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

fn make_store(path: &Path, value_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(path).unwrap();
        for n in 0..20 {
            put(&store, &n.to_string(), vec![7; value_bytes]).await;
        }
    });
}

/// Opens a file that must be refused, and must not be changed by it.
fn refusal(path: &Path) -> OpenError {
    let before = std::fs::read(path).unwrap();
    let error = RedbStore::open(path).expect_err("it is refused");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert!(
        std::fs::read(path).unwrap() == before,
        "the refused file was changed"
    );
    error
}

#[test]
fn an_unknown_format_version_is_refused_with_both_versions() {
    let place = place();
    make_store(&place.path, 10);
    let meta: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let database = redb::Database::open(&place.path).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(meta)
        .unwrap()
        .insert("format", 99_u32.to_le_bytes().as_slice())
        .unwrap();
    write.commit().unwrap();
    drop(database);
    let error = RedbStore::open(&place.path).unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Format {
                found: 99,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("format version 99, this version reads 1"),
        "{error}"
    );
    // Refused means left alone.
    let database = redb::Database::open(&place.path).unwrap();
    let read = database.begin_read().unwrap();
    assert_eq!(
        read.open_table(meta)
            .unwrap()
            .get("format")
            .unwrap()
            .unwrap()
            .value(),
        99_u32.to_le_bytes()
    );
}

#[test]
fn a_redb_file_of_someone_else_is_refused() {
    let place = place();
    let theirs: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    let database = redb::Database::create(&place.path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(theirs).unwrap().insert(1, 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = RedbStore::open(&place.path).unwrap_err();
    assert!(
        matches!(&error, OpenError::NotAStore { reason, .. } if reason.contains("theirs")),
        "{error}"
    );
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    for garbage in [
        &b"x"[..],
        b"apiVersion: v1\nkind: Pod\n",
        &[0; 10_000],
        &[0xff; 100_000],
    ] {
        let place = place();
        std::fs::write(&place.path, garbage).unwrap();
        let error = refusal(&place.path);
        assert!(
            matches!(error, OpenError::NotAStore { .. } | OpenError::Damaged { .. }),
            "{} bytes: {error:?}",
            garbage.len()
        );
    }
}

#[test]
fn a_file_cut_short_is_refused_or_whole() {
    let place = place();
    make_store(&place.path, 100_000);
    let whole = std::fs::read(&place.path).unwrap();
    for tenths in [0, 1, 3, 5, 9] {
        let length = (whole.len() * tenths / 10).max(400);
        std::fs::write(&place.path, &whole[..length]).unwrap();
        let error = RedbStore::open(&place.path).expect_err("most of it is missing");
        assert!(
            matches!(error, OpenError::NotAStore { .. } | OpenError::Damaged { .. }),
            "{length} of {} bytes: {error:?}",
            whole.len()
        );
    }
}

#[test]
fn a_directory_or_a_missing_parent_is_an_error_of_the_system() {
    let place = place();
    std::fs::create_dir(&place.path).unwrap();
    for path in [place.path.clone(), place.path.join("no/such/parent")] {
        let error = RedbStore::open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    }
}
