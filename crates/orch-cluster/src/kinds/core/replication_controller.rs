//! ReplicationControllers: their defaults, and what Kubernetes refuses of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ReplicationController, ReplicationControllerSpec, ReplicationControllerStatus,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child, child_mut, child_or_new, default_value};
use crate::kinds::{check, pod, workload};

/// Fills a ReplicationController: one replica, the labels of its template as its own and as its selector, and the defaults of
/// its template.
pub(super) fn default(controller: &mut Raw) {
    let Some(spec) = child_or_new(controller, "spec") else {
        return;
    };
    default_value(spec, "replicas", 1);
    if let Some(template) = child_mut(spec, "template") {
        pod::default_template(template);
    }
    let metadata = child(spec, "template").and_then(|template| child(template, "metadata"));
    let labels = metadata.and_then(|metadata| child(metadata, "labels"));
    let Some(labels) = labels.filter(|labels| !labels.is_empty()).cloned() else {
        return;
    };
    fill(spec, "selector", &labels);
    if let Some(metadata) = child_mut(controller, "metadata") {
        fill(metadata, "labels", &labels);
    }
}

/// Sets a map that was not sent or is empty.
fn fill(object: &mut Raw, key: &str, labels: &Raw) {
    if let Some(map) = child_or_new(object, key)
        && map.is_empty()
    {
        map.clone_from(labels);
    }
}

pub(super) fn validate(controller: &ReplicationController) -> FieldErrors {
    let mut errors = meta::validate(&controller.metadata, true, NameRule::Subdomain);
    let none = ReplicationControllerSpec::default();
    let spec = controller.spec.as_ref().unwrap_or(&none);
    validate_spec(&mut errors, &FieldPath::new("spec"), spec);
    errors
}

pub(super) fn validate_status(status: &ReplicationControllerStatus) -> FieldErrors {
    let some = [
        status.fully_labeled_replicas,
        status.ready_replicas,
        status.available_replicas,
    ];
    workload::validate_replicas(status.replicas, some, status.observed_generation)
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &ReplicationControllerSpec) {
    let least = spec.min_ready_seconds.map(i64::from);
    check::non_negative(errors, &at.child("minReadySeconds"), least);
    let none = BTreeMap::new();
    let selector = spec.selector.as_ref().unwrap_or(&none);
    if selector.is_empty() {
        errors.push(FieldError::required(&at.child("selector"), ""));
    }
    check::non_negative(errors, &at.child("replicas"), spec.replicas.map(i64::from));
    let at = at.child("template");
    match &spec.template {
        None => errors.push(FieldError::required(&at, "")),
        Some(template) => {
            let selected = |labels: &BTreeMap<String, String>| {
                selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            };
            pod::validate_template(errors, &at, template, selected, "ReplicationController");
        }
    }
}
