//! Validates what every object has, over Kubernetes' own types: the rules are orch-core's.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
pub use orch_core::object::metadata::NameRule;
use orch_core::object::{FieldError, FieldErrors, FieldPath, metadata, names};

use super::check;

/// The finalizers that need no domain before them.
pub(crate) const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "foregroundDeletion", "orphan"];

/// Validates the metadata of an object that is about to be stored.
pub fn validate(meta: &ObjectMeta, namespaced: bool, name_rule: NameRule) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("metadata");
    let prefix = meta.generate_name.as_deref();
    metadata::name(&mut errors, &at.child("generateName"), prefix, name_rule, true);
    let name = meta.name.as_deref();
    metadata::name(&mut errors, &at.child("name"), name, name_rule, false);
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    if namespaced {
        check::required_name(&mut errors, &at.child("namespace"), namespace, names::dns_label);
    } else if !namespace.is_empty() {
        errors.push(FieldError::forbidden(
            &at.child("namespace"),
            "not allowed on this type",
        ));
    }
    check::non_negative(&mut errors, &at.child("generation"), meta.generation);
    check::labels(&mut errors, &at.child("labels"), meta.labels.as_ref());
    annotations(&mut errors, &at.child("annotations"), meta.annotations.as_ref());
    owners(
        &mut errors,
        &at.child("ownerReferences"),
        meta.owner_references.as_deref(),
    );
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    let at = at.child("finalizers");
    metadata::finalizers(&mut errors, &at, finalizers);
    for finalizer in finalizers {
        known_finalizer(&mut errors, &at, finalizer);
    }
    errors
}

/// Validates a name in a list of finalizers that is not in the metadata.
pub(crate) fn finalizer(errors: &mut FieldErrors, at: &FieldPath, finalizer: &str) {
    check::format(errors, at, finalizer, names::qualified_name(finalizer));
    known_finalizer(errors, at, finalizer);
}

/// Says so if a finalizer of one of Kubernetes' own kinds is neither one of the few old ones, nor one with a domain.
fn known_finalizer(errors: &mut FieldErrors, at: &FieldPath, finalizer: &str) {
    if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(at, finalizer, detail));
    }
}

/// Validates annotations: free text under qualified names, bounded together.
pub(crate) fn annotations(
    errors: &mut FieldErrors,
    at: &FieldPath,
    annotations: Option<&BTreeMap<String, String>>,
) {
    if let Some(annotations) = annotations {
        metadata::annotations(errors, at, annotations);
    }
}

fn owners(errors: &mut FieldErrors, at: &FieldPath, owners: Option<&[OwnerReference]>) {
    let owners: Vec<_> = owners.unwrap_or_default().iter().map(Into::into).collect();
    metadata::owners(errors, at, &owners);
}
