//! Validates pods and pod templates, in Kubernetes' words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::volume::validate_volumes;
use super::{affinity, app_armor, container, dns, placement, resize, resource, security};
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};

/// Marks a pod that mirrors one which a node runs by itself.
pub(super) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Validates a new pod, its defaults filled.
pub fn validate(pod: &Pod) -> FieldErrors {
    let mut errors = validate_common(pod);
    if let Some(spec) = &pod.spec {
        let annotations = pod.metadata.annotations.as_ref();
        app_armor::validate_agreement(&mut errors, &FieldPath::new("spec"), annotations, spec);
    }
    if let Some(spec) = &pod.spec
        && spec
            .ephemeral_containers
            .as_ref()
            .is_some_and(|list| !list.is_empty())
    {
        let at = FieldPath::new("spec").child("ephemeralContainers");
        errors.push(FieldError::forbidden(&at, "cannot be set on create"));
    }
    errors
}

/// What holds for a pod whenever it is written.
pub(super) fn validate_common(pod: &Pod) -> FieldErrors {
    let mut errors = meta::validate(&pod.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let Some(spec) = &pod.spec else {
        errors.push(FieldError::required(&at, ""));
        return errors;
    };
    let annotations = pod.metadata.annotations.as_ref();
    if let Some(value) = annotations.and_then(|annotations| annotations.get(MIRROR_ANNOTATION))
        && spec.node_name.as_deref().unwrap_or_default().is_empty()
    {
        let at = FieldPath::new("metadata")
            .child("annotations")
            .key(MIRROR_ANNOTATION);
        errors.push(FieldError::invalid(
            &at,
            value,
            "must set spec.nodeName if mirror pod annotation is set",
        ));
    }
    let meta_at = FieldPath::new("metadata").child("annotations");
    app_armor::validate_annotations(&mut errors, &meta_at, annotations, spec);
    let name = pod.metadata.name.as_deref().filter(|name| !name.is_empty());
    validate_spec(&mut errors, &at, spec, name);
    container::validate_images(&mut errors, &at, spec);
    if spec
        .service_account_name
        .as_deref()
        .unwrap_or_default()
        .is_empty()
    {
        forbid_tokens(&mut errors, &at, spec);
    }
    errors
}

/// A token needs the account it speaks for.
fn forbid_tokens(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let sources = volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten());
        for (number, source) in sources.enumerate() {
            if source.service_account_token.is_some() {
                let at = at
                    .child("volumes")
                    .index(index)
                    .child("projected")
                    .child("sources")
                    .index(number);
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(&at.child("serviceAccountToken"), detail));
            }
        }
    }
}

/// Validates the template of a workload whose pods are kept running, against the selector that must find them.
pub(crate) fn validate_template(
    errors: &mut FieldErrors,
    at: &FieldPath,
    template: &PodTemplateSpec,
    selected: impl FnOnce(&BTreeMap<String, String>) -> bool,
    owner: &str,
) {
    let none = BTreeMap::new();
    let meta = template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref()).unwrap_or(&none);
    if !selected(labels) {
        let detail = "`selector` does not match template `labels`";
        let at = at.child("metadata").child("labels");
        errors.push(FieldError::invalid(&at, labels, detail));
    }
    validate_any_template(errors, at, template);
    let Some(spec) = &template.spec else { return };
    let at = at.child("spec");
    let policy = spec.restart_policy.as_deref().unwrap_or_default();
    if matches!(policy, "OnFailure" | "Never") {
        errors.push(FieldError::not_supported(
            &at.child("restartPolicy"),
            policy,
            ["Always"],
        ));
    }
    if spec.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        errors.push(FieldError::forbidden(&at.child("activeDeadlineSeconds"), detail));
    }
}

