//! The subresource `resize`: other requests and limits for the containers of a pod that runs (KEP-1287).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use orch_core::client::{SubresourceWrite, Wanted};
use orch_core::object::{Document, FieldError, FieldErrors, FieldPath, Members, Quantity};
use serde_json::{Value, json};

use super::container::is_sidecar;
use super::resource::validate_requirements;
use super::resources::qos_class;
use super::validate::MIRROR_ANNOTATION;
use crate::kinds::check;

/// The resources that can be given anew.
pub(crate) const RESIZABLE: [&str; 2] = ["cpu", "memory"];

/// What a container is given anew only by being started anew.
pub(crate) const RESTART: &str = "RestartContainer";

/// Writes the subresource `resize`: `resources` of containers and sidecars, and nothing else of what is sent, as Kubernetes does.
pub fn resize(wanted: Wanted<'_>, old: &Document) -> SubresourceWrite {
    let at = FieldPath::new("spec");
    let before: PodSpec = serde_json::from_str(old.field("spec").unwrap_or("{}"))
        .map_err(|error| FieldError::malformed(&at, error.to_string()))?;
    let mut errors = FieldErrors::default();
    if old.meta().annotations.contains_key(MIRROR_ANNOTATION) {
        errors.push(FieldError::forbidden(
            &FieldPath::root(),
            "static pods cannot be resized",
        ));
    }
    let mut spec = before.clone();
    let mut inits = spec.init_containers.take();
    let lists = [
        ("containers", spec.containers.as_mut_slice()),
        ("initContainers", inits.as_deref_mut().unwrap_or_default()),
    ];
    for (field, containers) in lists {
        let given = wanted.value(&format!("spec.{field}"), old);
        take(&mut errors, &at.child(field), containers, &given);
    }
    spec.init_containers = inits;
    if errors.is_empty() && qos_class(&spec) != qos_class(&before) {
        let detail = "Pod QOS Class may not be changed as a result of resizing";
        let class = qos_class(&spec).as_str();
        errors.push(FieldError::invalid(&at, class, detail));
    }
    errors.into_result()?;
    if spec == before {
        return Ok(Vec::new());
    }
    let broken = |error: orch_core::object::DocumentError| FieldError::invalid(&at, "", error.to_string());
    let mut members = old.field("spec").unwrap_or("{}").to_owned().into_bytes();
    for (field, containers) in [
        ("containers", Some(&spec.containers)),
        ("initContainers", spec.init_containers.as_ref()),
    ] {
        let Some(containers) = containers else { continue };
        let text = String::from_utf8_lossy(&members).into_owned();
        let parsed = Members::parse(&text).map_err(broken)?;
        members = parsed.with(field, &json!(containers)).map_err(broken)?;
    }
    Ok(vec![("spec", members)])
}

/// Gives containers the resources that were sent for them, where they may be given.
fn take(errors: &mut FieldErrors, at: &FieldPath, containers: &mut [Container], given: &Value) {
    let given = given.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = given.iter().map(|one| one["name"].as_str().unwrap_or_default());
    if !names.eq(containers.iter().map(|container| container.name.as_str())) {
        let detail = "containers may not be renamed or reordered on resize";
        errors.push(FieldError::forbidden(at, detail));
        return;
    }
    let is_init = at.to_string().ends_with("initContainers");
    for (index, (container, given)) in containers.iter_mut().zip(given).enumerate() {
        let at = at.index(index).child("resources");
        let read = match &given["resources"] {
            Value::Null => Ok(ResourceRequirements::default()),
            resources => serde_json::from_value(resources.clone()),
        };
        let mut wanted: ResourceRequirements = match read {
            Ok(wanted) => wanted,
            Err(error) => {
                errors.push(FieldError::malformed(&at, error.to_string()));
                continue;
            }
        };
        let old = container.resources.clone().unwrap_or_default();
        fill(&mut wanted);
        if is_same(&wanted, &old) && rest(&wanted) == rest(&old) {
            continue;
        }
        if is_init && !is_sidecar(container) {
            let detail =
                "only containers and sidecars can be resized, not init containers that run to their end";
            errors.push(FieldError::forbidden(&at, detail));
            continue;
        }
        if rest(&wanted) != rest(&old) {
            errors.push(FieldError::forbidden(
                &at,
                "only cpu and memory resources are mutable",
            ));
        }
        for (list, wanted, old) in [
            ("requests", &wanted.requests, &old.requests),
            ("limits", &wanted.limits, &old.limits),
        ] {
            let gone = |name: &str| amount(old, name).is_some() && amount(wanted, name).is_none();
            if RESIZABLE.iter().any(|name| gone(name)) {
                let detail = format!("resource {list} cannot be removed");
                errors.push(FieldError::forbidden(&at.child(list), detail));
            }
        }
        validate_requirements(errors, &at, &wanted);
        container.resources = Some(wanted);
    }
}

