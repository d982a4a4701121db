//! Kills a writing process again and again, and checks what it leaves.
//!
//! A killed process loses what it had not handed to the kernel, so this proves atomicity, order and recovery
//! at every instant; that the kernel's data reaches the disk is the business of the sync before each
//! acknowledgement, which a killed process cannot put to the test. `ORCH_CRASH_KILLS` sets the number of kills.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use orch_core::random::Random;
use orch_core::store::{Entry, Key, ListOptions, Op, Prefix, Revision, Store, Txn, WatchError};
use orch_store::{RedbStore, RedbStoreOptions};

const WRITERS: u64 = 6;
/// Transactions of each writer whose log entries are kept.
const WINDOW: u64 = 15;
const FILE: &str = "ORCH_CRASH_FILE";

/// Short history, so that compaction is under way at most kills; a small journal, so that it begins anew often.
fn open(path: &Path) -> RedbStore {
    RedbStoreOptions::new()
        .history_commits(200)
        .journal_bytes(100_000)
        .open(path)
        .expect("the store opens")
}

/// The `n`th transaction of a writer: both halves of a pair, a new log entry, and an old one gone.
fn txn(writer: u64, n: u64) -> Txn {
    let fill = usize::try_from((writer * 7 + n * 13) % 4000).expect("small");
    let value = Bytes::from(format!("{n} {}", "x".repeat(fill)));
    let txn = Txn::new()
        .put(format!("pair/{writer}/one"), value.clone())
        .put(format!("pair/{writer}/two"), value.clone())
        .put(format!("log/{writer}/{n:08}"), value);
    match n.checked_sub(WINDOW) {
        None => txn,
        Some(old) => txn.delete(format!("log/{writer}/{old:08}")),
    }
}

fn number(entry: &Entry) -> u64 {
    let text = std::str::from_utf8(&entry.value).expect("text");
    text.split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

/// The last transaction of a writer that is in the store.
async fn last(store: &RedbStore, writer: u64) -> Option<u64> {
    let key = Key::from(format!("pair/{writer}/one"));
    store
        .get(&key)
        .await
        .expect("a get is answered")
        .value
        .as_ref()
        .map(number)
}

#[test]
#[ignore = "this is the process that the crash test starts and kills"]
fn writes_until_killed() {
    let path = std::env::var_os(FILE).expect("started by the crash test");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let store = std::sync::Arc::new(open(Path::new(&path)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut n = last(&store, writer).await.map_or(0, |n| n + 1);
                    loop {
                        let committed = store.commit(txn(writer, n)).await.expect("a commit");
                        let line = format!("ack {writer} {n} {}\n", committed.revision);
                        // One write: the pipe gets the line whole or not at all.
                        std::io::stdout()
                            .write_all(line.as_bytes())
                            .expect("the parent listens");
                        n += 1;
                    }
                })
            })
            .collect();
        // They go on until the process is killed, or one of them fails.
        let (ended, ..) = futures::future::select_all(writers).await;
        ended.expect("writers go on until killed");
    });
}

/// What a process said before it was killed: writer, transaction, revision.
fn run_and_kill(path: &Path, after: Duration) -> Vec<(u64, u64, Revision)> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "writes_until_killed", "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let output = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut acks = Vec::new();
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8(line.expect("the pipe works")).expect("text");
            // libtest's own output may share the line.
            let Some(at) = line.find("ack ") else { continue };
            let numbers: Vec<u64> = line[at + 4..].split(' ').filter_map(|n| n.parse().ok()).collect();
            if let [writer, n, revision] = numbers[..] {
                acks.push((writer, n, Revision::new(revision)));
            }
        }
        acks
    });
    std::thread::sleep(after);
    let exited = child.try_wait().expect("the child's state");
    child.kill().expect("it is killed");
    let output = child.wait_with_output().expect("it ends");
    assert!(
        exited.is_none(),
        "it ended by itself: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    reader.join().expect("the acknowledgements are read")
}

