//! How long it takes to open a file of a gibibyte, after an orderly close and after being killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use orch_core::store::{Store, Txn};
use orch_store::{RedbStore, RedbStoreOptions};

/// Turns this program into the process that is killed.
pub(crate) const CHILD: &str = "--write-until-killed";
const KEYS: u32 = 1_000_000;

pub(crate) fn report(directory: &Path) {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let path = directory.path().join("state.redb");
    fill(&path);
    let length = std::fs::metadata(&path).expect("the file is there").len();
    println!("\nopening a file of {} MiB with {KEYS} keys", length >> 20);
    println!("{:<44} {:>9.1} ms", "after an orderly close", open(&path));
    for (name, quiet) in [
        ("killed two seconds after its last commit", true),
        ("killed while it wrote", false),
    ] {
        run_and_kill(&path, quiet);
        println!("{name:<44} {:>9.1} ms", open(&path));
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Milliseconds until the store is open and has answered.
fn open(path: &Path) -> f64 {
    let started = Instant::now();
    let store = RedbStore::open(path).expect("the store opens");
    let read = wait(store.get(&"00000500".into())).expect("a get");
    assert!(read.value.is_some());
    started.elapsed().as_secs_f64() * 1e3
}

fn fill(path: &Path) {
    // Little history, so that the file is what is live.
    let store = RedbStoreOptions::new()
        .history_commits(1)
        .open(path)
        .expect("a new store");
    let value = Bytes::from(vec![7; 1024]);
    for first in (0..KEYS).step_by(1000) {
        let txn = (first..first + 1000).fold(Txn::new(), |txn, n| txn.put(format!("{n:08}"), value.clone()));
        wait(store.commit(txn)).expect("a commit");
    }
}

fn run_and_kill(path: &Path, quiet: bool) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([CHILD, path.to_str().expect("a path in UTF-8")])
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    lines.next().expect("it says that it writes").expect("text");
    if quiet {
        drop(child.stdin.take());
        lines.next().expect("it says that it stopped").expect("text");
        std::thread::sleep(Duration::from_secs(2));
    } else {
        std::thread::sleep(Duration::from_millis(500));
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
}

/// Writes until its input ends, then does nothing.
pub(crate) fn write_until_killed(path: &str) {
    let store = RedbStore::open(path).expect("the store opens");
    let stop = std::thread::spawn(|| std::io::stdin().read_line(&mut String::new()).expect("an end"));
    println!("writing");
    let mut n = 0_u64;
    while !stop.is_finished() {
        let key = format!("{:08}", n.wrapping_mul(7919) % u64::from(KEYS));
        wait(store.commit(Txn::new().put(key, vec![1; 1024]))).expect("a commit");
        n += 1;
    }
    println!("stopped");
    std::io::stdout().flush().expect("the parent listens");
    std::thread::park();
}