/// A limit without a request is one.
fn fill(resources: &mut ResourceRequirements) {
    for (name, limit) in resources.limits.iter().flatten() {
        let requests = resources.requests.get_or_insert_default();
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

fn amount(list: &Option<BTreeMap<String, WireQuantity>>, name: &str) -> Option<Quantity> {
    list.as_ref()?.get(name)?.0.parse().ok()
}

/// Whether two give the same of what can be given anew.
pub(crate) fn is_same(one: &ResourceRequirements, other: &ResourceRequirements) -> bool {
    RESIZABLE.iter().all(|name| {
        amount(&one.requests, name) == amount(&other.requests, name)
            && amount(&one.limits, name) == amount(&other.limits, name)
    })
}

/// Which resources differ between two.
pub(crate) fn changes<'n>(
    one: &ResourceRequirements,
    other: &ResourceRequirements,
) -> impl Iterator<Item = &'n str> {
    let differs = |name: &&str| {
        amount(&one.requests, name) != amount(&other.requests, name)
            || amount(&one.limits, name) != amount(&other.limits, name)
    };
    RESIZABLE
        .into_iter()
        .filter(differs)
        .collect::<Vec<_>>()
        .into_iter()
}

/// What cannot be given anew.
fn rest(resources: &ResourceRequirements) -> ResourceRequirements {
    let mut rest = resources.clone();
    for list in [&mut rest.requests, &mut rest.limits] {
        if let Some(amounts) = list {
            amounts.retain(|name, _| !RESIZABLE.contains(&name.as_str()));
        }
        // An empty list is none.
        *list = list.take().filter(|amounts| !amounts.is_empty());
    }
    rest
}

/// Validates `resizePolicy` of a pod's containers.
pub(super) fn validate_policies(errors: &mut FieldErrors, at: &FieldPath, spec: &PodSpec) {
    let never = spec.restart_policy.as_deref() == Some("Never");
    let inits = spec.init_containers.iter().flatten().enumerate();
    for (index, init) in inits.clone().filter(|(_, init)| !is_sidecar(init)) {
        if init.resize_policy.iter().flatten().next().is_some() {
            let at = at.child("initContainers").index(index).child("resizePolicy");
            errors.push(FieldError::forbidden(&at, "must not be set for init containers"));
        }
    }
    let sidecars = inits.filter(|(_, init)| is_sidecar(init));
    let sidecars = sidecars.map(|(index, sidecar)| ("initContainers", index, sidecar));
    let mains = spec.containers.iter().enumerate();
    let mains = mains.map(|(index, main)| ("containers", index, main));
    for (list, index, container) in mains.chain(sidecars) {
        let at = at.child(list).index(index).child("resizePolicy");
        let mut seen = Vec::new();
        for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
            let at = at.index(index);
            let name = policy.resource_name.as_str();
            if seen.contains(&name) {
                errors.push(FieldError::duplicate(&at, name));
            }
            seen.push(name);
            check::one_of(errors, &at.child("resourceName"), Some(name), &RESIZABLE);
            let word = policy.restart_policy.as_str();
            check::one_of(
                errors,
                &at.child("restartPolicy"),
                Some(word),
                &["NotRequired", RESTART],
            );
            if never && list == "containers" && word == RESTART {
                let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
                errors.push(FieldError::invalid(&at.child("restartPolicy"), word, detail));
            }
        }
    }
}
