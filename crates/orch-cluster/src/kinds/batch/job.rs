//! Jobs: what is filled in and generated, and what Kubernetes refuses of them.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::job_spec::{self, INDEXED};
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod;
use crate::kinds::raw::{
    Raw, child, child_mut, child_or_new, default_text, default_value, is_unset, items_mut, text,
};

/// The labels by which a Job's pods are known, each under the name that it had first and its own.
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

/// A new Job has no status, and a selector and labels that no other Job has, unless it brings its own.
pub(super) fn prepare_create(job: &mut Raw) {
    job.remove("status");
    let meta = |field| {
        child(job, "metadata")
            .map_or("", |meta| text(meta, field))
            .to_owned()
    };
    let (name, uid) = (meta("name"), meta("uid"));
    let Some(spec) = child_or_new(job, "spec") else {
        return;
    };
    if spec.get("manualSelector").is_some_and(|manual| manual == true) {
        return;
    }
    let labels = child_or_new(spec, "template")
        .and_then(|template| child_or_new(template, "metadata"))
        .and_then(|meta| child_or_new(meta, "labels"));
    if let Some(labels) = labels {
        for (keys, value) in [(NAME_LABELS, &name), (UID_LABELS, &uid)] {
            for key in keys {
                default_value(labels, key, value.clone());
            }
        }
    }
    let labels = child_or_new(spec, "selector").and_then(|selector| child_or_new(selector, "matchLabels"));
    if let Some(labels) = labels {
        default_value(labels, UID_LABELS[1], uid);
    }
}

/// Fills a Job: one pod that must succeed, six attempts, the labels of its template, and the defaults of the template.
pub(super) fn default(job: &mut Raw) {
    let Some(spec) = child_or_new(job, "spec") else {
        return;
    };
    if is_unset(spec, "parallelism") {
        default_value(spec, "completions", 1);
    }
    default_value(spec, "parallelism", 1);
    let is_per_index = !is_unset(spec, "backoffLimitPerIndex");
    default_value(spec, "backoffLimit", if is_per_index { i32::MAX } else { 6 });
    default_value(spec, "completionMode", job_spec::NON_INDEXED);
    default_value(spec, "suspend", false);
    default_value(spec, "manualSelector", false);
    let has_policy = !is_unset(spec, "podFailurePolicy");
    let replaced = if has_policy {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    default_value(spec, "podReplacementPolicy", replaced);
    default_parts(spec);
    let labels = child(spec, "template").and_then(|template| child(child(template, "metadata")?, "labels"));
    if let Some(labels) = labels.cloned()
        && let Some(meta) = child_or_new(job, "metadata")
        && child(meta, "labels").is_none_or(Raw::is_empty)
    {
        meta.insert("labels".to_owned(), labels.into());
    }
}

/// Fills what the spec of a Job, or of the template of one, is made of.
pub(super) fn default_parts(spec: &mut Raw) {
    if let Some(policy) = child_mut(spec, "podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for pattern in items_mut(rule, "onPodConditions") {
                default_text(pattern, "status", "True");
            }
        }
    }
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
}

/// Warns about the name of a new Job or CronJob, which those of its pods begin with.
pub(super) fn create_warnings(object: &Raw) -> Vec<String> {
    let name = child(object, "metadata").map_or("", |meta| text(meta, "name"));
    let wrong = names::dns_label(name);
    if name.is_empty() || wrong.is_empty() {
        return Vec::new();
    }
    let told = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended";
    vec![format!("metadata.name: {told}: [{}]", wrong.join(" "))]
}

pub(super) fn warnings(job: &Raw) -> Vec<String> {
    let spec = child(job, "spec");
    spec.map_or_else(Vec::new, |spec| job_spec::warnings(spec, &FieldPath::new("spec")))
}

