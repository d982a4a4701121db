//! ControllerRevisions: what Kubernetes refuses of them. What they hold never changes.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};

pub(super) fn validate(revision: &ControllerRevision) -> FieldErrors {
    let mut errors = meta::validate(&revision.metadata, true, NameRule::Subdomain);
    let data = check::given::<RawExtension>(&revision.data);
    if data.is_none_or(|data| data.0.is_null()) {
        errors.push(FieldError::required(&FieldPath::new("data"), "data is mandatory"));
    }
    check::non_negative(&mut errors, &FieldPath::new("revision"), revision.revision);
    errors
}

pub(super) fn validate_update(new: &ControllerRevision, old: &ControllerRevision) -> FieldErrors {
    let mut errors = validate(new);
    // Whatever it means, it is kept to the letter.
    if new.data != old.data {
        let detail = check::IMMUTABLE;
        errors.push(FieldError::invalid(&FieldPath::new("data"), &new.data, detail));
    }
    errors
}
