//! What an autoscaler looks at, and what it aims for.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, ExternalMetricSource, HorizontalPodAutoscalerSpec, MetricIdentifier,
    MetricSpec, MetricTarget, ObjectMetricSource, PodsMetricSource, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource;
use orch_core::object::Quantity;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::validate_reference;
use crate::kinds::check;
use crate::kinds::raw::{Raw, child_mut, items_mut, quantity_as_text};

/// The types of metrics, and the field that each has.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

/// Writes the quantities of the metrics as strings.
pub(super) fn quantities(spec: &mut Raw) {
    for metric in items_mut(spec, "metrics") {
        for (_, field) in SOURCES {
            let Some(target) = child_mut(metric, field).and_then(|source| child_mut(source, "target")) else {
                continue;
            };
            for field in ["value", "averageValue"] {
                if let Some(amount) = target.get_mut(field) {
                    quantity_as_text(amount);
                }
            }
        }
    }
}

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, spec: &HorizontalPodAutoscalerSpec) {
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    for (index, metric) in metrics.iter().enumerate() {
        validate_metric(errors, &at.index(index), metric);
    }
    // Pods that are not there cannot be measured.
    let is_outside = |metric: &MetricSpec| matches!(&*metric.type_, "Object" | "External");
    if spec.min_replicas == Some(0) && !metrics.iter().any(is_outside) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(at, detail));
    }
}

fn validate_metric(errors: &mut FieldErrors, at: &FieldPath, metric: &MetricSpec) {
    let type_at = at.child("type");
    if metric.type_.is_empty() {
        errors.push(FieldError::required(
            &type_at,
            "must specify a metric source type",
        ));
    }
    check::optional_one_of(
        errors,
        &type_at,
        Some(&metric.type_),
        &SOURCES.map(|(name, _)| name),
    );
    if let Some(source) = &metric.object {
        validate_object(errors, &at.child("object"), source);
    } else if let Some(source) = &metric.external {
        validate_external(errors, &at.child("external"), source);
    } else if let Some(source) = &metric.pods {
        validate_pods(errors, &at.child("pods"), source);
    } else if let Some(source) = &metric.resource {
        validate_resource(errors, &at.child("resource"), source);
    } else if let Some(source) = &metric.container_resource {
        validate_container_resource(errors, &at.child("containerResource"), source);
    }
    let expected = SOURCES
        .iter()
        .find(|(name, _)| *name == metric.type_)
        .map(|(_, field)| *field);
    for (field, is_set) in [
        ("object", metric.object.is_some()),
        ("external", metric.external.is_some()),
        ("pods", metric.pods.is_some()),
        ("resource", metric.resource.is_some()),
        ("containerResource", metric.container_resource.is_some()),
    ] {
        match (expected == Some(field), is_set) {
            (true, false) => {
                let detail = "must populate information for the given metric source";
                errors.push(FieldError::required(&at.child(field), detail));
            }
            (false, true) => {
                let detail = "must populate the given metric source only";
                errors.push(FieldError::forbidden(&at.child(field), detail));
            }
            _ => {}
        }
    }
}

fn validate_object(errors: &mut FieldErrors, at: &FieldPath, source: &ObjectMetricSource) {
    validate_reference(errors, &at.child("describedObject"), &source.described_object);
    validate_identifier(errors, &at.child("metric"), &source.metric);
    let target_at = at.child("target");
    validate_target(errors, &target_at, &source.target);
    if source.target.value.is_none() && source.target.average_value.is_none() {
        let detail = "must set either a target value or averageValue";
        errors.push(FieldError::required(&target_at.child("averageValue"), detail));
    }
}

fn validate_external(errors: &mut FieldErrors, at: &FieldPath, source: &ExternalMetricSource) {
    validate_identifier(errors, &at.child("metric"), &source.metric);
    let at = at.child("target");
    validate_target(errors, &at, &source.target);
    match (&source.target.value, &source.target.average_value) {
        (None, None) => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.push(FieldError::required(&at.child("averageValue"), detail));
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(&at.child("value"), detail));
        }
        _ => {}
    }
}

fn validate_pods(errors: &mut FieldErrors, at: &FieldPath, source: &PodsMetricSource) {
    validate_identifier(errors, &at.child("metric"), &source.metric);
    let at = at.child("target");
    validate_target(errors, &at, &source.target);
    if source.target.average_value.is_none() {
        let detail = "must specify a positive target averageValue";
        errors.push(FieldError::required(&at.child("averageValue"), detail));
    }
}

fn validate_resource(errors: &mut FieldErrors, at: &FieldPath, source: &ResourceMetricSource) {
    required(
        errors,
        &at.child("name"),
        &source.name,
        "must specify a resource name",
    );
    validate_use(errors, &at.child("target"), &source.target);
}

fn validate_container_resource(
    errors: &mut FieldErrors,
    at: &FieldPath,
    source: &ContainerResourceMetricSource,
) {
    let name_at = at.child("name");
    required(errors, &name_at, &source.name, "must specify a resource name");
    if !source.name.is_empty() {
        check::format(
            errors,
            &name_at,
            &source.name,
            names::qualified_name(&source.name),
        );
    }
    let container_at = at.child("container");
    required(
        errors,
        &container_at,
        &source.container,
        "must specify a container",
    );
    if !source.container.is_empty() {
        let wrong = names::dns_label(&source.container);
        check::format(errors, &container_at, &source.container, wrong);
    }
    validate_use(errors, &at.child("target"), &source.target);
}

/// A target of what containers use: an amount, or a share of what they ask for.
fn validate_use(errors: &mut FieldErrors, at: &FieldPath, target: &MetricTarget) {
    validate_target(errors, at, target);
    match (target.average_utilization, &target.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            errors.push(FieldError::required(&at.child("averageUtilization"), detail));
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(&at.child("averageValue"), detail));
        }
        _ => {}
    }
}

fn validate_target(errors: &mut FieldErrors, at: &FieldPath, target: &MetricTarget) {
    let type_at = at.child("type");
    required(
        errors,
        &type_at,
        &target.type_,
        "must specify a metric target type",
    );
    if !matches!(&*target.type_, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(&type_at, &target.type_, detail));
    }
    for (field, amount) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(amount) = amount {
            positive(errors, &at.child(field), amount);
        }
    }
    if let Some(share) = target.average_utilization.filter(|share| *share < 1) {
        let at = at.child("averageUtilization");
        errors.push(FieldError::invalid(&at, share, "must be greater than 0"));
    }
}

fn validate_identifier(errors: &mut FieldErrors, at: &FieldPath, metric: &MetricIdentifier) {
    let at = at.child("name");
    required(errors, &at, &metric.name, "must specify a metric name");
    check::format(errors, &at, &metric.name, names::path_segment(&metric.name));
}

fn positive(errors: &mut FieldErrors, at: &FieldPath, amount: &resource::Quantity) {
    match amount.0.parse::<Quantity>() {
        Err(error) => errors.push(FieldError::invalid(at, amount, error.to_string())),
        Ok(parsed) if parsed <= Quantity::ZERO => {
            errors.push(FieldError::invalid(at, amount, "must be positive"));
        }
        Ok(_) => {}
    }
}

fn required(errors: &mut FieldErrors, at: &FieldPath, value: &str, detail: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(at, detail));
    }
}
