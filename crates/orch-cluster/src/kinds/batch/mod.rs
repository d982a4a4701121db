//! The kinds of batch/v1, which nothing acts on yet: jobs, and schedules of jobs.

mod cron_job;
mod failure_policy;
mod indexes;
mod job;
mod job_spec;
mod job_status;
mod schedule;
mod success_policy;

#[cfg(test)]
mod tests;

use k8s_openapi::api::batch::v1::{CronJob, Job, JobStatus};

use super::fields;
use super::table::{BuiltIn, one, status, stored, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            categories: &["all"],
            has_status: true,
            fields: fields::JOB,
            prepare_create: job::prepare_create,
            default: job::default,
            create_warnings: job::create_warnings,
            warnings: job::warnings,
            validate_status: |new, old| status(new, |new: &JobStatus| job_status::validate(new, old)),
            ..stored::<Job>(
                "job",
                |new| one::<Job>(new, job::validate),
                |new, old| two::<Job>(new, old, job::validate_update),
            )
        },
        BuiltIn {
            short_names: &["cj"],
            categories: &["all"],
            has_status: true,
            prepare_create: without_status,
            default: cron_job::default,
            create_warnings: job::create_warnings,
            warnings: cron_job::warnings,
            ..stored::<CronJob>(
                "cronjob",
                |new| one::<CronJob>(new, cron_job::validate),
                |new, old| two::<CronJob>(new, old, cron_job::validate_update),
            )
        },
    ]
}
