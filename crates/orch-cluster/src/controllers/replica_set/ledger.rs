//! What the controller remembers of its own writes, per set.

use std::collections::HashMap;
use std::time::Duration;

use orch_core::object::ObjectKey;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Whether the view of pods shows all that was written for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Our last reconcile came to its end, and waited for the view.
    Trusted,
    /// There was none, or it was cut off: what it wrote is not known.
    InDoubt,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    trusted: bool,
    reported: Option<Instant>,
}

/// One page per set.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<ObjectKey, Page>>);

impl Ledger {
    pub(super) fn standing(&self, set: &ObjectKey) -> Standing {
        match self.0.lock().get(set) {
            Some(page) if page.trusted => Standing::Trusted,
            _ => Standing::InDoubt,
        }
    }

    /// Writes are about to begin.
    pub(super) fn doubt(&self, set: &ObjectKey) {
        self.0.lock().entry(set.clone()).or_default().trusted = false;
    }

    /// The view shows all that was written.
    pub(super) fn trust(&self, set: &ObjectKey) {
        self.0.lock().entry(set.clone()).or_default().trusted = true;
    }

    pub(super) fn reported(&self, set: &ObjectKey, now: Instant) {
        self.0.lock().entry(set.clone()).or_default().reported = Some(now);
    }

    /// If the status was written less than `period` ago, how long until that is over.
    pub(super) fn reported_within(
        &self,
        set: &ObjectKey,
        period: Duration,
        now: Instant,
    ) -> Option<Duration> {
        let reported = self.0.lock().get(set)?.reported?;
        let wait = period.checked_sub(now.saturating_duration_since(reported))?;
        (!wait.is_zero()).then_some(wait)
    }

    pub(super) fn forget(&self, set: &ObjectKey) {
        self.0.lock().remove(set);
    }
}
