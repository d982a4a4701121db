//! VolumeAttachments: their defaults, and what Kubernetes refuses of them.

use k8s_openapi::api::storage::v1::{
    VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentStatus, VolumeError,
};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::core::{default_inline, validate_driver_name, validate_inline};
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut};

/// How long what the driver says of an attached volume may be.
const METADATA_BYTES: usize = 256 << 10;
/// How long what it says of an error may be.
const MESSAGE_BYTES: usize = 1024;

/// Fills the volume that it holds, if it does not name one.
pub(super) fn default(attachment: &mut Raw) {
    let source = child_mut(attachment, "spec").and_then(|spec| child_mut(spec, "source"));
    if let Some(volume) = source.and_then(|source| child_mut(source, "inlineVolumeSpec")) {
        default_inline(volume);
    }
}

pub(super) fn validate(attachment: &VolumeAttachment) -> FieldErrors {
    let mut errors = meta::validate(&attachment.metadata, false, NameRule::Subdomain);
    let at = FieldPath::new("spec");
    let spec = &attachment.spec;
    validate_driver_name(&mut errors, &at.child("attacher"), &spec.attacher);
    validate_source(&mut errors, &at.child("source"), &spec.source);
    let wrong = names::dns_subdomain(&spec.node_name);
    check::format(&mut errors, &at.child("nodeName"), &spec.node_name, wrong);
    errors
}

/// Validates a VolumeAttachment that replaces `old`: another is made for another volume or node.
pub(super) fn validate_update(new: &VolumeAttachment, old: &VolumeAttachment) -> FieldErrors {
    let mut errors = validate(new);
    check::immutable(&mut errors, &FieldPath::new("spec"), &new.spec, &old.spec);
    errors
}

pub(super) fn validate_status(status: &VolumeAttachmentStatus) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let at = FieldPath::new("status");
    let metadata = status.attachment_metadata.iter().flatten();
    let bytes: usize = metadata.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > METADATA_BYTES {
        let at = at.child("attachmentMetadata");
        errors.push(FieldError::too_long(&at, METADATA_BYTES));
    }
    for (field, error) in [
        ("attachError", &status.attach_error),
        ("detachError", &status.detach_error),
    ] {
        if let Some(error) = error {
            validate_error(&mut errors, &at.child(field), error);
        }
    }
    errors
}

fn validate_source(errors: &mut FieldErrors, at: &FieldPath, source: &VolumeAttachmentSource) {
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (&source.inline_volume_spec, &source.persistent_volume_name) {
        (None, None) => errors.push(FieldError::required(at, one)),
        (Some(_), Some(_)) => errors.push(FieldError::forbidden(at, one)),
        (Some(volume), None) => validate_inline(errors, &at.child("inlineVolumeSpec"), volume),
        (None, Some(name)) => {
            let at = at.child("persistentVolumeName");
            if name.is_empty() {
                let detail = "must specify non empty persistentVolumeName";
                errors.push(FieldError::required(&at, detail));
            } else {
                check::format(errors, &at, name, names::dns_subdomain(name));
            }
        }
    }
}

fn validate_error(errors: &mut FieldErrors, at: &FieldPath, error: &VolumeError) {
    let message = error.message.as_deref().unwrap_or_default();
    if message.len() > MESSAGE_BYTES {
        errors.push(FieldError::too_long(&at.child("message"), MESSAGE_BYTES));
    }
    k8s_openapi::k8s_if_ge_1_34! {
        check::id(errors, &at.child("errorCode"), error.error_code.map(i64::from));
    }
}
