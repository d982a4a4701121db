//! What a Job asks for, and what the template of a CronJob's jobs does: how many pods, how often they may fail, when it is done.

use k8s_openapi::api::batch::v1::JobSpec;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::Value;

use super::{failure_policy, success_policy};
use crate::kinds::raw::{Raw, child, text};
use crate::kinds::{check, pod};

pub(super) const INDEXED: &str = "Indexed";
pub(super) const NON_INDEXED: &str = "NonIndexed";

/// The most pods at once of a Job that counts by index, and the most of its indexes that may fail: the status lists them.
const INDEXED_LIMIT: i32 = 100_000;
/// The same where each index has a number of attempts of its own and there are more than [`INDEXED_LIMIT`] of them.
const HIGH_LIMIT: i32 = 10_000;
/// The longest name of who manages a Job.
const MANAGER_LIMIT: usize = 63;

/// Warns about the spec of a Job or of the template of one, which stands at `at`.
pub(super) fn warnings(spec: &Raw, at: &FieldPath) -> Vec<String> {
    let mut told = Vec::new();
    let more = |field, limit: i32| spec.get(field).and_then(Value::as_i64) > Some(limit.into());
    if text(spec, "completionMode") == INDEXED
        && more("completions", INDEXED_LIMIT)
        && more("parallelism", HIGH_LIMIT)
    {
        told.push(format!(
            "{at}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes \
             might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    let template = child(spec, "template");
    told.extend(template.map_or_else(Vec::new, |template| {
        pod::template_warnings(template, &at.child("template"))
    }));
    told
}

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, spec: &JobSpec) {
    for (field, value) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        (
            "ttlSecondsAfterFinished",
            spec.ttl_seconds_after_finished.map(i64::from),
        ),
        (
            "backoffLimitPerIndex",
            spec.backoff_limit_per_index.map(i64::from),
        ),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        check::non_negative(errors, &at.child(field), value);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&at.child("backoffLimitPerIndex"), detail));
    }
    if let Some(manager) = &spec.managed_by {
        let at = at.child("managedBy");
        check::domain_prefixed_path(errors, &at, manager);
        if manager.len() > MANAGER_LIMIT {
            errors.push(FieldError::too_long(&at, MANAGER_LIMIT));
        }
    }
    let mode = spec.completion_mode.as_deref();
    check::optional_one_of(errors, &at.child("completionMode"), mode, &[NON_INDEXED, INDEXED]);
    match mode {
        Some(INDEXED) => validate_indexed(errors, at, spec),
        None | Some(NON_INDEXED) => {
            for (field, value) in [
                ("backoffLimitPerIndex", spec.backoff_limit_per_index),
                ("maxFailedIndexes", spec.max_failed_indexes),
            ] {
                if let Some(value) = value {
                    let detail = "requires indexed completion mode";
                    errors.push(FieldError::invalid(&at.child(field), value, detail));
                }
            }
        }
        Some(_) => {}
    }
    if let Some(policy) = &spec.pod_failure_policy {
        failure_policy::validate(errors, &at.child("podFailurePolicy"), policy, spec);
    }
    if let Some(policy) = &spec.success_policy {
        let at = at.child("successPolicy");
        if mode == Some(INDEXED) {
            success_policy::validate(errors, &at, policy, spec.completions.unwrap_or(0));
        } else {
            errors.push(FieldError::invalid(
                &at,
                policy,
                "requires indexed completion mode",
            ));
        }
    }
    let replaced: &[_] = match spec.pod_failure_policy {
        Some(_) => &["Failed"],
        None => &["Failed", "TerminatingOrFailed"],
    };
    let policy = spec.pod_replacement_policy.as_deref();
    check::optional_one_of(errors, &at.child("podReplacementPolicy"), policy, replaced);
    let template_at = at.child("template");
    pod::validate_any_template(errors, &template_at, &spec.template);
    validate_restart_policy(errors, &template_at.child("spec").child("restartPolicy"), spec);
}

fn validate_indexed(errors: &mut FieldErrors, at: &FieldPath, spec: &JobSpec) {
    let mut at_most = |field, value: Option<i32>, limit: i32, detail: String| {
        if let Some(value) = value.filter(|value| *value > limit) {
            errors.push(FieldError::invalid(&at.child(field), value, detail));
        }
    };
    let detail = format!("must be less than or equal to {INDEXED_LIMIT} when completion mode is {INDEXED}");
    at_most("parallelism", spec.parallelism, INDEXED_LIMIT, detail);
    if let Some(completions) = spec.completions {
        let detail = "must be less than or equal to completions".to_owned();
        at_most("maxFailedIndexes", spec.max_failed_indexes, completions, detail);
    }
    let detail = format!("must be less than or equal to {INDEXED_LIMIT}");
    at_most("maxFailedIndexes", spec.max_failed_indexes, INDEXED_LIMIT, detail);
    let is_high = spec.completions > Some(INDEXED_LIMIT) && spec.backoff_limit_per_index.is_some();
    if is_high {
        let detail = format!(
            "must be less than or equal to {HIGH_LIMIT} when completions are above {INDEXED_LIMIT} and used with backoff limit per \
             index"
        );
        at_most("parallelism", spec.parallelism, HIGH_LIMIT, detail.clone());
        at_most("maxFailedIndexes", spec.max_failed_indexes, HIGH_LIMIT, detail);
    }
    if spec.completions.is_none() {
        let detail = format!("when completion mode is {INDEXED}");
        errors.push(FieldError::required(&at.child("completions"), detail));
    }
    if is_high && spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {INDEXED_LIMIT}");
        errors.push(FieldError::required(&at.child("maxFailedIndexes"), detail));
    }
}

/// The pods of a Job end: that is what it waits for.
fn validate_restart_policy(errors: &mut FieldErrors, at: &FieldPath, spec: &JobSpec) {
    let template = spec.template.spec.as_ref();
    match template.and_then(|spec| spec.restart_policy.as_deref()) {
        None | Some("" | "Always") => {
            errors.push(FieldError::required(at, r#"valid values: "OnFailure", "Never""#));
        }
        Some("Never") => {}
        Some("OnFailure") if spec.pod_failure_policy.is_none() => {}
        Some(policy @ "OnFailure") => {
            let detail = r#"only "Never" is supported when podFailurePolicy is specified"#;
            errors.push(FieldError::invalid(at, policy, detail));
        }
        Some(other) => errors.push(FieldError::not_supported(at, other, ["OnFailure", "Never"])),
    }
}