pub(super) fn validate(job: &Job) -> FieldErrors {
    let mut errors = meta::validate(&job.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let Some(spec) = &job.spec else {
        errors.push(FieldError::required(&at, ""));
        return errors;
    };
    validate_generated(&mut errors, job, spec);
    job_spec::validate(&mut errors, &at, spec);
    validate_selector(&mut errors, &at, spec);
    let indexed = spec.completion_mode.as_deref() == Some(INDEXED);
    if let Some(completions) = spec.completions.filter(|completions| indexed && *completions > 0) {
        // The pod of an index is known by it in the cluster's DNS.
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let hostname = format!("{name}-{}", completions - 1);
        if !names::dns_label(&hostname).is_empty() {
            let at = FieldPath::new("metadata").child("name");
            let detail = format!("will not able to create pod with invalid DNS label: {hostname}");
            errors.push(FieldError::invalid(&at, name, detail));
        }
    }
    errors
}

/// Validates a Job that replaces `old`: what it runs and how it counts stays.
pub(super) fn validate_update(new: &Job, old: &Job) -> FieldErrors {
    let mut errors = validate(new);
    let (Some(spec), Some(before)) = (&new.spec, &old.spec) else {
        return errors;
    };
    let at = FieldPath::new("spec");
    validate_completions(&mut errors, &at, spec, before);
    let has_started = old
        .status
        .as_ref()
        .is_some_and(|status| status.start_time.is_some());
    let may_move = before.suspend == Some(true) && !has_started;
    let template = if may_move {
        &moved(&before.template, &spec.template)
    } else {
        &before.template
    };
    check::immutable(
        &mut errors,
        &at.child("selector"),
        &spec.selector,
        &before.selector,
    );
    check::immutable(&mut errors, &at.child("template"), &spec.template, template);
    for (field, new, old) in [
        ("completionMode", &spec.completion_mode, &before.completion_mode),
        ("managedBy", &spec.managed_by, &before.managed_by),
    ] {
        check::immutable(&mut errors, &at.child(field), new, old);
    }
    let (limit, old_limit) = (spec.backoff_limit_per_index, before.backoff_limit_per_index);
    check::immutable(&mut errors, &at.child("backoffLimitPerIndex"), &limit, &old_limit);
    let policies = (&spec.pod_failure_policy, &before.pod_failure_policy);
    check::immutable(&mut errors, &at.child("podFailurePolicy"), policies.0, policies.1);
    let policies = (&spec.success_policy, &before.success_policy);
    check::immutable(&mut errors, &at.child("successPolicy"), policies.0, policies.1);
    errors
}

/// How many pods must succeed stays, except that a Job of indexes may grow and shrink with its parallelism.
fn validate_completions(errors: &mut FieldErrors, at: &FieldPath, new: &JobSpec, old: &JobSpec) {
    let at = at.child("completions");
    if new.completion_mode.as_deref() != Some(INDEXED) {
        check::immutable(errors, &at, &new.completions, &old.completions);
    } else if new.completions.is_some()
        && new.completions != old.completions
        && new.completions != new.parallelism
    {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(FieldError::invalid(&at, new.completions, detail));
    }
}

/// The template that a suspended Job had, with what the new one says of where its pods may run.
fn moved(old: &PodTemplateSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut moved = old.clone();
    if let (Some(moved), Some(new)) = (&mut moved.metadata, &new.metadata) {
        moved.annotations.clone_from(&new.annotations);
        moved.labels.clone_from(&new.labels);
    }
    if let (Some(moved), Some(new)) = (&mut moved.spec, &new.spec) {
        let nodes = new
            .affinity
            .as_ref()
            .and_then(|affinity| affinity.node_affinity.clone());
        let mut affinity = moved.affinity.take().unwrap_or_default();
        affinity.node_affinity = nodes;
        let is_empty = affinity == Default::default();
        moved.affinity = (new.affinity.is_some() || !is_empty).then_some(affinity);
        moved.node_selector.clone_from(&new.node_selector);
        moved.tolerations.clone_from(&new.tolerations);
        moved.scheduling_gates.clone_from(&new.scheduling_gates);
    }
    moved
}

/// The selector and the labels must be those that were generated, unless the Job brings its own.
fn validate_generated(errors: &mut FieldErrors, job: &Job, spec: &JobSpec) {
    let Some(selector) = spec
        .selector
        .as_ref()
        .filter(|_| spec.manual_selector != Some(true))
    else {
        return;
    };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    if uid.is_empty() {
        errors.push(FieldError::required(&FieldPath::new("metadata").child("uid"), ""));
    }
    let labels = labels(&spec.template);
    let at = FieldPath::new("spec")
        .child("template")
        .child("metadata")
        .child("labels");
    let mut expected = BTreeMap::new();
    for (keys, value) in [(UID_LABELS, uid), (NAME_LABELS, name)] {
        for key in keys {
            expected.insert(key.to_owned(), value.to_owned());
            let (at, detail) = (at.key(key), format!("must be '{value}'"));
            match labels.get(key) {
                None => errors.push(FieldError::required(&at, detail)),
                Some(found) if found != value => errors.push(FieldError::invalid(&at, &labels, detail)),
                Some(_) => {}
            }
        }
    }
    let parsed = orch_core::object::LabelSelector::from(selector).to_selector();
    if parsed.is_ok_and(|parsed| !parsed.matches(&expected)) {
        let at = FieldPath::new("spec").child("selector");
        errors.push(FieldError::invalid(
            &at,
            selector,
            "`selector` not auto-generated",
        ));
    }
}

fn validate_selector(errors: &mut FieldErrors, at: &FieldPath, spec: &JobSpec) {
    let selector_at = at.child("selector");
    let Some(selector) = &spec.selector else {
        errors.push(FieldError::required(&selector_at, ""));
        return;
    };
    check::label_selector(errors, &selector_at, Some(selector));
    let parsed = orch_core::object::LabelSelector::from(selector).to_selector();
    let labels = labels(&spec.template);
    if parsed.is_ok_and(|parsed| !parsed.matches(&labels)) {
        let at = at.child("template").child("metadata").child("labels");
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&at, &labels, detail));
    }
}

fn labels(template: &PodTemplateSpec) -> BTreeMap<String, String> {
    let labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone());
    labels.unwrap_or_default()
}
