//! PersistentVolumeClaims: their defaults, and what Kubernetes refuses of them. StatefulSets hold templates of them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus,
};
use orch_core::object::Quantity;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::json;

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, child_or_new, default_value, quantities_as_text};
use crate::kinds::same;

pub(super) const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

/// Fills a claim: it is of a file system.
pub(super) fn default(claim: &mut Raw) {
    default_claim(claim);
}

/// Fills a claim, or the template of one.
pub(in crate::kinds) fn default_claim(claim: &mut Raw) {
    let Some(spec) = child_or_new(claim, "spec") else {
        return;
    };
    default_value(spec, "volumeMode", "Filesystem");
    if let Some(resources) = child_mut(spec, "resources") {
        quantities_as_text(resources, "requests");
        quantities_as_text(resources, "limits");
    }
}

/// A new claim waits for a volume.
pub(super) fn prepare_create(claim: &mut Raw) {
    claim.insert("status".to_owned(), json!({"phase": "Pending"}));
}

pub(super) fn validate(claim: &PersistentVolumeClaim) -> FieldErrors {
    let mut errors = meta::validate(&claim.metadata, true, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    match check::given::<PersistentVolumeClaimSpec>(&claim.spec) {
        Some(spec) => validate_claim_spec(&mut errors, &at, spec),
        None => errors.push(FieldError::required(&at, "")),
    }
    errors
}

/// Validates a claim that replaces `old`: what it asks for stays, except that one without a class may get one, and a
/// bound one may ask for more room.
pub(super) fn validate_update(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> FieldErrors {
    let mut errors = validate(new);
    let (Some(wanted), Some(before)) = (
        check::given::<PersistentVolumeClaimSpec>(&new.spec),
        check::given::<PersistentVolumeClaimSpec>(&old.spec),
    ) else {
        return errors;
    };
    let status = old.status.as_ref();
    let mut allowed = before.clone();
    if before.volume_name.as_deref().unwrap_or_default().is_empty() {
        allowed.volume_name.clone_from(&wanted.volume_name);
    }
    if before.storage_class_name.is_none() && !has_annotated_class(old) {
        let class = &wanted.storage_class_name;
        allowed.storage_class_name.clone_from(class);
    }
    if status.and_then(|status| status.phase.as_deref()) == Some("Bound") {
        let class = &wanted.volume_attributes_class_name;
        allowed.volume_attributes_class_name.clone_from(class);
        if let (Some(allowed), Some(wanted)) = (&mut allowed.resources, &wanted.resources) {
            allowed.requests.clone_from(&wanted.requests);
        }
    }
    let at = FieldPath::new("spec");
    if !same::are_same(&allowed, wanted) {
        let detail = "spec is immutable after creation except resources.requests and \
                      volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden(&at, detail));
    }
    let capacity = status.and_then(|status| status.capacity.as_ref());
    let has = capacity.map_or(Quantity::ZERO, amount_of_storage);
    let (wants, wanted_before) = (requested(wanted), requested(before));
    // Less than before only where growing failed, and never less than there is: volumes do not shrink.
    if wants < wanted_before && wants <= has {
        let at = at.child("resources").child("requests").child("storage");
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden(&at, detail));
    }
    errors
}

/// Whether the claim names its class as claims did before they had a field for it.
fn has_annotated_class(claim: &PersistentVolumeClaim) -> bool {
    let annotations = claim.metadata.annotations.as_ref();
    annotations.is_some_and(|given| given.contains_key("volume.beta.kubernetes.io/storage-class"))
}

fn requested(spec: &PersistentVolumeClaimSpec) -> Quantity {
    let resources = spec.resources.as_ref();
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.map_or(Quantity::ZERO, amount_of_storage)
}

/// The list's amount of storage; zero if it names none, or one that cannot be read, which is told elsewhere.
fn amount_of_storage(
    list: &BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>,
) -> Quantity {
    let amount = list.get("storage");
    amount
        .and_then(|amount| amount.0.parse().ok())
        .unwrap_or_default()
}

pub(super) fn validate_status(status: &PersistentVolumeClaimStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status").child("capacity");
    for (name, amount) in status.capacity.iter().flatten() {
        let at = at.key(name.clone());
        positive(&mut errors, &at, &amount.0, true);
    }
    errors
}

fn storage(spec: &PersistentVolumeClaimSpec) -> Option<&str> {
    let requests = spec.resources.as_ref()?.requests.as_ref()?;
    Some(&requests.get("storage")?.0)
}

/// Validates what a claim, or the template of one, asks for.
pub(in crate::kinds) fn validate_claim_spec(
    errors: &mut FieldErrors,
    at: &FieldPath,
    spec: &PersistentVolumeClaimSpec,
) {
    check::label_selector(errors, &at.child("selector"), spec.selector.as_ref());
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let modes_at = at.child("accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required(
            &modes_at,
            "at least 1 access mode is required",
        ));
    }
    for mode in modes {
        check::optional_one_of(errors, &modes_at, Some(mode), &MODES);
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(&modes_at, detail));
    }
    let storage_at = at.child("resources").key("storage");
    match storage(spec) {
        None => errors.push(FieldError::required(&storage_at, "")),
        Some(amount) => positive(errors, &storage_at, amount, false),
    }
    if let Some(class) = spec
        .storage_class_name
        .as_deref()
        .filter(|class| !class.is_empty())
    {
        let wrong = names::dns_subdomain(class);
        check::format(errors, &at.child("storageClassName"), class, wrong);
    }
    check::optional_one_of(
        errors,
        &at.child("volumeMode"),
        spec.volume_mode.as_deref(),
        &["Block", "Filesystem"],
    );
}

/// An amount that is not below zero, nor zero unless that is allowed.
pub(in crate::kinds) fn positive(errors: &mut FieldErrors, at: &FieldPath, amount: &str, zero: bool) {
    match amount.parse::<Quantity>() {
        Err(error) => errors.push(FieldError::invalid(at, amount, error.to_string())),
        Ok(parsed) if parsed < Quantity::ZERO || (parsed == Quantity::ZERO && !zero) => {
            let detail = if zero {
                check::NEGATIVE
            } else {
                "must be greater than zero"
            };
            errors.push(FieldError::invalid(at, amount, detail));
        }
        Ok(_) => {}
    }
}
