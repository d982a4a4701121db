//! Deployments: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStatus, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use orch_core::object::Document;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::meta::{self, NameRule};
use super::raw::{Raw, child_mut, child_or_new, default_text, default_value, text};
use super::{check, pod, workload};

/// Fills a Deployment: one replica, a rolling update of a quarter of the pods at a time, ten old revisions kept,
/// ten minutes until a rollout counts as stuck, and the defaults of its template.
///
/// ```
/// # use serde_json::json;
/// let mut deployment = json!({"spec": {"template": {"spec": {"containers": []}}}});
/// orch_cluster::kinds::deployment::default(deployment.as_object_mut().unwrap());
/// assert_eq!(deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
/// ```
pub fn default(deployment: &mut Raw) {
    let Some(spec) = child_or_new(deployment, "spec") else {
        return;
    };
    default_value(spec, "replicas", 1);
    default_value(spec, "revisionHistoryLimit", 10);
    default_value(spec, "progressDeadlineSeconds", 600);
    if let Some(strategy) = child_or_new(spec, "strategy") {
        default_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(rolling) = child_or_new(strategy, "rollingUpdate")
        {
            default_value(rolling, "maxUnavailable", "25%");
            default_value(rolling, "maxSurge", "25%");
        }
    }
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
}

/// Drops a status that was sent with a new Deployment.
pub fn prepare_create(deployment: &mut Raw) {
    deployment.remove("status");
}

/// Validates a new Deployment, its defaults filled.
pub fn validate(deployment: &Deployment) -> FieldErrors {
    let mut errors = meta::validate(&deployment.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match check::given::<DeploymentSpec>(&deployment.spec) {
        Some(spec) => validate_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates a Deployment that replaces `old`: its selector stays.
pub fn validate_update(new: &Deployment, old: &Deployment) -> FieldErrors {
    let mut errors = validate(new);
    if let (Some(new), Some(old)) = (
        check::given::<DeploymentSpec>(&new.spec),
        check::given::<DeploymentSpec>(&old.spec),
    ) {
        let at = FieldPath::new("spec").child("selector");
        check::immutable(&mut errors, &at, &new.selector, &old.selector);
    }
    errors
}

/// Validates a status that is to replace that of `old`.
pub fn validate_status(status: &DeploymentStatus, old: &Document) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    check_status(&mut errors, &at, status);
    let collisions = status.collision_count.unwrap_or(0);
    let before = old
        .lookup("status.collisionCount")
        .and_then(|count| count.as_i64());
    if before.is_some_and(|before| before > i64::from(collisions)) {
        let at = at.child("collisionCount");
        errors.push(FieldError::invalid(&at, collisions, "cannot be decremented"));
    }
    errors
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &DeploymentSpec) {
    check::non_negative(errors, &at.child("replicas"), spec.replicas.map(i64::from));
    workload::validate_selector_and_template(
        errors,
        at,
        &spec.selector,
        Some(&spec.template),
        workload::REPLICAS,
    );
    let strategy = DeploymentStrategy::default();
    validate_strategy(
        errors,
        &at.child("strategy"),
        spec.strategy.as_ref().unwrap_or(&strategy),
    );
    check::non_negative(
        errors,
        &at.child("minReadySeconds"),
        spec.min_ready_seconds.map(i64::from),
    );
    let limit = spec.revision_history_limit.map(i64::from);
    check::non_negative(errors, &at.child("revisionHistoryLimit"), limit);
    if let Some(deadline) = spec.progress_deadline_seconds {
        let at = at.child("progressDeadlineSeconds");
        check::non_negative(errors, &at, i64::from(deadline));
        if deadline <= spec.min_ready_seconds.unwrap_or(0) {
            errors.push(FieldError::invalid(
                &at,
                deadline,
                "must be greater than minReadySeconds",
            ));
        }
    }
}

fn validate_strategy(errors: &mut FieldErrors, at: &FieldPath, strategy: &DeploymentStrategy) {
    let rolling_at = at.child("rollingUpdate");
    match (
        strategy.type_.as_deref().unwrap_or_default(),
        &strategy.rolling_update,
    ) {
        ("Recreate", None) => {}
        ("Recreate", Some(_)) => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&rolling_at, detail));
        }
        ("RollingUpdate", Some(rolling)) => validate_rolling(errors, &rolling_at, rolling),
        ("RollingUpdate", None) => {
            errors.push(FieldError::required(
                &rolling_at,
                "this should be defaulted and never be nil",
            ));
        }
        (kind, _) => {
            errors.push(FieldError::not_supported(
                &at.child("type"),
                kind,
                ["Recreate", "RollingUpdate"],
            ));
        }
    }
}

fn validate_rolling(errors: &mut FieldErrors, at: &FieldPath, rolling: &RollingUpdateDeployment) {
    let zero = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
    let unavailable_at = at.child("maxUnavailable");
    validate_share(errors, &unavailable_at, unavailable);
    validate_share(errors, &at.child("maxSurge"), surge);
    if share(unavailable) == 0 && share(surge) == 0 {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(&unavailable_at, unavailable, detail));
    }
    if percent(unavailable).is_some_and(|percent| percent > 100) {
        errors.push(FieldError::invalid(
            &unavailable_at,
            unavailable,
            "must not be greater than 100%",
        ));
    }
}

/// A number of pods, or a percentage of them.
pub(super) fn validate_share(errors: &mut FieldErrors, at: &FieldPath, value: &IntOrString) {
    match value {
        IntOrString::Int(number) => check::non_negative(errors, at, i64::from(*number)),
        IntOrString::String(text) if percent(value).is_none() => {
            let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', \
                 regex used for validation is '[0-9]+%')";
            errors.push(FieldError::invalid(at, text, detail));
        }
        IntOrString::String(_) => {}
    }
}

pub(super) fn percent(value: &IntOrString) -> Option<u64> {
    let IntOrString::String(text) = value else {
        return None;
    };
    let digits = text.strip_suffix('%')?;
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Past any count of pods, what it is exactly does not matter.
    numeric.then(|| digits.parse().unwrap_or(u64::MAX))
}

pub(super) fn share(value: &IntOrString) -> u64 {
    match value {
        IntOrString::Int(number) => u64::try_from(*number).unwrap_or(0),
        IntOrString::String(_) => percent(value).unwrap_or(0),
    }
}

fn check_status(errors: &mut FieldErrors, at: &FieldPath, status: &DeploymentStatus) {
    let replicas = status.replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    check::non_negative(
        errors,
        &at.child("observedGeneration"),
        status.observed_generation,
    );
    check::non_negative(errors, &at.child("replicas"), i64::from(replicas));
    check::non_negative(
        errors,
        &at.child("unavailableReplicas"),
        status.unavailable_replicas.map(i64::from),
    );
    check::non_negative(
        errors,
        &at.child("collisionCount"),
        status.collision_count.map(i64::from),
    );
    for (field, count) in [
        ("updatedReplicas", status.updated_replicas.unwrap_or(0)),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ] {
        check::non_negative(errors, &at.child(field), i64::from(count));
        if count > replicas {
            errors.push(FieldError::invalid(
                &at.child(field),
                count,
                "cannot be greater than status.replicas",
            ));
        }
    }
    if available > ready {
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(
            &at.child("availableReplicas"),
            available,
            detail,
        ));
    }
}
