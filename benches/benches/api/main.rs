//! Kubernetes' API over a socket, and in the process: each figure beside its bound, over the redb store, in one run.
//!
//! One runtime of two threads serves and asks: what the callers take, TLS on their side included, is in every figure.
//! Requests are prepared bytes, and of an answer only the code and the length are read, so that callers take little.

#![allow(clippy::print_stdout, reason = "what it measures is what it prints")]

mod cycle;
mod load;
mod served;
mod watches;

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;

/// Prints one figure, its unit and its bound.
fn print(name: &str, figure: f64, bound: &str) {
    println!("{name:<74} {figure:>10.3} {bound}");
}

/// Prints a time in milliseconds.
fn print_time(name: &str, time: Duration, bound: &str) {
    print(&format!("{name}, ms"), orch_benches::millis(time), bound);
}

/// Runs on a runtime's own threads: the one that waits for it is none of them.
fn run(measured: impl Future<Output = ()> + Send + 'static) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { tokio::spawn(measured).await.expect("measured") });
}

fn main() {
    // What follows a word is measured alone: creates, reads, watches, cycle.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    if is_wanted("creates") {
        run(load::creates());
    }
    if is_wanted("reads") {
        run(load::reads());
    }
    if is_wanted("watches") {
        run(watches::watches());
    }
    if is_wanted("cycle") {
        cycle::cycle();
    }
}
