//! DaemonSets: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetStatus, RollingUpdateDaemonSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::deployment::{percent, share, validate_share};
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, child_or_new, default_text, default_value, text};
use crate::kinds::{check, pod, workload};

/// Fills a DaemonSet: a rolling update of one node at a time, ten old revisions kept, and the defaults of its template.
pub(super) fn default(daemon_set: &mut Raw) {
    let Some(spec) = child_or_new(daemon_set, "spec") else {
        return;
    };
    default_value(spec, "revisionHistoryLimit", 10);
    if let Some(strategy) = child_or_new(spec, "updateStrategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child_or_new(strategy, "rollingUpdate")
        {
            default_value(rolling, "maxUnavailable", 1);
            default_value(rolling, "maxSurge", 0);
        }
    }
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
}

pub(super) fn validate(daemon_set: &DaemonSet) -> FieldErrors {
    let mut errors = meta::validate(&daemon_set.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match check::given::<DaemonSetSpec>(&daemon_set.spec) {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates a DaemonSet that replaces `old`: its selector stays.
pub(super) fn validate_update(new: &DaemonSet, old: &DaemonSet) -> FieldErrors {
    let mut errors = validate(new);
    if let (Some(new), Some(old)) = (
        check::given::<DaemonSetSpec>(&new.spec),
        check::given::<DaemonSetSpec>(&old.spec),
    ) {
        let at = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, &at, &new.selector, &old.selector);
    }
    errors
}

pub(super) fn validate_status(status: &DaemonSetStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    for (field, count) in [
        ("currentNumberScheduled", Some(status.current_number_scheduled)),
        ("numberMisscheduled", Some(status.number_misscheduled)),
        ("desiredNumberScheduled", Some(status.desired_number_scheduled)),
        ("numberReady", Some(status.number_ready)),
        ("updatedNumberScheduled", status.updated_number_scheduled),
        ("numberAvailable", status.number_available),
        ("numberUnavailable", status.number_unavailable),
        ("collisionCount", status.collision_count),
    ] {
        check::non_negative(&mut errors, &at.child(field), count.map(i64::from));
    }
    let observed = status.observed_generation;
    check::non_negative(&mut errors, &at.child("observedGeneration"), observed);
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &DaemonSetSpec) {
    let words = ("empty selector is invalid for daemonset", "DaemonSet");
    workload::validate_selector_and_template(errors, at, &spec.selector, Some(&spec.template), words);
    for (field, value) in [
        ("minReadySeconds", spec.min_ready_seconds),
        ("revisionHistoryLimit", spec.revision_history_limit),
    ] {
        check::non_negative(errors, &at.child(field), value.map(i64::from));
    }
    let at = at.child("updateStrategy");
    let Some(strategy) = &spec.update_strategy else {
        return;
    };
    check::one_of(
        errors,
        &at.child("type"),
        strategy.type_.as_deref(),
        &["OnDelete", "RollingUpdate"],
    );
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let at = at.child("rollingUpdate");
        match &strategy.rolling_update {
            Some(rolling) => validate_rolling(errors, &at, rolling),
            None => errors.push(FieldError::required(&at, "")),
        }
    }
}

fn validate_rolling(errors: &mut FieldErrors, at: &FieldPath, rolling: &RollingUpdateDaemonSet) {
    let zero = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
    for (field, value) in [("maxUnavailable", unavailable), ("maxSurge", surge)] {
        let at = at.child(field);
        validate_share(errors, &at, value);
        if percent(value).is_some_and(|percent| percent > 100) {
            errors.push(FieldError::invalid(&at, value, "must not be greater than 100%"));
        }
    }
    match (share(unavailable) != 0, share(surge) != 0) {
        (true, true) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(FieldError::invalid(&at.child("maxSurge"), surge, detail));
        }
        (false, false) => {
            let detail = "cannot be 0 when maxSurge is 0";
            errors.push(FieldError::required(&at.child("maxUnavailable"), detail));
        }
        _ => {}
    }
}
