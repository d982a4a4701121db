//! Handlers of changes, and how long they are called.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Change;

/// What is called for every change.
pub(super) struct Handler<V>(Box<dyn Fn(&Change<'_, V>) + Send + Sync>);

impl<V> Handler<V> {
    pub(super) fn new(handler: impl Fn(&Change<'_, V>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(handler)))
    }

    pub(super) fn call(&self, change: &Change<'_, V>) {
        (self.0)(change);
    }
}

/// Handlers of whatever type that stay as long as their cache.
pub(super) type Kept = Mutex<Vec<Arc<dyn Any + Send + Sync>>>;

/// A handler's place among those that a [`Cache`](super::Cache) calls; it is called until this is dropped.
///
/// The drop never waits, and may come from within a handler. A call that is under way on another thread still
/// ends after it.
#[must_use = "the handler is called only until this is dropped, which `let _ =` does at once: bind it to a name, or \
              `keep` it with the cache"]
pub struct Subscription {
    handler: Arc<dyn Any + Send + Sync>,
    kept: Weak<Kept>,
}

impl Subscription {
    pub(super) fn new(handler: Arc<dyn Any + Send + Sync>, kept: &Arc<Kept>) -> Self {
        Self {
            handler,
            kept: Arc::downgrade(kept),
        }
    }

    /// Leaves the handler in its place for as long as there is the cache.
    pub fn keep(self) {
        if let Some(kept) = self.kept.upgrade() {
            kept.lock().push(self.handler);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
