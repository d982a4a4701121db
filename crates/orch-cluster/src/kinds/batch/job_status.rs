//! How the status of a Job may change: what has ended stays so, and what it says agrees with itself.
//!
//! Most rules look at what changes: a status that broke one before may still be written otherwise.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, UncountedTerminatedPods};
use orch_core::object::Document;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::indexes;
use super::job_spec::INDEXED;
use crate::kinds::{check, decode};

/// Validates a status that is to replace that of `old`.
pub(super) fn validate(new: &JobStatus, old: &Document) -> FieldErrors {
    let job = match decode::typed::<Job>(old) {
        Ok(job) => job,
        Err(errors) => return errors,
    };
    let (spec, status) = (
        job.spec.clone().unwrap_or_default(),
        job.status.clone().unwrap_or_default(),
    );
    let change = Change {
        spec: &spec,
        old: &status,
        new,
        at: FieldPath::new("status"),
    };
    let mut errors = FieldErrors::default();
    change.counts(&mut errors);
    change.conditions(&mut errors);
    change.times(&mut errors);
    change.end(&mut errors);
    change.indexes(&mut errors);
    errors
}

struct Change<'s> {
    spec: &'s JobSpec,
    old: &'s JobStatus,
    new: &'s JobStatus,
    at: FieldPath,
}

