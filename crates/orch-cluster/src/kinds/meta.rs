//! Validates what every object has: its name, labels, annotations, owners and finalizers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;

/// All annotations of an object together, in bytes.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// The finalizers that need no domain before them.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "foregroundDeletion", "orphan"];

/// What an object's name must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// A DNS label: a namespace.
    Label,
    /// A DNS subdomain: almost everything else.
    Subdomain,
}

impl NameRule {
    /// What is wrong with a name; `prefix` says that more will be appended to it (`generateName`).
    pub fn check(self, name: &str, prefix: bool) -> Vec<String> {
        // What follows a generated name's prefix is alphanumeric, so the prefix itself may end in a dash.
        let filled;
        let name = if prefix && name.ends_with('-') {
            filled = format!("{}a", &name[..name.len() - 1]);
            &filled
        } else {
            name
        };
        match self {
            Self::Label => names::dns_label(name),
            Self::Subdomain => names::dns_subdomain(name),
        }
    }
}

/// Validates the metadata of an object that is about to be stored.
pub fn validate(meta: &ObjectMeta, namespaced: bool, name_rule: NameRule) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("metadata");
    if let Some(prefix) = meta.generate_name.as_deref().filter(|prefix| !prefix.is_empty()) {
        check::format(
            &mut errors,
            &at.child("generateName"),
            prefix,
            name_rule.check(prefix, true),
        );
    }
    match meta.name.as_deref().unwrap_or_default() {
        "" => errors.push(FieldError::required(
            &at.child("name"),
            "name or generateName is required",
        )),
        name => check::format(&mut errors, &at.child("name"), name, name_rule.check(name, false)),
    }
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
    common(&mut errors, &at, meta);
    finalizers(
        &mut errors,
        &at.child("finalizers"),
        meta.finalizers.as_deref().unwrap_or_default(),
    );
    errors
}

fn common(errors: &mut FieldErrors, at: &FieldPath, meta: &ObjectMeta) {
    check::labels(errors, &at.child("labels"), meta.labels.as_ref());
    annotations(errors, &at.child("annotations"), meta.annotations.as_ref());
    owners(
        errors,
        &at.child("ownerReferences"),
        meta.owner_references.as_deref().unwrap_or_default(),
    );
}

/// Validates annotations: free text under qualified names, bounded together.
pub(crate) fn annotations(
    errors: &mut FieldErrors,
    at: &FieldPath,
    annotations: Option<&BTreeMap<String, String>>,
) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        // Kubernetes looks at the lower-cased key, and shows it as it was written.
        check::format(errors, at, key, names::qualified_name(&key.to_lowercase()));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(at, ANNOTATIONS_LIMIT));
    }
}

fn owners(errors: &mut FieldErrors, at: &FieldPath, owners: &[OwnerReference]) {
    let mut controller: Option<&str> = None;
    for owner in owners {
        if owner
            .api_version
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .is_empty()
        {
            errors.push(FieldError::invalid(
                &at.child("apiVersion"),
                &owner.api_version,
                "version must not be empty",
            ));
        }
        for (field, value, detail) in [
            ("kind", &owner.kind, "kind must not be empty"),
            ("name", &owner.name, "name must not be empty"),
            ("uid", &owner.uid, "uid must not be empty"),
        ] {
            if value.is_empty() {
                errors.push(FieldError::invalid(&at.child(field), value, detail));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.push(FieldError::invalid(
                at,
                owner,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            None => controller = Some(&owner.name),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                    owner.name
                );
                errors.push(FieldError::invalid(at, owners, detail));
            }
        }
    }
}

fn finalizers(errors: &mut FieldErrors, at: &FieldPath, finalizers: &[String]) {
    for finalizer in finalizers {
        finalizer_name(errors, at, finalizer);
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("foregroundDeletion") && has("orphan") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(at, finalizers, detail));
    }
}

/// Validates a finalizer's name: one of the few old ones, or one with a domain.
pub(crate) fn finalizer_name(errors: &mut FieldErrors, at: &FieldPath, finalizer: &str) {
    check::format(errors, at, finalizer, names::qualified_name(finalizer));
    if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(at, finalizer, detail));
    }
}
