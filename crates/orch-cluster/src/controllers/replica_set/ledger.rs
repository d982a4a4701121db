//! What the controller remembers of a set: its own writes, and the failures of the pods.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use orch_core::object::{Object, ObjectKey};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::backoff::{Backoff, Wait};
use super::{Plan, min_ready};

/// How long a set rests after it was looked at, per pod. To look at a pod takes some tenth of this, so a set in
/// motion takes a tenth of a processor at most, and a thousand pods that become ready one by one are some dozen
/// writes of its status, not a thousand.
const REST_PER_POD: Duration = Duration::from_micros(5);
/// The longest rest: what a change of a very large set may wait.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Whether the view of pods shows all that was written for a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The last reconcile came to its end, and waited for the view to show what it wrote; or none in this life has written
    /// anything: what the lives before wrote it waits for before it does ([`CatchUp`](super::catch_up::CatchUp)).
    Trusted,
    /// It failed, or was cut off: what it wrote is not known.
    InDoubt,
}

#[derive(Clone, Debug, Default)]
struct Page {
    doubted: bool,
    backoff: Backoff,
    /// When it may be looked at again.
    rested: Option<Instant>,
}

/// One page per set.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<HashMap<ObjectKey, Page>>);

impl Ledger {
    pub(super) fn standing(&self, set: &ObjectKey) -> Standing {
        match self.0.lock().get(set) {
            Some(page) if page.doubted => Standing::InDoubt,
            _ => Standing::Trusted,
        }
    }

    /// Writes are about to begin.
    pub(super) fn doubt(&self, set: &ObjectKey) {
        self.0.lock().entry(set.clone()).or_default().doubted = true;
    }

    /// The view shows all that was written.
    pub(super) fn trust(&self, set: &ObjectKey) {
        self.0.lock().entry(set.clone()).or_default().doubted = false;
    }

    /// The set has just been looked at, all `pods` of it.
    pub(super) fn rest(&self, set: &ObjectKey, pods: usize, now: Instant) {
        let rest = REST_PER_POD
            .saturating_mul(u32::try_from(pods).unwrap_or(u32::MAX))
            .min(LONGEST_REST);
        self.0.lock().entry(set.clone()).or_default().rested = Some(now + rest);
    }

    /// How long until the set may be looked at again, if that is not now.
    pub(super) fn resting(&self, set: &ObjectKey, now: Instant) -> Option<Duration> {
        let until = self.0.lock().get(set)?.rested?;
        until.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    /// Takes note of the pods, and takes out of the plan those that are not to be made yet.
    pub(super) fn hold_back(&self, set: &ReplicaSet, plan: &mut Plan, now: Timestamp) -> Wait {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let version = (uid, set.metadata.generation.unwrap_or_default());
        let mut pages = self.0.lock();
        let backoff = &mut pages.entry(set.key()).or_default().backoff;
        let wait = backoff.observe(version, &plan.claimed, min_ready(set), now);
        plan.create = plan.create.saturating_sub(wait.held);
        wait
    }

    pub(super) fn forget(&self, set: &ObjectKey) {
        self.0.lock().remove(set);
    }
}
