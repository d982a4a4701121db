//! Validates what a container asks for and may use.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use orch_core::object::Quantity;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;

/// What the names of resources that are memory in huge pages begin with; the size of a page follows.
const HUGE_PAGES: &str = "hugepages-";

/// The resources of a container that need no domain before their name, besides huge pages.
const CONTAINER_RESOURCES: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];

/// What there may be a number of in a namespace, and no part of one.
pub(crate) const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// The other resources Kubernetes knows by a bare name: of nodes, claims and quotas.
const OTHER_RESOURCES: [&str; 8] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "storage",
];

pub(super) fn is_huge_pages(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// The bytes of a page of the size that a resource names, `hugepages-2Mi`; none if it names none.
pub(crate) fn huge_page_size(resource: &str) -> Option<u64> {
    let size: Quantity = resource.strip_prefix(HUGE_PAGES)?.parse().ok()?;
    let is_whole = size.milli_value() % 1000 == 0;
    u64::try_from(size.value())
        .ok()
        .filter(|size| is_whole && *size > 0)
}

/// A resource of Kubernetes' own: a bare name, or one in its domain.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource of someone else's, counted in whole units and never shared.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether a container may be promised less of a resource than it may use.
pub(crate) fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_pages(name)
}

/// Validates the `resources` of a container.
pub(crate) fn validate_requirements(
    errors: &mut FieldErrors,
    at: &FieldPath,
    resources: &ResourceRequirements,
) {
    let limits_at = at.child("limits");
    let requests_at = at.child("requests");
    let limits = validate_list(errors, &limits_at, resources.limits.as_ref());
    let requests = validate_list(errors, &requests_at, resources.requests.as_ref());
    validate_pages(errors, &limits_at, &limits);
    validate_pages(errors, &requests_at, &requests);
    for (name, request) in &requests {
        match limits.get(name) {
            Some(limit) if request != limit && !is_overcommit_allowed(name) => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&requests_at, request.to_string(), detail));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&requests_at, request.to_string(), detail));
            }
            Some(_) => {}
            None if !is_overcommit_allowed(name) => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(FieldError::required(&limits_at, detail));
            }
            None => {}
        }
    }
    let names = || limits.keys().chain(requests.keys());
    if names().any(|name| is_huge_pages(name)) && !names().any(|name| matches!(*name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(at, "HugePages require cpu or memory"));
    }
}

/// Memory in huge pages is so many of them, all whole.
fn validate_pages(errors: &mut FieldErrors, at: &FieldPath, list: &BTreeMap<&str, Quantity>) {
    for (name, amount) in list {
        if !is_huge_pages(name) {
            continue;
        }
        let size = huge_page_size(name).and_then(|size| i64::try_from(size).ok());
        if size.is_none_or(|size| amount.value() % size != 0) {
            let detail = format!("{amount} is not positive integer multiple of {name}");
            errors.push(FieldError::invalid(
                &at.key((*name).to_owned()),
                amount.to_string(),
                detail,
            ));
        }
    }
}

/// Validates a resource list by itself, and gives what could be read of it.
pub(super) fn validate_list<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    list: Option<&'a BTreeMap<String, WireQuantity>>,
) -> BTreeMap<&'a str, Quantity> {
    let mut read = BTreeMap::new();
    for (name, quantity) in list.into_iter().flatten() {
        let at = at.key(name.clone());
        validate_container_name(errors, &at, name);
        if let Some(quantity) = validate_quantity(errors, &at, name, &quantity.0) {
            read.insert(name.as_str(), quantity);
        }
    }
    read
}

/// Validates the name of a resource of a container.
pub(crate) fn validate_container_name(errors: &mut FieldErrors, at: &FieldPath, name: &str) {
    if !validate_name(errors, at, name) {
        return;
    }
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            let detail = "doesn't follow extended resource name standard";
            errors.push(FieldError::invalid(at, name, detail));
        }
    } else if !CONTAINER_RESOURCES.contains(&name) && !is_huge_pages(name) {
        let detail = "must be a standard resource for containers";
        errors.push(FieldError::invalid(at, name, detail));
    }
}

/// Validates the name of a resource of whatever has any: a bare one must be known. Says whether it has a name's form.
pub(crate) fn validate_name(errors: &mut FieldErrors, at: &FieldPath, name: &str) -> bool {
    let wrong = names::qualified_name(name);
    if !wrong.is_empty() {
        check::format(errors, at, name, wrong);
        return false;
    }
    let known = [&CONTAINER_RESOURCES[..], &COUNTED, &OTHER_RESOURCES].concat();
    if !name.contains('/') && !known.contains(&name) && !is_huge_pages_of_quota(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(at, name, detail));
    }
    true
}

/// Huge pages, which a quota may name by what is requested of them too.
fn is_huge_pages_of_quota(name: &str) -> bool {
    is_huge_pages(name.strip_prefix("requests.").unwrap_or(name))
}

/// Validates the amount of a resource, and gives it if it can be read.
pub(crate) fn validate_quantity(
    errors: &mut FieldErrors,
    at: &FieldPath,
    resource: &str,
    quantity: &str,
) -> Option<Quantity> {
    let amount: Quantity = match quantity.parse() {
        Ok(amount) => amount,
        Err(error) => {
            errors.push(FieldError::invalid(at, quantity, format!("{error}")));
            return None;
        }
    };
    if amount < Quantity::ZERO {
        errors.push(FieldError::invalid(at, amount.to_string(), check::NEGATIVE));
    }
    if (is_extended(resource) || COUNTED.contains(&resource)) && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(at, amount.to_string(), "must be an integer"));
    }
    Some(amount)
}
