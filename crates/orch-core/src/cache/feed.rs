//! Keeps a view current: list, then watch, and again when the watch has lost its place.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::state::{Item, Seen, identity};
use super::{Change, Shared};
use crate::client::{ApiError, Client, Collection, ListParams, WatchEvent, WatchParams};
use crate::delays::Delays;
use crate::object::{Document, DocumentError, FieldSelector, ObjectKey, Selector};
use crate::store::Revision;

/// How many objects are listed at once.
const PAGE: usize = 1_000;
/// How long to wait before trying again.
const RETRY: Delays = Delays::new(Duration::from_millis(50), Duration::from_secs(10));

pub(super) struct Feed<V> {
    pub(super) client: Client,
    pub(super) collection: Collection,
    pub(super) labels: Selector,
    pub(super) fields: FieldSelector,
    pub(super) may_begin_in_the_past: bool,
    pub(super) shared: Arc<Shared<V>>,
}

impl<V: Send + Sync + 'static> Feed<V> {
    pub(super) async fn run(self) {
        let mut retry = RETRY;
        // The watch goes on from the first list. Later ones must not be of the past: a view that has been seen does not go back.
        let mut may_be_stale = self.may_begin_in_the_past;
        loop {
            let filled = self.fill(may_be_stale).await;
            may_be_stale &= filled.is_err();
            let error = match filled {
                Ok(revision) => self.follow(revision, &mut retry).await,
                Err(error) => error,
            };
            if matches!(error, ApiError::Expired(_)) {
                tracing::debug!(kind = %self.shared.resource.kind, %error, "listing anew");
            } else {
                tracing::warn!(kind = %self.shared.resource.kind, %error, "listing failed, trying again");
            }
            // Also when expired: a watcher too slow for the load does not add to it at once.
            retry.wait().await;
        }
    }

    /// Lists everything as one snapshot and makes the view that snapshot.
    async fn fill(&self, may_be_stale: bool) -> Result<Revision, ApiError> {
        let mut params = ListParams::default()
            .labels(self.labels.clone())
            .fields(self.fields.clone())
            .limit(PAGE);
        params.may_be_stale = may_be_stale;
        let mut fresh: Vec<(ObjectKey, Seen<V>)> = Vec::new();
        // Shown as they last were, if they were.
        let mut unreadable: HashSet<ObjectKey> = HashSet::new();
        let revision = loop {
            let page = self.client.backend().list(&self.collection, &params).await?;
            fresh.extend(
                page.items
                    .iter()
                    .map(|document| (document.key(), self.see(document))),
            );
            unreadable.extend(page.unreadable);
            match page.continue_token {
                Some(token) => params.continue_token = Some(token),
                None => break page.revision,
            }
        };
        let gone: Vec<_> = {
            let present: HashSet<&str> = fresh.iter().map(|(key, _)| key.as_str()).collect();
            let state = self.shared.state.read();
            state
                .iter()
                .map(|(key, _)| key.clone())
                .filter(|key| !present.contains(key.as_str()) && !unreadable.contains(key))
                .collect()
        };
        fresh.extend(gone.into_iter().map(|key| (key, Seen::Gone)));
        self.apply(fresh, revision);
        Ok(revision)
    }

    /// Applies changes after `revision` for as long as they can be had without a gap.
    ///
    /// A change that came resets how long the next failure is waited for; a list alone does not, or a watch that
    /// expires at once would have everything listed again and again.
    async fn follow(&self, mut revision: Revision, retry: &mut Delays) -> ApiError {
        loop {
            let params = WatchParams {
                labels: self.labels.clone(),
                fields: self.fields.clone(),
                after: revision,
            };
            let error = match self.client.backend().watch(&self.collection, &params).await {
                Ok(mut watch) => loop {
                    match watch.next().await {
                        Some(Ok(batch)) => {
                            // A watch may have changes without a gap, and the thread other tasks.
                            consume_budget().await;
                            retry.reset();
                            revision = batch.revision;
                            let changes = batch.events.iter().map(|event| match event {
                                WatchEvent::Added(document) | WatchEvent::Modified(document) => {
                                    (document.key(), self.see(document))
                                }
                                WatchEvent::Deleted(document) => (document.key(), Seen::Gone),
                            });
                            self.apply(changes.collect(), revision);
                        }
                        Some(Err(error)) => break error,
                        None => break ApiError::Unavailable("the watch ended".into()),
                    }
                },
                Err(error) => error,
            };
            match error {
                ApiError::Unavailable(_) => {
                    tracing::warn!(kind = %self.shared.resource.kind, %error, "watching failed, trying again");
                    retry.wait().await;
                }
                error => return error,
            }
        }
    }

    fn see(&self, document: &Document) -> Seen<V> {
        let meta = document.meta();
        let project = || {
            let value = (self.shared.project)(document)?;
            let indexers = self.shared.indexers.iter();
            let filed = indexers.map(|(_, values)| values(&value, meta)).collect();
            Ok(Item::new(value, meta, filed))
        };
        // A panic is the reader's, and no reason for the view to stand still.
        match catch_unwind(AssertUnwindSafe(project)).unwrap_or_else(|_| Err(panicked())) {
            Ok(item) => Seen::Item(item),
            Err(error) => {
                let kind = &self.shared.resource.kind;
                tracing::error!(%kind, namespace = meta.namespace, name = meta.name, %error, "not decodable, shown as it last was");
                Seen::Unreadable(identity(&meta.uid))
            }
        }
    }

    fn apply(&self, changes: Vec<(ObjectKey, Seen<V>)>, revision: Revision) {
        let mut handlers = self.shared.handlers.lock();
        handlers.retain(|handler| handler.strong_count() > 0);
        let told: Vec<_> = {
            let mut state = self.shared.state.write();
            changes
                .into_iter()
                .filter_map(|(key, seen)| Some((state.see(&key, seen)?, key)))
                .collect()
        };
        self.shared.revision.set(Some(revision));
        for ((old, new), key) in &told {
            let change = Change {
                key,
                old: old.as_ref().map(|item| &item.value),
                new: new.as_ref().map(|item| &item.value),
                old_controller: old.as_ref().and_then(|item| item.controller.as_deref()),
                controller: new.as_ref().and_then(|item| item.controller.as_deref()),
            };
            for handler in handlers.iter().filter_map(Weak::upgrade) {
                if catch_unwind(AssertUnwindSafe(|| handler.call(&change))).is_err() {
                    let kind = &self.shared.resource.kind;
                    let (namespace, name) = (key.namespace(), key.name());
                    tracing::error!(%kind, namespace, name, "a handler panicked over a change, which it has missed");
                }
            }
        }
    }
}

fn panicked() -> DocumentError {
    DocumentError::Field {
        field: String::new(),
        reason: "what reads it panicked".to_owned(),
    }
}
