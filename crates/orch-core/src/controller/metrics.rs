//! Counters that an embedder can read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::WorkQueue;

/// What a running controller has done; all counts since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    succeeded: AtomicU64,
    failed: AtomicU64,
    requeued: AtomicU64,
    retried: AtomicU64,
    waited: Buckets,
    worked: Buckets,
}

/// [`Metrics`] at one moment, with the state of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Objects waiting to be reconciled.
    pub queue_depth: usize,
    /// Objects to be queued later.
    pub delayed: usize,
    /// Objects being reconciled.
    pub working: usize,
    /// Reconciles that succeeded.
    pub succeeded: u64,
    /// Reconciles that failed.
    pub failed: u64,
    /// Reconciles that asked to be repeated after a while.
    pub requeued: u64,
    /// Reconciles that were repeats after a failure.
    pub retried: u64,
    /// How long objects waited in the queue.
    pub queue_time: Histogram,
    /// How long reconciles took.
    pub work_time: Histogram,
}

/// How often durations fell into classes of doubling width.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many durations there were.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
    /// Counts of durations below 1 µs, 2 µs, 4 µs, …; the last holds all that were longer.
    pub buckets: Vec<u64>,
}

impl Histogram {
    /// The upper bound of bucket `n`.
    pub fn bound(n: usize) -> Duration {
        Duration::from_micros(1 << n.min(BUCKETS))
    }

    /// A duration that the fraction `q` (0 to 1) of all did not exceed, to a factor of two.
    pub fn quantile(&self, q: f64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rank = self.count as f64 * q;
        let mut seen = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            seen += count;
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            if seen as f64 >= rank {
                return Self::bound(n);
            }
        }
        Self::bound(BUCKETS)
    }
}

/// Up to 2^30 µs, some 18 minutes, and all that is longer.
const BUCKETS: usize = 32;

#[derive(Debug, Default)]
struct Buckets {
    sum_nanos: AtomicU64,
    counts: [AtomicU64; BUCKETS],
}

impl Buckets {
    fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let buckets: Vec<_> = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        Histogram {
            count: buckets.iter().sum(),
            sum: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)),
            buckets,
        }
    }
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Done,
    Requeued,
    Failed,
}

impl Metrics {
    pub(super) fn began(&self, waited: Duration, is_retry: bool) {
        self.waited.add(waited);
        if is_retry {
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn ended(&self, worked: Duration, outcome: Outcome) {
        self.worked.add(worked);
        let counter = match outcome {
            Outcome::Failed => &self.failed,
            Outcome::Done => &self.succeeded,
            Outcome::Requeued => {
                self.requeued.fetch_add(1, Ordering::Relaxed);
                &self.succeeded
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, queue: &WorkQueue) -> MetricsSnapshot {
        MetricsSnapshot {
            queue_depth: queue.depth(),
            delayed: queue.delayed(),
            working: queue.working(),
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            requeued: self.requeued.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            queue_time: self.waited.read(),
            work_time: self.worked.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_below_the_bound_of_their_bucket() {
        for micros in [0, 1, 2, 3, 1_000, 1 << 29, u64::MAX / 2_000] {
            let buckets = Buckets::default();
            buckets.add(Duration::from_micros(micros));
            let read = buckets.read();
            let bucket = read.buckets.iter().position(|count| *count == 1).unwrap();
            let within = Duration::from_micros(micros) < Histogram::bound(bucket);
            assert!(within || bucket == BUCKETS - 1, "{micros} µs in bucket {bucket}");
            assert!(
                bucket == 0 || Duration::from_micros(micros) >= Histogram::bound(bucket - 1),
                "{micros}"
            );
            assert_eq!(read.quantile(0.5), Histogram::bound(bucket));
        }
    }
}
