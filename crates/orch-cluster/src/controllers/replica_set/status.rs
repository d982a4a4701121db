//! What a ReplicaSet's status says of its pods.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controllers::pod_view::PodView;

/// Why the last attempt to create or delete pods failed; becomes the condition `ReplicaFailure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The status for `pods`, which are the set's own, and how long until it changes by the passage of time
/// alone (a ready pod becomes available).
///
/// `managed` is what came of this reconcile's creates and deletes.
pub(crate) fn status(
    set: &ReplicaSet,
    pods: &[Arc<PodView>],
    managed: Result<(), &Failure>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<Duration>) {
    let template_labels = set
        .spec
        .template
        .as_ref()
        .and_then(|template| template.metadata.as_ref())
        .and_then(|meta| meta.labels.as_ref());
    let min_ready = min_ready(set);

    let (mut replicas, mut labelled, mut ready, mut available, mut terminating) = (0, 0, 0, 0, 0);
    let mut next: Option<Duration> = None;
    for pod in pods {
        if pod.deleting.is_some() && !pod.is_finished() {
            terminating += 1;
        }
        if !pod.is_active() {
            continue;
        }
        replicas += 1;
        let has = |(key, value)| pod.labels.get(key) == Some(value);
        labelled += i32::from(template_labels.is_none_or(|labels| labels.iter().all(has)));
        ready += i32::from(pod.ready);
        match pod.available_in(min_ready, now) {
            Some(Duration::ZERO) => available += 1,
            Some(wait) => next = Some(next.map_or(wait, |next| next.min(wait))),
            None => {}
        }
    }
    let status = ReplicaSetStatus {
        replicas,
        fully_labeled_replicas: Some(labelled),
        ready_replicas: Some(ready),
        available_replicas: Some(available),
        terminating_replicas: Some(terminating),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, managed, now),
    };
    (status, next)
}

/// How long a pod must be ready to be available.
pub(super) fn min_ready(set: &ReplicaSet) -> Duration {
    let seconds = set.spec.min_ready_seconds.unwrap_or(0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn conditions(
    set: &ReplicaSet,
    managed: Result<(), &Failure>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    const FAILURE: &str = "ReplicaFailure";
    let old = set
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref());
    let mut conditions = old.unwrap_or_default().to_vec();
    let before = conditions
        .iter()
        .position(|condition| is_type(condition, FAILURE))
        .map(|at| conditions.remove(at));
    if let Err(failure) = managed {
        // The time says since when, so a failure that goes on keeps it.
        let since = before.and_then(|condition| condition.last_transition_time);
        conditions.push(ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned().into(),
            status: "True".to_owned().into(),
            reason: Some(failure.reason.to_owned()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(since.unwrap_or(Time(now))),
        });
    }
    (!conditions.is_empty()).then_some(conditions)
}

fn is_type(condition: &ReplicaSetCondition, type_: &str) -> bool {
    condition.type_.as_deref() == Some(type_)
}
