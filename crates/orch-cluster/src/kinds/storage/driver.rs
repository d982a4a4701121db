//! CSIDrivers: their defaults, and what Kubernetes refuses of them.

use std::collections::BTreeSet;

use k8s_openapi::api::storage::v1::{CSIDriver, TokenRequest};
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::{Value, json};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_or_new, default_value};

/// How many seconds a token is good for at least, and at most.
const TOKEN_SECONDS: (i64, i64) = (600, 1 << 32);
/// How many seconds there are at least between two looks at what a node has room for.
const LEAST_PERIOD: i64 = 10;

/// Fills a CSIDriver: its volumes are attached, stay when their pods go, and get the group of those that have a file system.
pub(super) fn default(driver: &mut Raw) {
    let Some(spec) = child_or_new(driver, "spec") else {
        return;
    };
    default_value(spec, "attachRequired", true);
    default_value(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    for field in [
        "podInfoOnMount",
        "requiresRepublish",
        "seLinuxMount",
        "storageCapacity",
    ] {
        default_value(spec, field, false);
    }
    let modes = spec.get("volumeLifecycleModes");
    if modes.is_none_or(|modes| modes.is_null() || *modes == Value::Array(Vec::new())) {
        spec.insert("volumeLifecycleModes".to_owned(), json!(["Persistent"]));
    }
}

pub(super) fn validate(driver: &CSIDriver) -> FieldErrors {
    let mut errors = meta::validate(&driver.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let spec = &driver.spec;
    check::optional_one_of(
        &mut errors,
        &at.child("fsGroupPolicy"),
        spec.fs_group_policy.as_deref(),
        &["File", "None", "ReadWriteOnceWithFSType"],
    );
    let requests = spec.token_requests.as_deref().unwrap_or_default();
    validate_tokens(&mut errors, &at.child("tokenRequests"), requests);
    let modes_at = at.child("volumeLifecycleModes");
    for mode in spec.volume_lifecycle_modes.iter().flatten() {
        let modes = ["Persistent", "Ephemeral"];
        check::optional_one_of(&mut errors, &modes_at, Some(mode), &modes);
    }
    k8s_openapi::k8s_if_ge_1_33! {
        if let Some(seconds) = spec.node_allocatable_update_period_seconds
            && seconds < LEAST_PERIOD
        {
            let at = at.child("nodeAllocatableUpdatePeriodSeconds");
            let detail = format!("must be greater than or equal to {LEAST_PERIOD} seconds");
            errors.push(FieldError::invalid(&at, seconds, detail));
        }
    }
    errors
}

/// Validates a CSIDriver that replaces `old`: how its volumes come to nodes stays.
pub(super) fn validate_update(new: &CSIDriver, old: &CSIDriver) -> FieldErrors {
    let mut errors = validate(new);
    let at = FieldPath::new("spec");
    let (new, old) = (&new.spec, &old.spec);
    check::immutable(
        &mut errors,
        &at.child("attachedRequired"), // as Kubernetes names it here
        &new.attach_required,
        &old.attach_required,
    );
    check::immutable(
        &mut errors,
        &at.child("volumeLifecycleModes"),
        &new.volume_lifecycle_modes,
        &old.volume_lifecycle_modes,
    );
    errors
}

fn validate_tokens(errors: &mut FieldErrors, at: &FieldPath, requests: &[TokenRequest]) {
    let mut audiences = BTreeSet::new();
    for (index, request) in requests.iter().enumerate() {
        let at = at.index(index);
        if !audiences.insert(&request.audience) {
            errors.push(FieldError::duplicate(&at.child("audience"), &request.audience));
            continue;
        }
        let (least, most) = TOKEN_SECONDS;
        let seconds = request.expiration_seconds.unwrap_or(least);
        let detail = if seconds < least {
            "may not specify a duration less than 10 minutes"
        } else if seconds > most {
            "may not specify a duration larger than 2^32 seconds"
        } else {
            continue;
        };
        errors.push(FieldError::invalid(
            &at.child("expirationSeconds"),
            seconds,
            detail,
        ));
    }
}
