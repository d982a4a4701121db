//! How to test in milliseconds what takes an hour: a controller of your own, a wrong one and the right one; and a whole
//! cluster, with a container that keeps crashing.
//!
//!     cargo run --features testing --example test_a_controller
//!     cargo test -p orch-examples --features testing test_a_controller

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::is_ready;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::cache::Cache;
use orch_core::client::Client;
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
use orch_core::object::{Object, ObjectKey, ObjectMeta};
use orch_core::store::MemoryStore;
use orch_core::testing::fake_runtime::{Behavior, FakeRuntime, On};
use serde::{Deserialize, Serialize};

type Error = Box<dyn std::error::Error>;

const HOUR: Duration = Duration::from_secs(3600);

/// Is to be marked as fired at this date.
///
/// A date, and not a delay after the creation: creation dates are whole seconds, as in Kubernetes, and whoever counts
/// from one is up to a second early.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Reminder {
    metadata: ObjectMeta,
    due: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Fired>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fired {
    fired: bool,
}

struct Reminders {
    /// What the wrong controller forgets: nothing else wakes it when the time has come.
    asks_to_be_called_again: bool,
}

#[async_trait::async_trait]
impl Controller for Reminders {
    type Object = Reminder;

    async fn reconcile(&self, reminder: Arc<Reminder>, cx: &Context) -> Result<Action, ReconcileError> {
        if reminder.status.is_some() {
            return Ok(Action::done());
        }
        let meta = &reminder.metadata;
        // The time comes from orch_core::time, which follows tokio's clock: that is what makes this testable.
        let left = reminder.due.duration_since(orch_core::time::now());
        // A date that has passed leaves less than nothing, which no Duration can be.
        if let Ok(left) = Duration::try_from(left)
            && !left.is_zero()
        {
            return Ok(if self.asks_to_be_called_again {
                Action::requeue_after(left)
            } else {
                Action::done()
            });
        }
        let api = cx.client().api::<Reminder>("default");
        api.put_status(&meta.name, Some(&meta.uid), &Fired { fired: true })
            .await?;
        Ok(Action::done())
    }
}

/// After how long a reminder of this delay fires; none if it has not within twice an hour.
async fn fires_after(controller: Reminders, delay: Duration) -> Option<Duration> {
    let client = Client::new(Arc::new(MemoryStore::new()));
    let reminders: Cache<Reminder> = Cache::builder(&client).start();
    let running = Engine::new(controller, &client).cache(reminders.clone()).start();
    let reminder = Reminder {
        metadata: ObjectMeta::named("tea"),
        due: orch_core::time::now() + delay,
        status: None,
    };
    let began = tokio::time::Instant::now();
    let created = client.api("default").create(&reminder).await;
    assert!(created.is_ok(), "{created:?}");
    let key = ObjectKey::new(Some("default"), "tea");
    let fired = || {
        reminders
            .get(&key)
            .is_some_and(|reminder| reminder.status.is_some())
    };
    let result = tokio::time::timeout(2 * HOUR, reminders.until(|_| fired())).await;
    let took = began.elapsed();
    running.stop().await;
    result.ok().map(|()| took)
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: web}]}
";

/// A container that ends with an error so many times, then runs: how often its pod says it was restarted an hour after
/// it became ready, and after how long each restart came.
///
/// All but the runtime is what runs in production: scheduler, node agent, backoff. A fake runtime can also be told to
/// start slowly, to run out of memory, to fail probes or to lose its engine.
async fn restarts_after(crashes: u32) -> Result<(i32, Vec<Duration>), Error> {
    let runtime = FakeRuntime::new();
    runtime.on(On::container("web"), Behavior::new().crash(crashes, 1));
    let cluster = Cluster::builder(Arc::new(MemoryStore::new()))
        .node("node-1", Arc::new(runtime))
        .start()
        .await?;
    let pods: Cache<Pod> = Cache::builder(cluster.client()).start();
    let key = ObjectKey::new(Some("default"), "web");
    let restarts = || {
        let statuses = pods.get(&key)?.status.as_ref()?.container_statuses.clone()?;
        Some(statuses.first()?.restart_count)
    };

    let began = tokio::time::Instant::now();
    cluster
        .apply(&Manifest::read("web.yaml", POD, &ManifestKinds::builtin())?)
        .await?;
    let mut after = Vec::new();
    for count in 1..=i32::try_from(crashes)? {
        pods.until(|_| restarts() >= Some(count)).await;
        after.push(began.elapsed());
    }
    pods.until(|pods| pods.get(&key).is_some_and(|pod| is_ready(&pod)))
        .await;
    tokio::time::sleep(HOUR).await;
    let restarts = restarts().ok_or("the pod has lost its status")?;
    drop(pods);
    cluster.stop().await;
    Ok((restarts, after))
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Error> {
    for (name, asks_to_be_called_again) in [("wrong", false), ("right", true)] {
        for delay in [Duration::ZERO, HOUR] {
            let (real, passed) = (std::time::Instant::now(), tokio::time::Instant::now());
            let found = match fires_after(
                Reminders {
                    asks_to_be_called_again,
                },
                delay,
            )
            .await
            {
                Some(after) => format!("fired after {} s", after.as_secs()),
                None => "never fired".to_owned(),
            };
            println!(
                "{name} controller, due in {:>4} s: {found} ({} s virtual, {:.1} ms real)",
                delay.as_secs(),
                passed.elapsed().as_secs(),
                real.elapsed().as_secs_f64() * 1000.0
            );
        }
    }

    let (real, passed) = (std::time::Instant::now(), tokio::time::Instant::now());
    let (restarts, after) = restarts_after(3).await?;
    println!(
        "crashing container: restarted {restarts} times, after {:?} s ({} s virtual, {:.1} ms real)",
        in_seconds(&after),
        passed.elapsed().as_secs(),
        real.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

fn in_seconds(durations: &[Duration]) -> Vec<u64> {
    durations.iter().map(Duration::as_secs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_right_controller_fires_when_the_time_has_come_and_not_before() {
        for delay in [Duration::ZERO, HOUR] {
            let right = Reminders {
                asks_to_be_called_again: true,
            };
            let after = fires_after(right, delay).await.unwrap();
            assert!(after >= delay, "early: {after:?}");
            // Tokio's timers count milliseconds.
            assert!(after <= delay + Duration::from_millis(2), "late: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wrong_controller_is_found_out_by_a_delay_and_only_by_one() {
        let wrong = || Reminders {
            asks_to_be_called_again: false,
        };
        assert!(fires_after(wrong(), Duration::ZERO).await.is_some());
        assert_eq!(fires_after(wrong(), HOUR).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crashing_container_is_restarted_at_once_then_after_10_s_then_after_20_s_more() {
        let (restarts, after) = restarts_after(3).await.unwrap();
        assert_eq!(in_seconds(&after), [0, 10, 30]);
        assert_eq!(restarts, 3, "and then it stays up");
    }
}
