//! Jobs, and schedules of them.

use orch_core::object::Document;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::read::{self, Condition, List, Or, Text, Time, WorkloadSpec};
use super::workload::{self, CONTAINERS, IMAGES, SELECTOR};
use super::{Column, NONE, Printer, age};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobSpec {
    completions: Option<i64>,
    parallelism: Or<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JobStatus {
    succeeded: Or<i64>,
    start_time: Time,
    completion_time: Time,
    conditions: List<Condition>,
}

pub(super) static JOB: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Status", "How far it is."),
        Column::text("Completions", "How many pods succeeded, of how many wanted."),
        Column::text("Duration", "How long it took, or has taken so far."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |job, now| {
        let spec: JobSpec = read::field(job, "spec");
        let status: JobStatus = read::field(job, "status");
        let begun = status.start_time.get();
        let end = status.completion_time.get().unwrap_or(now);
        let took = begun.map_or_else(String::new, |begun| age::human(end.duration_since(begun)));
        let mut cells = vec![
            json!(job.meta().name),
            json!(progress(job, &status)),
            json!(completions(&spec, *status.succeeded)),
            json!(took),
            json!(age::of(job, now)),
        ];
        let workload: WorkloadSpec = read::field(job, "spec");
        cells.extend(workload::wide(&workload, workload::selector_of(&workload)));
        cells.into()
    },
};

fn progress(job: &Document, status: &JobStatus) -> &'static str {
    let is = |kind| Condition::is_true(&status.conditions, kind) == Some(true);
    let told = |kinds: &[&'static str]| kinds.iter().find(|kind| is(kind)).copied();
    let end = told(&["Complete", "Failed"]);
    let deleted = job.meta().deletion_timestamp.map(|_| "Terminating");
    end.or(deleted)
        .or_else(|| told(&["Suspended", "FailureTarget"]))
        .unwrap_or("Running")
}

fn completions(spec: &JobSpec, succeeded: i64) -> String {
    match (spec.completions, *spec.parallelism) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        // One that succeeds is enough, of as many as run.
        (None, parallel @ 2..) => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CronJobSpec {
    schedule: Text,
    time_zone: Option<String>,
    suspend: Option<bool>,
    job_template: Or<JobTemplate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JobTemplate {
    spec: Or<WorkloadSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CronJobStatus {
    active: List<IgnoredAny>,
    last_schedule_time: Time,
}

pub(super) static CRON_JOB: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::text("Schedule", "When its jobs begin, as cron has it."),
        Column::text("Timezone", "Where that is meant."),
        Column {
            type_: "boolean",
            ..Column::text("Suspend", "Whether no more jobs begin.")
        },
        Column::number("Active", "How many of its jobs run."),
        Column::text("Last Schedule", "How long ago a job last began."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    row: |cron_job, now| {
        let spec: CronJobSpec = read::field(cron_job, "spec");
        let status: CronJobStatus = read::field(cron_job, "status");
        let suspended = match spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = status.last_schedule_time.get();
        let last = last.map_or_else(|| NONE.to_owned(), |last| age::since(Some(last), now));
        let mut cells = vec![
            json!(cron_job.meta().name),
            json!(*spec.schedule),
            json!(spec.time_zone.as_deref().unwrap_or(NONE)),
            json!(suspended),
            json!(status.active.len()),
            json!(last),
            json!(age::of(cron_job, now)),
        ];
        let workload = &spec.job_template.spec;
        cells.extend(workload::wide(workload, workload::selector_of(workload)));
        cells.into()
    },
};
