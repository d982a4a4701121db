//! What a Deployment's ReplicaSets must become next.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};

use super::new_set::new_set;
use super::progress::{self, NewSet};
use super::sets::{Set, Sets, spec_replicas};
use super::strategy::{Strategy, replicas};
use super::{proportional, revision, rolling};
use crate::controllers::claim::{Claim, claim};
use orch_core::object::Selector;

use crate::controllers::Labels;

/// One step towards the wanted state, in the order in which to carry it out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Matching orphan sets to give our owner reference.
    pub(crate) adopt: Vec<Arc<ReplicaSet>>,
    /// Own sets that match no more, to take our owner reference from.
    pub(crate) release: Vec<Arc<ReplicaSet>>,
    /// What happens to the sets.
    pub(crate) changes: Vec<Change>,
    /// The value for the Deployment's own annotation `deployment.kubernetes.io/revision`, if it must change.
    pub(crate) revision: Option<String>,
    /// The whole new status.
    pub(crate) status: DeploymentStatus,
    /// When to decide again though nothing has happened: the progress deadline.
    pub(crate) again_in: Option<Duration>,
}

/// One change of a set.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    Create(Box<ReplicaSet>),
    Update(SetUpdate),
    /// Beyond the revision history limit.
    Delete(Arc<ReplicaSet>),
}

/// The fields of a set that change; the others stay as they are.
#[derive(Debug, PartialEq)]
pub(crate) struct SetUpdate {
    pub(crate) set: Arc<ReplicaSet>,
    pub(crate) replicas: Option<i32>,
    pub(crate) min_ready_seconds: Option<i32>,
    pub(crate) annotations: Labels,
}

/// Decides the next step from the Deployment, the sets that are its own or nobody's, and `has_pods`: whether
/// the set of a uid still has pods that have not finished (asked for `Recreate` only).
pub(crate) fn decide(
    deployment: &Deployment,
    selector: &Selector,
    sets: &[Arc<ReplicaSet>],
    has_pods: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let owned = plan.claim(deployment, selector, sets);
    let mut sets = Sets::new(deployment, &owned);
    if deployment.metadata.deletion_timestamp.is_some() {
        plan.status = progress::status(deployment, &sets, &NewSet::Missing, now);
        return plan;
    }
    let mut new = sets.new_set().map_or(NewSet::Missing, |_| NewSet::Exists);
    let newest = revision::newest(&sets);

    let paused = progress::is_paused(deployment);
    if paused || proportional::was_resized(deployment, &sets) {
        proportional::resize(deployment, &mut sets);
    } else if let Some(size) = roll(deployment, &mut sets, has_pods) {
        match sets.new_set_mut() {
            Some(set) => set.size = size,
            None => {
                let mut annotations = revision::missing(deployment, None, newest);
                annotations
                    .extend(revision::size_annotations(deployment).map(|(key, value)| (key.into(), value)));
                let set = new_set(deployment, size, annotations);
                new = NewSet::Created(set.metadata.name.clone().unwrap_or_default());
                plan.changes.push(Change::Create(Box::new(set)));
            }
        }
    }

    plan.update_sets(deployment, &sets, newest);
    plan.status = progress::status(deployment, &sets, &new, now);
    if paused || progress::is_complete(deployment, &plan.status) {
        let beyond = revision::beyond_limit(deployment, &sets);
        plan.changes.extend(beyond.into_iter().map(Change::Delete));
    }
    if new != NewSet::Missing {
        let before = revision::revision_of(deployment.metadata.annotations.as_ref());
        let current = sets
            .new_set()
            .map(|set| revision::revision_of(set.object.metadata.annotations.as_ref()));
        let current = newest.max(current.unwrap_or(0));
        plan.revision = (before != current).then(|| current.to_string());
    }
    plan.again_in = progress::time_left(deployment, &plan.status, now);
    plan
}

/// The size that the new set is to have now, if it is to exist; shrinks the old ones when their turn is.
///
/// Either the new set grows or the old ones shrink, never both in one step: each rests on what was counted.
fn roll(deployment: &Deployment, sets: &mut Sets, has_pods: impl Fn(&str) -> bool) -> Option<i32> {
    let wanted = replicas(deployment);
    let strategy = Strategy::of(deployment);
    if strategy == Strategy::Recreate {
        let old_remain = sets.old().any(|set| {
            let uid = set.object.metadata.uid.as_deref().unwrap_or_default();
            set.occupied() > 0 || !set.is_observed() || has_pods(uid)
        });
        sets.old_mut().for_each(|set| set.size = 0);
        return if old_remain {
            sets.new_set().map(|set| set.size)
        } else {
            Some(wanted)
        };
    }
    if !sets.all().iter().all(Set::is_observed) {
        // An earlier step is still being carried out; its outcome wakes us.
        return sets.new_set().map(|set| set.size);
    }
    let size = rolling::new_size(sets, strategy, wanted);
    if sets.new_set().is_some_and(|set| set.size == size) {
        rolling::shrink_old(sets, strategy, wanted);
    }
    Some(size)
}

impl Plan {
    fn claim(
        &mut self,
        deployment: &Deployment,
        selector: &Selector,
        sets: &[Arc<ReplicaSet>],
    ) -> Vec<Arc<ReplicaSet>> {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let is_deleting = deployment.metadata.deletion_timestamp.is_some();
        let mut owned = Vec::new();
        for set in sets {
            match claim(uid, is_deleting, selector, set.as_ref()) {
                Claim::Keep => owned.push(Arc::clone(set)),
                Claim::Adopt => {
                    owned.push(Arc::clone(set));
                    self.adopt.push(Arc::clone(set));
                }
                Claim::Release => self.release.push(Arc::clone(set)),
                Claim::Ignore => {}
            }
        }
        owned
    }

    /// Writes down what differs between each set and its plan: size, annotations, `minReadySeconds`.
    fn update_sets(&mut self, deployment: &Deployment, sets: &Sets, newest: i64) {
        let min_ready = deployment.spec.min_ready_seconds.unwrap_or(0);
        let mut updates = Vec::new();
        for (at, set) in sets.all().iter().enumerate() {
            let mut update = SetUpdate {
                set: Arc::clone(&set.object),
                replicas: (set.size != spec_replicas(&set.object)).then_some(set.size),
                min_ready_seconds: None,
                annotations: Labels::new(),
            };
            if sets.new_index() == Some(at) {
                update.annotations = revision::missing(deployment, Some(set), newest);
                let own = set.object.spec.min_ready_seconds;
                update.min_ready_seconds = (own.unwrap_or(0) != min_ready).then_some(min_ready);
            }
            if set.size > 0 || update.replicas.is_some() {
                for (key, value) in revision::size_annotations(deployment) {
                    if set.annotation(key) != Some(&value) {
                        update.annotations.insert(key.to_owned(), value);
                    }
                }
            }
            if update.replicas.is_some()
                || update.min_ready_seconds.is_some()
                || !update.annotations.is_empty()
            {
                updates.push(update);
            }
        }
        // Shrink before growing: a reconcile cut short in between leaves fewer pods, never more.
        updates.sort_by_key(|update| {
            update
                .replicas
                .is_some_and(|size| size > spec_replicas(&update.set))
        });
        self.changes.extend(updates.into_iter().map(Change::Update));
    }
}
