//! The reconcile engine: runs a [`Controller`] over a cache, one object at a time per key.
//!
//! Level-triggered: an event only says which object to look at. The reconciler reads the present, compares it
//! with what is wanted and moves towards it; it gives the same result however many events there were and
//! whichever were missed. Those who know kube-rs or controller-runtime will find their way.

mod backoff;
mod election;
mod engine;
mod lease;
mod metrics;
mod queue;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use backoff::Backoff;
pub use election::{Election, Leadership};
pub use engine::{Engine, Running};
pub use lease::{Lease, LeaseSpec};
pub use metrics::{Histogram, Metrics, MetricsSnapshot};
pub use queue::WorkQueue;

use crate::client::Client;
use crate::object::{Object, ObjectKey};
use crate::random::Random;

/// Why a reconcile failed: any error; it is logged, counted, and the object tried again after a backoff.
pub type ReconcileError = Box<dyn std::error::Error + Send + Sync>;

/// Moves the world towards what objects of one kind ask for.
///
/// The engine calls [`reconcile`](Self::reconcile) whenever an object, or something that belongs to it, may
/// have changed; never twice at once for one object. What the outcome does to the queue:
///
/// | returned | then |
/// |---|---|
/// | `Ok(Action::done())` | called again at the next change; earlier failures are forgotten |
/// | `Ok(Action::requeue_after(d))` | the same, or after `d` if nothing changes before |
/// | `Err(error)` | called again after a backoff that doubles with each failure in a row |
///
/// A call can be killed between any two awaits and the object reconciled again, here or elsewhere: make every
/// step one that may be repeated. What a reconcile writes to its own object, the status included, is a change like
/// any other, and wakes it once more; a write that changes nothing makes no revision and wakes nobody. So a reconciler that
/// writes what it finds to be so comes to rest, and one that writes the time does not. The object comes from a cache and may be a little old; an update with its
/// resource version is refused if it is ([`ApiError::Conflict`](crate::client::ApiError::Conflict)), which is
/// a fine error to return.
///
/// The example needs, beside this crate and tokio, `async-trait` and `serde` with its feature `derive`.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_core::client::{ApiError, Client};
/// use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
/// use orch_core::object::{Object, ObjectMeta};
/// use orch_core::store::MemoryStore;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Serialize, Deserialize, Object)]
/// #[object(group = "example.com", kind = "Greeting")]
/// struct Greeting {
///     metadata: ObjectMeta,
///     name: String,
///     #[serde(default, skip_serializing_if = "Option::is_none")]
///     status: Option<String>,
/// }
///
/// struct Greeter;
///
/// #[async_trait::async_trait]
/// impl Controller for Greeter {
///     type Object = Greeting;
///
///     async fn reconcile(&self, greeting: Arc<Greeting>, cx: &Context) -> Result<Action, ReconcileError> {
///         let text = format!("Hello, {}!", greeting.name);
///         if greeting.status.as_ref() != Some(&text) {
///             let mut greeting = Greeting::clone(&greeting);
///             greeting.status = Some(text);
///             cx.client().all::<Greeting>().update_status(&greeting).await?;
///         }
///         Ok(Action::done())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), ApiError> {
/// let client = Client::new(Arc::new(MemoryStore::new()));
/// let running = Engine::new(Greeter, &client).start();
/// let greetings = client.api::<Greeting>("default");
/// let metadata = ObjectMeta::named("world");
/// greetings.create(&Greeting { metadata, name: "world".into(), status: None }).await?;
/// # tokio::time::timeout(std::time::Duration::from_secs(9), async {
/// while greetings.get("world").await?.status.is_none() {
///     tokio::task::yield_now().await;
/// }
/// # Ok::<(), ApiError>(()) }).await.unwrap()?;
/// running.stop().await;
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// The kind it reconciles.
    type Object: Object;

    /// Its name, for logs and counters; by default the kind in lower case.
    fn name(&self) -> String {
        Self::Object::resource().kind.to_lowercase()
    }

    /// Moves towards what `object` asks for.
    async fn reconcile(&self, object: Arc<Self::Object>, cx: &Context) -> Result<Action, ReconcileError>;

    /// The finalizer under which [`cleanup`](Self::cleanup) is owed before an object may go; none if there is
    /// nothing to clean up.
    ///
    /// The engine adds it before the first reconcile of an object and removes it after the cleanup.
    fn finalizer(&self) -> Option<&str> {
        None
    }

    /// Undoes what reconciling did outside of the store. Called, in place of `reconcile`, for objects that are
    /// being deleted and have the [`finalizer`](Self::finalizer), until it succeeds with [`Action::done`].
    async fn cleanup(&self, object: Arc<Self::Object>, cx: &Context) -> Result<Action, ReconcileError> {
        let _ = (object, cx);
        Ok(Action::done())
    }

    /// The object has left the cache; a place to forget what is held in memory for it.
    async fn gone(&self, key: &ObjectKey, cx: &Context) {
        let _ = (key, cx);
    }
}

/// What is to happen with an object after a reconcile that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Action {
    requeue_after: Option<Duration>,
}

impl Action {
    /// Nothing until something changes.
    pub const fn done() -> Self {
        Self { requeue_after: None }
    }

    /// Reconcile again after this long, or when something changes before.
    pub const fn requeue_after(delay: Duration) -> Self {
        Self {
            requeue_after: Some(delay),
        }
    }

    pub(crate) fn delay(self) -> Option<Duration> {
        self.requeue_after
    }
}

/// What a reconciler works with.
#[derive(Clone, Debug)]
pub struct Context {
    client: Client,
    random: Random,
}

impl Context {
    /// The client to write through. Under leader election its writes are refused once another leads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The engine's source of randomness.
    pub fn random(&self) -> &Random {
        &self.random
    }
}