/// Validates a template of pods, whether they are kept running or end by themselves.
pub(crate) fn validate_any_template(errors: &mut FieldErrors, at: &FieldPath, template: &PodTemplateSpec) {
    let meta = template.metadata.as_ref();
    let labels = meta.and_then(|meta| meta.labels.as_ref());
    check::labels(errors, &at.child("labels"), labels);
    let annotations = meta.and_then(|meta| meta.annotations.as_ref());
    let annotations_at = at.child("annotations");
    meta::annotations(errors, &annotations_at, annotations);
    let at = at.child("spec");
    let Some(spec) = &template.spec else {
        errors.push(FieldError::required(&at, ""));
        return;
    };
    app_armor::validate_annotations(errors, &annotations_at, annotations, spec);
    validate_spec(errors, &at, spec, None);
    app_armor::validate_agreement(errors, &at, annotations, spec);
    if spec
        .ephemeral_containers
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&at.child("ephemeralContainers"), detail));
    }
}

fn validate_spec(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec, pod_name: Option<&str>) {
    let volumes = validate_volumes(
        errors,
        &at.child("volumes"),
        spec.volumes.as_deref().unwrap_or_default(),
        pod_name,
    );
    container::validate_containers(errors, at, spec, &volumes);
    resize::validate_policies(errors, at, spec);
    let policies = ["Always", "OnFailure", "Never"];
    check::one_of(
        errors,
        &at.child("restartPolicy"),
        spec.restart_policy.as_deref(),
        &policies,
    );
    dns::validate_dns(errors, at, spec);
    check::labels(errors, &at.child("nodeSelector"), spec.node_selector.as_ref());
    if let Some(context) = &spec.security_context {
        security::validate_pod(errors, &at.child("securityContext"), context);
    }
    security::validate_host(errors, at, spec);
    if let Some(affinity) = &spec.affinity {
        affinity::validate_affinity(errors, &at.child("affinity"), affinity);
    }
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let at = at.child("readinessGates").index(index).child("conditionType");
        check::label_key(errors, &at, &gate.condition_type);
    }
    let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in gates.iter().enumerate() {
        let at = at.child("schedulingGates").index(index);
        check::label_key(errors, &at, &gate.name);
        if gates[..index].iter().any(|other| other.name == gate.name) {
            errors.push(FieldError::duplicate(&at, &gate.name));
        }
    }
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    placement::validate_spread(errors, &at.child("topologySpreadConstraints"), constraints);
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    placement::validate_tolerations(errors, &at.child("tolerations"), tolerations);
    for (field, name) in [
        ("serviceAccountName", &spec.service_account_name),
        ("nodeName", &spec.node_name),
        ("priorityClassName", &spec.priority_class_name),
        ("runtimeClassName", &spec.runtime_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check::format(errors, &at.child(field), name, names::dns_subdomain(name));
        }
    }
    deadline(
        errors,
        &at.child("activeDeadlineSeconds"),
        spec.active_deadline_seconds,
        1,
    );
    let policies = ["PreemptLowerPriority", "Never"];
    check::optional_one_of(
        errors,
        &at.child("preemptionPolicy"),
        spec.preemption_policy.as_deref(),
        &policies,
    );
    if let Some(resources) = &spec.resources {
        resource::validate_requirements(errors, &at.child("resources"), resources);
    }
    resource::validate_list(errors, &at.child("overhead"), spec.overhead.as_ref());
    if let Some(os) = &spec.os {
        check::one_of(
            errors,
            &at.child("os").child("name"),
            Some(&os.name),
            &["linux", "windows"],
        );
    }
}

/// Bounds of `activeDeadlineSeconds`, which may come down to zero only in an update.
pub(super) fn deadline(errors: &mut FieldErrors, at: &FieldPath, seconds: Option<i64>, least: i64) {
    let most = i64::from(i32::MAX);
    if let Some(seconds) = seconds
        && !(least..=most).contains(&seconds)
    {
        let detail = format!("must be between {least} and {most}, inclusive");
        errors.push(FieldError::invalid(at, seconds, detail));
    }
}
