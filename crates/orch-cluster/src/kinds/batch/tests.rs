//! Jobs and CronJobs: what is filled in and generated, what is refused, what may change.

mod cron_jobs;
mod jobs;
mod statuses;
