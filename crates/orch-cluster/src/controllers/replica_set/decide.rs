//! What a ReplicaSet lacks or has too much of.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;

use crate::controllers::claim::{Claim, claim};
use crate::controllers::pod_view::PodView;
use orch_core::object::Selector;

/// Most pods that one reconcile creates or deletes; the next one goes on. Keeps a set of 100,000 replicas from
/// holding a worker for long.
pub(crate) const BURST: usize = 1_000;

/// What to do about a ReplicaSet's pods.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Every pod that is or becomes ours: what the status counts.
    pub(crate) claimed: Vec<Arc<PodView>>,
    /// Matching orphans to give our owner reference.
    pub(crate) adopt: Vec<Arc<PodView>>,
    /// Own pods that match no more, to take our owner reference from.
    pub(crate) release: Vec<Arc<PodView>>,
    /// How many pods to create.
    pub(crate) create: usize,
    /// How many of the active pods to delete; [`victims`](super::victims) says which.
    pub(crate) delete: usize,
}

impl Plan {
    /// Whether there is anything to write besides the status.
    pub(crate) fn has_writes(&self) -> bool {
        self.create > 0 || self.delete > 0 || !self.adopt.is_empty() || !self.release.is_empty()
    }
}

/// Compares a set with the pods that are its own or nobody's; others among `pods` are left alone.
pub(crate) fn decide(set: &ReplicaSet, selector: &Selector, pods: &[Arc<PodView>]) -> Plan {
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let is_deleting = set.metadata.deletion_timestamp.is_some();
    let mut plan = Plan::default();
    for pod in pods {
        match claim(uid, is_deleting, selector, pod.as_ref()) {
            Claim::Keep => plan.claimed.push(Arc::clone(pod)),
            // A pod that is already finished is no replica, so there is nothing to gain from it.
            Claim::Adopt if pod.is_active() => {
                plan.claimed.push(Arc::clone(pod));
                plan.adopt.push(Arc::clone(pod));
            }
            Claim::Release => plan.release.push(Arc::clone(pod)),
            Claim::Adopt | Claim::Ignore => {}
        }
    }
    if is_deleting {
        return plan;
    }
    let active = plan.claimed.iter().filter(|pod| pod.is_active()).count();
    let wanted = desired(set);
    plan.create = wanted.saturating_sub(active).min(BURST);
    plan.delete = active.saturating_sub(wanted).min(BURST);
    plan
}

/// `spec.replicas`, which defaults to 1.
pub(crate) fn desired(set: &ReplicaSet) -> usize {
    let replicas = set.spec.replicas.unwrap_or(1);
    usize::try_from(replicas).unwrap_or(0)
}
