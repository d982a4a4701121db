//! A Deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::conditions::{Conditions, is_type};
use super::sets::{Set, Sets};
use super::strategy::{Strategy, replicas};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";

const REASON_CREATED: &str = "NewReplicaSetCreated";
const REASON_FOUND: &str = "FoundNewReplicaSet";
const REASON_UPDATED: &str = "ReplicaSetUpdated";
const REASON_COMPLETE: &str = "NewReplicaSetAvailable";
const REASON_TIMED_OUT: &str = "ProgressDeadlineExceeded";
const REASON_PAUSED: &str = "DeploymentPaused";
const REASON_RESUMED: &str = "DeploymentResumed";

/// What happened to the set of the present template in this plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NewSet {
    /// It is to be created under this name.
    Created(String),
    Exists,
    /// There is none, and it is not yet time for one.
    Missing,
}

/// The status that follows from the sets as they are.
pub(super) fn status(deployment: &Deployment, sets: &Sets, new: &NewSet, now: Timestamp) -> DeploymentStatus {
    let mut status = counts(deployment, sets);
    let mut conditions = Conditions::of(deployment, now);
    available(deployment, &status, &mut conditions);
    if deadline(deployment).is_some() {
        announce(deployment, new, &mut conditions);
        if !is_paused(deployment) {
            progress(deployment, sets, &status, new, &mut conditions, now);
        }
    } else {
        conditions.remove(PROGRESSING);
    }
    let failure = sets.new_set().into_iter().chain(sets.old()).find_map(failure_of);
    match failure {
        Some((reason, message)) => conditions.set(REPLICA_FAILURE, "True", &reason, message),
        None => conditions.remove(REPLICA_FAILURE),
    }
    status.conditions = conditions.finish();
    status
}

/// The status when the new set could not be created.
pub(crate) fn creation_failed(deployment: &Deployment, cause: &str, now: Timestamp) -> DeploymentStatus {
    let mut conditions = Conditions::of(deployment, now);
    let name = name(deployment);
    let message = format!("Failed to create new replica set for deployment {name:?}: {cause}");
    if deadline(deployment).is_some() {
        conditions.set(PROGRESSING, "False", "FailedCreate", message);
    } else {
        conditions.set(REPLICA_FAILURE, "True", "FailedCreate", message);
    }
    DeploymentStatus {
        conditions: conditions.finish(),
        observed_generation: deployment.metadata.generation,
        // Those there were are of the template before.
        updated_replicas: None,
        ..deployment.status.clone().unwrap_or_default()
    }
}

/// Whether every pod is of the present template and available, and nothing else is left.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = replicas(deployment);
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

/// How long until the roll exceeds its deadline, if it is under way.
pub(super) fn time_left(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    if is_paused(deployment) || is_complete(deployment, status) {
        return None;
    }
    let condition = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| is_type(condition, PROGRESSING))?;
    if matches!(
        condition.reason.as_deref(),
        Some(REASON_TIMED_OUT | REASON_COMPLETE)
    ) {
        return None;
    }
    let since = condition.last_update_time.as_ref()?.0;
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    Some(deadline(deployment)?.saturating_sub(passed))
}

fn counts(deployment: &Deployment, sets: &Sets) -> DeploymentStatus {
    let total = sets.sum(|set| super::sets::spec_replicas(&set.object));
    let available = sets.sum(|set| set.status(|status| status.available_replicas));
    let replicas = |set: &Set| set.status(|status| Some(status.replicas));
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: Some(sets.sum(replicas)),
        updated_replicas: Some(sets.new_set().map_or(0, replicas)),
        ready_replicas: Some(sets.sum(|set| set.status(|status| status.ready_replicas))),
        available_replicas: Some(available),
        // Old pods that outlive their set's scale-down can make it negative.
        unavailable_replicas: Some((total - available).max(0)),
        terminating_replicas: Some(sets.sum(|set| set.status(|status| status.terminating_replicas))),
        collision_count: deployment
            .status
            .as_ref()
            .and_then(|status| status.collision_count),
        conditions: None,
    }
}

fn available(deployment: &Deployment, status: &DeploymentStatus, conditions: &mut Conditions) {
    let least = Strategy::of(deployment).least_available(replicas(deployment));
    if status.available_replicas.unwrap_or(0) >= least {
        let message = "Deployment has minimum availability.";
        conditions.set(AVAILABLE, "True", "MinimumReplicasAvailable", message.to_owned());
    } else {
        let message = "Deployment does not have minimum availability.";
        conditions.set(
            AVAILABLE,
            "False",
            "MinimumReplicasUnavailable",
            message.to_owned(),
        );
    }
}

