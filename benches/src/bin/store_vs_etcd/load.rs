//! Load, the same for both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// What was measured, by name.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

pub(crate) const PUTS_64: &str = "puts/s, 64 clients";
pub(crate) const PUTS_1: &str = "puts/s, 1 client";
pub(crate) const GETS_64: &str = "gets/s, 64 clients";
pub(crate) const DELIVERIES: &str = "deliveries/s, 1,000 watchers of one key";
pub(crate) const LATENCY_50: &str = "commit called to seen by a watcher, p50 µs";
pub(crate) const LATENCY_99: &str = "commit called to seen by a watcher, p99 µs";

pub(crate) const WATCHERS: usize = 1000;
/// Writers that keep the watchers busy.
pub(crate) const WATCHED_WRITERS: usize = 8;
const KEYS: u64 = 10_000;

/// One of 10,000 keys, spread by a client's count.
pub(crate) fn key(client: usize, n: u64) -> String {
    let spread = (n + client as u64 * 7919).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    format!("/registry/pods/default/{:08}", spread % KEYS)
}

pub(crate) fn value() -> Bytes {
    Bytes::from((0..1024_u32).map(|n| (n * 7 % 251) as u8).collect::<Vec<_>>())
}

/// Runs `clients` tasks that each do `work(client, n)` again and again; how often a second it was done.
pub(crate) async fn rate<F, T>(clients: usize, time: Duration, work: F) -> f64
where
    F: Fn(usize, u64) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send,
{
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let work = Arc::new(work);
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let (stop, done, work) = (stop.clone(), done.clone(), work.clone());
            tokio::spawn(async move {
                let mut n = 0;
                while !stop.load(Relaxed) {
                    work(client, n).await;
                    n += 1;
                    done.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let per_second = count(&done, time).await;
    stop.store(true, Relaxed);
    for task in tasks {
        task.await.expect("a client succeeds");
    }
    per_second
}

/// How fast `counter` grows, after a moment of warming up.
pub(crate) async fn count(counter: &AtomicU64, time: Duration) -> f64 {
    tokio::time::sleep(time / 8).await;
    let (before, started) = (counter.load(Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    (counter.load(Relaxed) - before) as f64 / started.elapsed().as_secs_f64()
}

/// The quantiles of `times`, in microseconds.
pub(crate) fn latencies(mut times: Vec<Duration>) -> [(&'static str, f64); 2] {
    times.sort_unstable();
    let at = |quantile: f64| times[((times.len() - 1) as f64 * quantile) as usize].as_secs_f64() * 1e6;
    [(LATENCY_50, at(0.5)), (LATENCY_99, at(0.99))]
}

/// The median of each figure.
pub(crate) fn median(rounds: &[Figures]) -> Figures {
    let middle = |name: &str| {
        let mut values: Vec<f64> = rounds.iter().map(|figures| figures[name]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    rounds[0].keys().map(|name| (*name, middle(name))).collect()
}
