//! What containers took, and how that is shown.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::join_all;
use orch_benches::{median, millis};

/// What was measured of one contender.
#[derive(Default)]
pub(crate) struct Taken {
    name: String,
    times: Vec<Duration>,
    processor: Duration,
    /// Of each turn.
    per_second: Vec<f64>,
}

impl Taken {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) async fn time(&mut self, counts: bool, one: impl Future<Output = ()>) {
        let (began, spent) = (Instant::now(), processor_time());
        one.await;
        if counts {
            self.times.push(began.elapsed());
            self.processor += processor_time().saturating_sub(spent);
        }
    }

    pub(crate) async fn at_once<F: Future<Output = ()>>(
        &mut self,
        lanes: usize,
        count: usize,
        one: impl Fn(usize) -> F,
    ) {
        let (began, one) = (Instant::now(), &one);
        let all = (0..lanes).map(|lane| async move {
            for nth in (lane..count).step_by(lanes) {
                one(nth).await;
            }
        });
        join_all(all).await;
        self.per_second.push(count as f64 / began.elapsed().as_secs_f64());
    }

    pub(crate) fn show(&self, lanes: usize, ours: Option<&Self>) {
        let count = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        let time = median(self.times.clone());
        println!(
            "{:<7} one after the other {:>7.1} ms (median of {count}), {:>5.1} ms of processor time each; {lanes} at once \
             {:>6.1} a second (median of {} turns)",
            self.name,
            millis(time),
            millis(self.processor) / f64::from(count),
            middle(&self.per_second),
            self.per_second.len()
        );
        if let Some(ours) = ours {
            let of_turns = ours.per_second.iter().zip(&self.per_second);
            let of_turns: Vec<f64> = of_turns.map(|(ours, its)| ours / its).collect();
            println!(
                "        orch takes {:.2}x its time, and has {:.2}x its starts a second",
                millis(median(ours.times.clone())) / millis(time),
                middle(&of_turns)
            );
        }
    }
}

fn middle(of: &[f64]) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// What the machine has spent, in the kernel's hundredths of a second: also in processes that nobody here waits for, such
/// as a daemon's. So nothing else must run on it.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").expect("the machine's figures");
    let all = stat.lines().next().expect("a line for all processors");
    // proc(5): user, nice, system, idle, iowait, irq, softirq.
    let ticks: Vec<u64> = all
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().expect("a number"))
        .collect();
    Duration::from_millis((ticks[..3].iter().sum::<u64>() + ticks[5] + ticks[6]) * 10)
}