impl Change<'_> {
    fn counts(&self, errors: &mut FieldErrors) {
        let (old, new) = (self.old, self.new);
        for (field, count) in [
            ("active", new.active),
            ("succeeded", new.succeeded),
            ("failed", new.failed),
            ("ready", new.ready),
            ("terminating", new.terminating),
        ] {
            check::non_negative(errors, &self.at.child(field), count.map(i64::from));
        }
        // A Job of indexes that shrinks with its parallelism has fewer that succeeded.
        let may_shrink = self.is_indexed() && self.spec.completions == self.spec.parallelism;
        for (field, count, before, may_shrink) in [
            ("failed", new.failed, old.failed, false),
            ("succeeded", new.succeeded, old.succeeded, may_shrink),
        ] {
            if count.unwrap_or(0) < before.unwrap_or(0) && !may_shrink {
                let detail = format!("cannot decrease the {field} counter");
                errors.push(FieldError::invalid(&self.at.child(field), count, detail));
            }
        }
        let at = self.at.child("uncountedTerminatedPods");
        let (succeeded, failed) = uncounted(new.uncounted_terminated_pods.as_ref());
        let mut seen = BTreeSet::new();
        for (field, uids) in [("succeeded", succeeded), ("failed", failed)] {
            for (index, uid) in uids.iter().enumerate() {
                let at = at.child(field).index(index);
                if uid.is_empty() {
                    errors.push(FieldError::invalid(&at, uid, "must not be empty"));
                } else if !seen.insert(uid) {
                    errors.push(FieldError::duplicate(&at, uid));
                }
            }
        }
    }

    fn conditions(&self, errors: &mut FieldErrors) {
        let at = self.at.child("conditions");
        let (was, is) = (|kind| is_true(self.old, kind), |kind| is_true(self.new, kind));
        let changes = |kinds: [&'static str; 2]| kinds.into_iter().any(|kind| was(kind) != is(kind));
        let mut refuse = |wrong: bool, detail: &str| {
            if wrong {
                errors.push(FieldError::invalid_whole(&at, detail));
            }
        };
        let both = |one, other| is(one) && is(other);
        refuse(
            both("Complete", "Failed") && changes(["Complete", "Failed"]),
            "cannot set Complete=True and Failed=true conditions",
        );
        refuse(
            both("Complete", "FailureTarget") && changes(["Complete", "FailureTarget"]),
            "cannot set Complete=True and FailureTarget=true conditions",
        );
        refuse(
            both("SuccessCriteriaMet", "Failed"),
            "cannot set SuccessCriteriaMet=True and Failed=true conditions",
        );
        refuse(
            both("SuccessCriteriaMet", "FailureTarget"),
            "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
        );
        refuse(
            self.spec.success_policy.is_some() && is("Complete") && !is("SuccessCriteriaMet"),
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        );
        for kind in ["Failed", "Complete", "FailureTarget"] {
            refuse(
                was(kind) && !is(kind),
                &format!("cannot disable the terminal {kind}=True condition"),
            );
        }
        refuse(
            was("SuccessCriteriaMet") && !is("SuccessCriteriaMet"),
            "cannot disable the SuccessCriteriaMet=True condition",
        );
        refuse(
            was("Complete") && !was("SuccessCriteriaMet") && is("SuccessCriteriaMet"),
            "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
        );
    }

    fn times(&self, errors: &mut FieldErrors) {
        let (old, new) = (self.old, self.new);
        let (at, start_at) = (self.at.child("completionTime"), self.at.child("startTime"));
        let starts = new.start_time != old.start_time;
        let completes = new.completion_time != old.completion_time
            || is_true(new, "Complete") != is_true(old, "Complete");
        let done = is_true(new, "Complete");
        match &new.completion_time {
            Some(time) if !done && completes => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.push(FieldError::invalid(&at, time, detail));
            }
            None if done && completes => {
                errors.push(FieldError::required(
                    &at,
                    "completionTime is required for Complete jobs",
                ));
            }
            _ => {}
        }
        if let (Some(start), Some(end)) = (&new.start_time, &new.completion_time)
            && end.0 < start.0
            && (starts || new.completion_time != old.completion_time)
        {
            let detail = "completionTime cannot be set before startTime";
            errors.push(FieldError::invalid(&at, end, detail));
        }
        if let (Some(end), Some(before)) = (&new.completion_time, &old.completion_time)
            && end != before
        {
            errors.push(FieldError::invalid(&at, end, "completionTime cannot be mutated"));
        }
        if starts && old.start_time.is_some() && self.spec.suspend != Some(true) {
            let detail = "startTime cannot be removed for unsuspended job";
            errors.push(FieldError::required(&start_at, detail));
        }
        let ends = is_finished(new) != is_finished(old);
        if is_finished(new) && new.start_time.is_none() && (ends || starts) {
            errors.push(FieldError::required(
                &start_at,
                "startTime is required for finished job",
            ));
        }
    }

    /// A Job that has ended has no pods left to wait for.
    fn end(&self, errors: &mut FieldErrors) {
        let (old, new) = (self.old, self.new);
        if !is_finished(new) {
            return;
        }
        let ends = !is_finished(old);
        if new.active > Some(0) && (ends || new.active != old.active) {
            let detail = "active>0 is invalid for finished job";
            errors.push(FieldError::invalid(&self.at.child("active"), new.active, detail));
        }
        let pods = &new.uncounted_terminated_pods;
        let (succeeded, failed) = uncounted(pods.as_ref());
        let has_some = !succeeded.is_empty() || !failed.is_empty();
        if has_some && (ends || *pods != old.uncounted_terminated_pods) {
            let at = self.at.child("uncountedTerminatedPods");
            let detail = "uncountedTerminatedPods needs to be empty for finished job";
            errors.push(FieldError::invalid(&at, pods, detail));
        }
    }

    fn indexes(&self, errors: &mut FieldErrors) {
        let (old, new) = (self.old, self.new);
        let completed = new.completed_indexes.as_deref().unwrap_or_default();
        let completed_change = new.completed_indexes != old.completed_indexes;
        let failed_change = new.failed_indexes != old.failed_indexes;
        let completed_at = self.at.child("completedIndexes");
        let failed_at = self.at.child("failedIndexes");
        if let (Some(completions), true) = (self.spec.completions, completed_change)
            && let Err(wrong) = indexes::count(completed, completions)
        {
            let detail = format!("error parsing completedIndexes: {wrong}");
            errors.push(FieldError::invalid(&completed_at, completed, detail));
        }
        if !completed.is_empty() && !self.is_indexed() && completed_change {
            let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(FieldError::invalid(&completed_at, completed, detail));
        }
        let Some(failed) = new.failed_indexes.as_deref() else {
            return;
        };
        let is_per_index = self.spec.backoff_limit_per_index.is_some();
        if !is_per_index && failed_change {
            let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(FieldError::invalid(&failed_at, failed, detail));
        }
        let Some(completions) = self.spec.completions else {
            return;
        };
        if is_per_index
            && failed_change
            && let Err(wrong) = indexes::count(failed, completions)
        {
            let detail = format!("error parsing failedIndexes: {wrong}");
            errors.push(FieldError::invalid(&failed_at, failed, detail));
        }
        if (failed_change || completed_change)
            && let Some(index) = indexes::overlap(completed, failed, completions)
        {
            let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.push(FieldError::invalid(&failed_at, failed, detail));
        }
    }

    fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some(INDEXED)
    }
}

fn is_true(status: &JobStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_finished(status: &JobStatus) -> bool {
    is_true(status, "Complete") || is_true(status, "Failed")
}

fn uncounted(pods: Option<&UncountedTerminatedPods>) -> (&[String], &[String]) {
    let list = |list: fn(&UncountedTerminatedPods) -> Option<&Vec<String>>| {
        pods.and_then(list).map_or(&[][..], Vec::as_slice)
    };
    (
        list(|pods| pods.succeeded.as_ref()),
        list(|pods| pods.failed.as_ref()),
    )
}
