//! Stops that come while a container is still being started.

use std::time::Instant;

use super::*;

/// Longer than a machine under any load needs; only a stop that was lost takes it.
const GRACE: Duration = Duration::from_secs(50);

/// Starts containers, several at once, and stops each within some milliseconds; how long the slowest stop took.
async fn slowest_stop(runtime: &ProcessRuntime, at_once: u64, each: u64) -> Duration {
    let one = |lane: u64| async move {
        let mut slowest = Duration::ZERO;
        for number in 0..each {
            let id = created(runtime, &shell(&format!("c{lane}-{number}"), "exec sleep 1000")).await;
            runtime.start_container(&id).await.unwrap();
            tokio::time::sleep(Duration::from_micros(number * 5_000 / each)).await;
            let before = Instant::now();
            runtime.stop_container(&id, GRACE).await.unwrap();
            slowest = slowest.max(before.elapsed());
            assert_eq!(exit_code(runtime, &id).await, Some(143), "ended by the signal");
        }
        slowest
    };
    join_all((0..at_once).map(one))
        .await
        .into_iter()
        .max()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stop_is_lost_on_a_program_that_is_just_being_started() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    for (at_once, each) in [(1, 100), (4, 50), (200, 1)] {
        let slowest = slowest_stop(&runtime, at_once, each).await;
        assert!(slowest < GRACE / 2, "{at_once} at once: {slowest:?}");
        runtime.remove_sandbox(&sandbox(&runtime).await).await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_waits_for_a_wrapper_that_an_earlier_holder_started_and_that_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    let mut slow = 0;
    for number in 0..20 {
        let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
        let id = started(&runtime, &shell(&format!("c{number}"), "exec sleep 1000")).await;
        let cell = runtime.inner.cell(&id).unwrap();
        let wrapper = cell.group().unwrap();
        os::signal_group(wrapper, Signal::STOP);
        slow += usize::from(!cell.dir.join("began").exists());
        drop((cell, runtime));

        let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
        let going_on = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            os::signal_group(wrapper, Signal::CONT);
        };
        let (stopped, ()) = tokio::join!(runtime.stop_container(&id, GRACE), going_on);
        stopped.unwrap();
        assert_eq!(exit_code(&runtime, &id).await, Some(143), "ended by the signal");
        os::reap(wrapper);
    }
    assert!(slow > 0, "the signal never came before the program");
}
