//! How soon a write is with those who watch: one of them, and a thousand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_benches::median;
use tokio::sync::mpsc;

use crate::load::{MAPS, map};
use crate::print_time;
use crate::served::{Caller, Served};

const WATCHERS: usize = 1_000;
const CHANGES: usize = 30;
const WRITES: usize = 3_000;

/// What kubectl sends for a table.
const TABLE: &str = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n";

pub(crate) async fn watches() {
    one().await;
    many("").await;
    many(TABLE).await;
}

async fn watch(served: &Served, socket: usize, headers: &str) -> Caller {
    let mut watcher = served.connect(socket).await;
    let request = served.request("GET", &format!("{MAPS}?watch=1"), headers, "");
    watcher.send(&request).await;
    watcher.until(b"200 OK").await;
    watcher
}

/// The beginning of the label by which the `n`th change is known to those who watch, in both forms.
fn word(n: usize) -> String {
    format!("seen-{n}-")
}

/// A connection that says when it has seen each change.
async fn look(mut watcher: Caller, changes: usize, seen: mpsc::UnboundedSender<Instant>) {
    for n in 0..changes {
        watcher.until(word(n).as_bytes()).await;
        let _ = seen.send(Instant::now());
    }
}

/// Writes so many changes, each once all have seen the last; how long each took to be with the last of them.
async fn changes(
    served: &Served,
    count: usize,
    watchers: usize,
    seen: &mut mpsc::UnboundedReceiver<Instant>,
) -> Vec<Duration> {
    let mut writer = served.connect(0).await;
    let mut took = Vec::new();
    for n in 0..count {
        let object = map("watched", &format!("{}x", word(n)));
        let request = served.request("PUT", &format!("{MAPS}/watched"), "", &object);
        let began = Instant::now();
        let (code, _) = writer.ask(&request).await;
        assert_eq!(code, 200);
        let mut last = began;
        for _ in 0..watchers {
            last = last.max(seen.recv().await.expect("they watch"));
        }
        took.push(last - began);
    }
    took
}

/// From the first byte of a write until a watcher has read the event.
async fn one() {
    let served = Served::start(1).await;
    served.call("POST", MAPS, map("watched", "unseen")).await;
    let (tell, mut seen) = mpsc::unbounded_channel();
    let watcher = watch(&served, 0, "").await;
    let looking = tokio::spawn(look(watcher, WRITES, tell));
    let mut took = changes(&served, WRITES, 1, &mut seen).await;
    looking.await.expect("it saw all");
    took.sort_unstable();
    print_time("a write until a watcher has it, p50", took[WRITES / 2], "<= 0.7");
    print_time("  p99", took[WRITES * 99 / 100], "<= 2");
}

/// The same until the last of a thousand has.
async fn many(headers: &'static str) {
    let served = Arc::new(Served::start(2).await);
    served.call("POST", MAPS, map("watched", "unseen")).await;
    let (tell, mut seen) = mpsc::unbounded_channel();
    let mut looking = Vec::new();
    // The writer needs a place too, beside 500 of them.
    for n in 0..WATCHERS {
        let watcher = watch(&served, n, headers).await;
        looking.push(tokio::spawn(look(watcher, CHANGES, tell.clone())));
    }
    let took = changes(&served, CHANGES, WATCHERS, &mut seen).await;
    let form = if headers.is_empty() { "whole" } else { "as a table" };
    let most = took.iter().max().copied().unwrap_or_default();
    print_time(
        &format!("a write until 1,000 watchers have it, {form}, median"),
        median(took),
        "<= 30",
    );
    print_time("  longest of 30", most, "");
    for looking in looking {
        looking.await.expect("it saw all");
    }
}
