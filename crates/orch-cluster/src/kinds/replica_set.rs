//! ReplicaSets: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec, ReplicaSetStatus};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::meta::{self, NameRule};
use super::raw::{Raw, child_mut, child_or_new, default_value};
use super::{check, pod, workload};

/// Fills a ReplicaSet: one replica, and the defaults of its template.
pub fn default(replica_set: &mut Raw) {
    let Some(spec) = child_or_new(replica_set, "spec") else {
        return;
    };
    default_value(spec, "replicas", 1);
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
}

/// Drops a status that was sent with a new ReplicaSet.
pub fn prepare_create(replica_set: &mut Raw) {
    replica_set.remove("status");
}

/// Validates a new ReplicaSet, its defaults filled.
pub fn validate(replica_set: &ReplicaSet) -> FieldErrors {
    let mut errors = meta::validate(&replica_set.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match check::given::<ReplicaSetSpec>(&replica_set.spec) {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates a ReplicaSet that replaces `old`: its selector stays.
pub fn validate_update(new: &ReplicaSet, old: &ReplicaSet) -> FieldErrors {
    let mut errors = validate(new);
    if let (Some(new), Some(old)) = (
        check::given::<ReplicaSetSpec>(&new.spec),
        check::given::<ReplicaSetSpec>(&old.spec),
    ) {
        let at = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, &at, &new.selector, &old.selector);
    }
    errors
}

/// Validates a status that is to replace another.
pub fn validate_status(status: &ReplicaSetStatus) -> FieldErrors {
    let some = [
        status.fully_labeled_replicas,
        status.ready_replicas,
        status.available_replicas,
    ];
    workload::validate_replicas(status.replicas, some, status.observed_generation)
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &ReplicaSetSpec) {
    check::non_negative(errors, &at.child("replicas"), spec.replicas.map(i64::from));
    check::non_negative(
        errors,
        &at.child("minReadySeconds"),
        spec.min_ready_seconds.map(i64::from),
    );
    workload::validate_selector_and_template(
        errors,
        at,
        &spec.selector,
        spec.template.as_ref(),
        workload::REPLICAS,
    );
}
