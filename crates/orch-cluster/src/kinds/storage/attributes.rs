//! VolumeAttributesClasses, of this version since Kubernetes 1.34: what Kubernetes refuses of them.

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::VolumeAttributesClass;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::class::{forbid_changes, validate_parameters, validate_provisioner};
use crate::kinds::meta::{self, NameRule};
use crate::kinds::table::{BuiltIn, one, stored, two};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["vac"],
        ..stored::<VolumeAttributesClass>(
            "volumeattributesclass",
            |new| one::<VolumeAttributesClass>(new, validate),
            |new, old| two::<VolumeAttributesClass>(new, old, validate_update),
        )
    }]
}

fn validate(class: &VolumeAttributesClass) -> FieldErrors {
    let mut errors = meta::validate(&class.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("driverName");
    validate_provisioner(&mut errors, &at, &class.driver_name);
    validate_parameters(&mut errors, class.parameters.as_ref());
    if class.parameters.as_ref().is_none_or(BTreeMap::is_empty) {
        let detail = "must contain at least one key/value pair";
        errors.push(FieldError::required(&FieldPath::new("parameters"), detail));
    }
    errors
}

/// Validates a VolumeAttributesClass that replaces `old`: volumes that have it already keep what it gave them.
fn validate_update(new: &VolumeAttributesClass, old: &VolumeAttributesClass) -> FieldErrors {
    let mut errors = validate(new);
    forbid_changes(
        &mut errors,
        &[
            ("driverName", new.driver_name != old.driver_name),
            ("parameters", new.parameters != old.parameters),
        ],
    );
    errors
}