/// Says that the deployment was paused or resumed, or that its set was made or found.
fn announce(deployment: &Deployment, new: &NewSet, conditions: &mut Conditions) {
    let reason = conditions.reason(PROGRESSING);
    match (is_paused(deployment), reason) {
        // A roll that failed stays failed; pausing it changes nothing.
        (_, Some(REASON_TIMED_OUT)) | (true, Some(REASON_PAUSED)) => {}
        (true, _) => conditions.set(
            PROGRESSING,
            "Unknown",
            REASON_PAUSED,
            "Deployment is paused".to_owned(),
        ),
        (false, Some(REASON_PAUSED)) => {
            conditions.set(
                PROGRESSING,
                "Unknown",
                REASON_RESUMED,
                "Deployment is resumed".to_owned(),
            );
        }
        (false, _) => {}
    }
    match new {
        NewSet::Created(name) => {
            conditions.set(
                PROGRESSING,
                "True",
                REASON_CREATED,
                format!("Created new replica set {name:?}"),
            );
        }
        NewSet::Exists if conditions.reason(PROGRESSING).is_none() => {
            let message = format!("Found new replica set for deployment {:?}", name(deployment));
            conditions.set(PROGRESSING, "True", REASON_FOUND, message);
        }
        NewSet::Exists | NewSet::Missing => {}
    }
}

fn progress(
    deployment: &Deployment,
    sets: &Sets,
    status: &DeploymentStatus,
    new: &NewSet,
    conditions: &mut Conditions,
    now: Timestamp,
) {
    // Once complete, a pod that fails and comes back is no new roll.
    let settled =
        status.replicas == status.updated_replicas && conditions.reason(PROGRESSING) == Some(REASON_COMPLETE);
    if settled || matches!(new, NewSet::Created(_)) {
        return;
    }
    let subject = match sets.new_set() {
        Some(set) => format!("ReplicaSet {:?}", set.name()),
        None => format!("Deployment {:?}", name(deployment)),
    };
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        conditions.set(PROGRESSING, "True", REASON_COMPLETE, message);
    } else if has_progressed(deployment.status.as_ref(), status) {
        conditions.touch(
            PROGRESSING,
            "True",
            REASON_UPDATED,
            format!("{subject} is progressing."),
        );
    } else if overdue(deployment, conditions, now) {
        let message = format!("{subject} has timed out progressing.");
        conditions.set(PROGRESSING, "False", REASON_TIMED_OUT, message);
    }
}

fn has_progressed(before: Option<&DeploymentStatus>, after: &DeploymentStatus) -> bool {
    type Field = fn(&DeploymentStatus) -> Option<i32>;
    let grew = |field: Field| field(after).unwrap_or(0) > before.and_then(field).unwrap_or(0);
    let old = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0);
    grew(|status| status.updated_replicas)
        || grew(|status| status.ready_replicas)
        || grew(|status| status.available_replicas)
        || old(after) < before.map_or(0, old)
}

fn failure_of(set: &Set) -> Option<(String, String)> {
    let conditions = set.object.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions
        .iter()
        .find(|condition| condition.type_.as_deref() == Some(REPLICA_FAILURE))?;
    Some((
        failure.reason.clone().unwrap_or_default(),
        failure.message.clone().unwrap_or_default(),
    ))
}

/// `spec.progressDeadlineSeconds` (600); the largest number means none.
fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds;
    match seconds.unwrap_or(600) {
        i32::MAX => None,
        seconds => Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
    }
}

pub(super) fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec.paused == Some(true)
}

fn name(deployment: &Deployment) -> &str {
    deployment.metadata.name.as_deref().unwrap_or_default()
}

/// Whether nothing has moved for longer than the deadline.
fn overdue(deployment: &Deployment, conditions: &Conditions, now: Timestamp) -> bool {
    let (Some(condition), Some(deadline)) = (conditions.get(PROGRESSING), deadline(deployment)) else {
        return false;
    };
    // What has succeeded is not measured until it moves again.
    if condition.reason.as_deref() == Some(REASON_COMPLETE) {
        return false;
    }
    let since = condition.last_update_time.as_ref();
    since.is_some_and(|since| Duration::try_from(now.duration_since(since.0)).unwrap_or_default() >= deadline)
}
