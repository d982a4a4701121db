//! Takes keys off the queue and reconciles them.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;
use tracing::Instrument;

use super::metrics::Outcome;
use super::{Action, Backoff, Context, Controller, Metrics, ReconcileError, WorkQueue};
use crate::cache::Cache;
use crate::client::{ApiError, Patch};
use crate::object::{Object, ObjectKey};

pub(super) struct Worker<C: Controller> {
    pub(super) name: String,
    pub(super) controller: Arc<C>,
    pub(super) cache: Cache<C::Object>,
    pub(super) queue: Arc<WorkQueue>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) backoff: Backoff,
    /// How long one reconcile may take.
    pub(super) timeout: Option<Duration>,
    /// Failures in a row, of those objects that failed last.
    pub(super) failures: Mutex<HashMap<ObjectKey, u32>>,
}

/// Says that the work on a key is done however the worker ends, so that the key is never stuck.
struct InHand<'q> {
    queue: &'q WorkQueue,
    key: ObjectKey,
    finished: bool,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // Cut off in the middle: whoever works next starts it anew.
            self.queue.add(self.key.clone());
        }
        self.queue.done(&self.key);
    }
}

impl<C: Controller> Worker<C> {
    pub(super) async fn run(self: Arc<Self>, context: Arc<Context>) {
        while let Some((key, waited)) = self.queue.next().await {
            let mut in_hand = InHand {
                queue: &self.queue,
                key,
                finished: false,
            };
            let failures = self.failures.lock().get(&in_hand.key).copied().unwrap_or(0);
            self.metrics.began(waited, failures > 0);
            let began = Instant::now();
            let span = tracing::info_span!(
                "reconcile",
                controller = self.name,
                kind = %self.cache.resource().kind,
                namespace = in_hand.key.namespace(),
                name = in_hand.key.name(),
                failures,
            );
            let work = AssertUnwindSafe(self.reconcile(&in_hand.key, &context))
                .catch_unwind()
                .instrument(span);
            let ended = match self.timeout {
                None => Ok(work.await),
                Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| limit),
            };
            let result = match ended {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(panicked(&*panic)),
                Err(limit) => Err(format!("the reconciler was dropped: not done within {limit:?}").into()),
            };
            in_hand.finished = true;
            let outcome = self.settle(&in_hand.key, failures, result, &context);
            self.metrics.ended(began.elapsed(), outcome);
        }
    }

    /// Queues again what a lost leadership cut off: all of it, for the next leader may be this one.
    pub(super) fn recall(&self) {
        self.cache.for_each(|key, _| self.queue.add(key.clone()));
    }

    fn settle(
        &self,
        key: &ObjectKey,
        failures: u32,
        result: Result<Action, ReconcileError>,
        context: &Context,
    ) -> Outcome {
        match result {
            Ok(action) => {
                if failures > 0 {
                    self.failures.lock().remove(key);
                }
                match action.delay() {
                    Some(delay) => {
                        self.queue.add_after(key.clone(), delay);
                        Outcome::Requeued
                    }
                    None => Outcome::Done,
                }
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                self.failures.lock().insert(key.clone(), failures);
                let delay = self.backoff.delay(failures, &context.random);
                let (kind, namespace, name) = (&self.cache.resource().kind, key.namespace(), key.name());
                let conflict = error
                    .downcast_ref::<ApiError>()
                    .is_some_and(ApiError::is_conflict);
                if conflict {
                    tracing::debug!(controller = self.name, %kind, namespace, name, %error, ?delay, "trying again");
                } else {
                    tracing::warn!(controller = self.name, %kind, namespace, name, %error, ?delay, failures, "failed");
                }
                self.queue.add_after(key.clone(), delay);
                Outcome::Failed
            }
        }
    }

    async fn reconcile(&self, key: &ObjectKey, context: &Context) -> Result<Action, ReconcileError> {
        let Some(object) = self.cache.get(key) else {
            self.failures.lock().remove(key);
            self.controller.gone(key, context).await;
            return Ok(Action::done());
        };
        match self.controller.finalizer() {
            Some(finalizer) => self.reconcile_finalized(finalizer, object, context).await,
            None => self.controller.reconcile(object, context).await,
        }
    }

    /// Sees to it that no object is reconciled without the finalizer, nor goes without cleanup.
    async fn reconcile_finalized(
        &self,
        finalizer: &str,
        object: Arc<C::Object>,
        context: &Context,
    ) -> Result<Action, ReconcileError> {
        let metadata = object.metadata().into_owned();
        let api = context
            .client
            .api::<C::Object>(metadata.namespace.as_deref().unwrap_or_default());
        let has = metadata.finalizers.iter().any(|name| name == finalizer);
        // Conditional on the version that was seen: the list may have changed since.
        let with = |finalizers: Vec<String>| {
            Patch::Merge(json!({ "metadata": {
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version.map(|revision| revision.to_string()),
                "finalizers": finalizers,
            }}))
        };
        if metadata.is_deleting() {
            if !has {
                return Ok(Action::done());
            }
            let action = self.controller.cleanup(object.clone(), context).await?;
            if action.delay().is_some() {
                return Ok(action);
            }
            let left = metadata
                .finalizers
                .iter()
                .filter(|name| *name != finalizer)
                .cloned()
                .collect();
            return match api.patch(&metadata.name, &with(left)).await {
                Ok(_) | Err(ApiError::NotFound(_)) => Ok(action),
                Err(error) => Err(error.into()),
            };
        }
        if has {
            return self.controller.reconcile(object, context).await;
        }
        let mut finalizers = metadata.finalizers.clone();
        finalizers.push(finalizer.to_owned());
        let object = api.patch(&metadata.name, &with(finalizers)).await?;
        self.controller.reconcile(Arc::new(object), context).await
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> ReconcileError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the reconciler panicked: {}", text.unwrap_or("no message")).into()
}