#[test]
fn a_killed_writer_leaves_every_acknowledged_commit_whole() {
    let kills = std::env::var("ORCH_CRASH_KILLS").map_or(300, |kills| kills.parse().expect("a number"));
    let seed = 2026;
    let random = Random::seeded(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state.redb");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut acknowledged: BTreeMap<u64, (u64, Revision)> = BTreeMap::new();
    let (mut acks, mut idle, mut open_times) = (0, 0, Vec::new());
    for kill in 0..kills {
        let said = run_and_kill(&path, Duration::from_micros(500 + random.below(90_000)));
        acks += said.len();
        idle += usize::from(said.is_empty());
        for (writer, n, revision) in said {
            acknowledged.insert(writer, (n, revision));
        }
        // Every third time the next process has to recover what this one left.
        if kill % 3 == 1 && kill + 1 < kills {
            continue;
        }
        let started = Instant::now();
        let store = open(&path);
        open_times.push(started.elapsed());
        runtime.block_on(async {
            check_state(&store, &acknowledged).await;
            check_history(&store).await;
        });
        assert!(acks > 0 || kill < 50, "no process ever came to write");
    }
    let slowest = open_times.iter().max().expect("it was opened");
    let mut report = std::io::stderr();
    let _ = writeln!(
        report,
        "{kills} kills, {idle} before the first acknowledgement; {acks} commits acknowledged, none lost; \
         slowest recovery {slowest:?}"
    );
}

/// Each acknowledged commit is there, at most one more of each writer, and none in part.
async fn check_state(store: &RedbStore, acknowledged: &BTreeMap<u64, (u64, Revision)>) {
    let newest = store.revision().await.expect("a revision");
    for writer in 0..WRITERS {
        let done = last(store, writer).await;
        let Some((n, revision)) = acknowledged.get(&writer) else {
            // Not told of any; one may be there from each process that died before it could tell.
            continue;
        };
        let done = done
            .unwrap_or_else(|| panic!("writer {writer}: transaction {n} was acknowledged, none is there"));
        assert!(
            done >= *n,
            "writer {writer}: transaction {n} was acknowledged, the last there is {done}"
        );
        assert!(newest >= *revision);
        let key = Key::from(format!("log/{writer}/{n:08}"));
        if done < n + WINDOW {
            let entry = store.get(&key).await.expect("a get is answered").value;
            assert_eq!(entry.map(|entry| entry.modified), Some(*revision), "{key}");
        }
    }
    for writer in 0..WRITERS {
        let Some(done) = last(store, writer).await else {
            continue;
        };
        let pair = store
            .list(&format!("pair/{writer}/").into(), ListOptions::default())
            .await
            .expect("a page");
        assert_eq!(pair.entries.len(), 2);
        assert_eq!(pair.entries[0].value, pair.entries[1].value, "a pair was torn");
        assert_eq!(pair.entries[0].modified, pair.entries[1].modified);
        let log = store
            .list(&format!("log/{writer}/").into(), ListOptions::default())
            .await
            .expect("a page");
        let there: Vec<u64> = log.entries.iter().map(number).collect();
        let first = (done + 1).saturating_sub(WINDOW);
        assert_eq!(
            there,
            (first..=done).collect::<Vec<_>>(),
            "the log of writer {writer}"
        );
    }
}

/// Revisions without gap, each commit whole, and the past leading to the present.
async fn check_history(store: &RedbStore) {
    let all = Prefix::default();
    let newest = store.revision().await.expect("a revision");
    let oldest = match store.watch(&all, Revision::ZERO).await {
        Ok(_) => Revision::ZERO,
        Err(WatchError::Compacted { oldest, .. }) => oldest,
        Err(error) => panic!("{error}"),
    };
    let state = |entries: Vec<Entry>| {
        entries
            .into_iter()
            .map(|entry| (entry.key.clone(), entry))
            .collect()
    };
    let options = ListOptions {
        at: Some(oldest),
        ..ListOptions::default()
    };
    let mut replayed: BTreeMap<Key, Entry> = state(store.list(&all, options).await.expect("a page").entries);
    let mut watch = store.watch(&all, oldest).await.expect("a watch");
    let mut reached = oldest;
    while reached < newest {
        let batch = watch.next().await.expect("it goes on").expect("history is held");
        for commit in batch.changes.chunk_by(|one, two| one.0 == two.0) {
            assert_eq!(commit[0].0, reached.next(), "revisions have no gap");
            reached = commit[0].0;
            let first = commit[0].1.key.to_string();
            let writer = first
                .split('/')
                .nth(1)
                .and_then(|writer| writer.parse().ok())
                .expect("a writer");
            let n = number(commit[0].1.current.as_ref().expect("it begins with a put"));
            let expected: Vec<Op> = txn(writer, n).ops;
            let found: Vec<Op> = commit
                .iter()
                .map(|(_, change)| match &change.current {
                    Some(entry) => Op::Put {
                        key: change.key.clone(),
                        value: entry.value.clone(),
                    },
                    None => Op::Delete {
                        key: change.key.clone(),
                    },
                })
                .collect();
            assert_eq!(found, expected, "commit {reached} is whole");
            for (_, change) in commit {
                let before = match change.current.clone() {
                    Some(entry) => replayed.insert(change.key.clone(), entry),
                    None => replayed.remove(&change.key),
                };
                assert_eq!(before, change.previous, "{} at {reached}", change.key);
            }
        }
    }
    let page = store.list(&all, ListOptions::default()).await.expect("a page");
    assert_eq!(replayed, state(page.entries), "the past leads to the present");
}
