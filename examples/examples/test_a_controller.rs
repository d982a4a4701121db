//! How to test a controller in milliseconds: a wrong one and the right one, and an hour that passes at once.
//!
//!     cargo run --example test_a_controller
//!     cargo test -p orch-examples test_a_controller

use std::sync::Arc;
use std::time::Duration;

use orch_core::cache::Cache;
use orch_core::client::Client;
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
use orch_core::object::{Object, ObjectKey, ObjectMeta};
use orch_core::store::MemoryStore;
use orch_examples::until;
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

/// Is to be marked as fired so long after its creation.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Reminder {
    metadata: ObjectMeta,
    after_seconds: u64,
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
        let created = meta.creation_timestamp.unwrap_or_else(orch_core::time::now);
        // The time comes from orch_core::time, which follows tokio's clock: that is what makes this testable.
        let age = Duration::try_from(orch_core::time::now().duration_since(created)).unwrap_or_default();
        let left = Duration::from_secs(reminder.after_seconds).saturating_sub(age);
        if !left.is_zero() {
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
        after_seconds: delay.as_secs(),
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
    let result = tokio::time::timeout(2 * HOUR, until(&reminders, fired)).await;
    let took = began.elapsed();
    running.stop().await;
    result.ok().map(|()| took)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
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
            // Creation dates are whole seconds, so it may seem a second older than it is.
            assert!(after + Duration::from_secs(1) >= delay, "{after:?}");
            assert!(after <= delay + Duration::from_secs(1), "{after:?}");
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
}
