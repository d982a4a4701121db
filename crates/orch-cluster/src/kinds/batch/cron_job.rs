//! CronJobs: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::{job, job_spec, schedule};
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child, child_mut, child_or_new, default_text, default_value};

/// The longest name: those of its Jobs add eleven characters to it.
const NAME_LIMIT: usize = 63 - 11;

/// Fills a CronJob: its Jobs may run beside each other, three that succeeded and one that failed are kept.
pub(super) fn default(cron_job: &mut Raw) {
    let Some(spec) = child_or_new(cron_job, "spec") else {
        return;
    };
    default_text(spec, "concurrencyPolicy", "Allow");
    default_value(spec, "suspend", false);
    default_value(spec, "successfulJobsHistoryLimit", 3);
    default_value(spec, "failedJobsHistoryLimit", 1);
    if let Some(spec) = child_mut(spec, "jobTemplate").and_then(|template| child_mut(template, "spec")) {
        job::default_parts(spec);
    }
}

pub(super) fn warnings(cron_job: &Raw) -> Vec<String> {
    let template = child(cron_job, "spec").and_then(|spec| child(spec, "jobTemplate"));
    let spec = template.and_then(|template| child(template, "spec"));
    let at = FieldPath::new("spec").child("jobTemplate").child("spec");
    spec.map_or_else(Vec::new, |spec| job_spec::warnings(spec, &at))
}

pub(super) fn validate(cron_job: &CronJob) -> FieldErrors {
    let mut errors = validate_any(cron_job, None);
    let name = cron_job.metadata.name.as_deref().unwrap_or_default();
    if name.len() > NAME_LIMIT {
        let at = FieldPath::new("metadata").child("name");
        let detail = format!("must be no more than {NAME_LIMIT} characters");
        errors.push(FieldError::invalid(&at, name, detail));
    }
    errors
}

/// Validates a CronJob that replaces `old`: everything may change. A time zone that is no longer known may stay.
pub(super) fn validate_update(new: &CronJob, old: &CronJob) -> FieldErrors {
    let zone = check::given::<CronJobSpec>(&old.spec).and_then(|old| old.time_zone.as_deref());
    validate_any(new, zone)
}

fn validate_any(cron_job: &CronJob, known_zone: Option<&str>) -> FieldErrors {
    let mut errors = meta::validate(&cron_job.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let Some(spec) = check::given::<CronJobSpec>(&cron_job.spec) else {
        errors.push(FieldError::required(&at, ""));
        return errors;
    };
    schedule::validate(&mut errors, &at.child("schedule"), &spec.schedule);
    check::non_negative(
        &mut errors,
        &at.child("startingDeadlineSeconds"),
        spec.starting_deadline_seconds,
    );
    if let Some(zone) = spec.time_zone.as_deref().filter(|zone| known_zone != Some(zone)) {
        schedule::validate_time_zone(&mut errors, &at.child("timeZone"), zone);
    }
    check::one_of(
        &mut errors,
        &at.child("concurrencyPolicy"),
        spec.concurrency_policy.as_deref(),
        &["Allow", "Forbid", "Replace"],
    );
    let template_at = at.child("jobTemplate").child("spec");
    match &spec.job_template.spec {
        Some(spec) => validate_template(&mut errors, &template_at, spec),
        None => errors.push(FieldError::required(&template_at, "")),
    }
    for (field, limit) in [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        check::non_negative(&mut errors, &at.child(field), limit.map(i64::from));
    }
    errors
}

/// Validates what each Job is made of: its selector is generated.
fn validate_template(errors: &mut FieldErrors, at: &FieldPath, spec: &JobSpec) {
    job_spec::validate(errors, at, spec);
    if let Some(selector) = &spec.selector {
        let detail = "`selector` will be auto-generated";
        errors.push(FieldError::invalid(&at.child("selector"), selector, detail));
    }
    if spec.manual_selector == Some(true) {
        let at = at.child("manualSelector");
        errors.push(FieldError::not_supported(&at, true, ["nil", "false"]));
    }
}
