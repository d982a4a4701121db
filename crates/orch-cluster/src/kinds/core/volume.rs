//! PersistentVolumes: their defaults, and what Kubernetes refuses of them. VolumeAttachments may hold the spec of one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::json;

use super::claim::{MODES, positive};
use super::volume_source::{of_source, validate_sources};
use crate::kinds::meta::{self, NameRule};
use crate::kinds::pod::affinity::validate_node_selector;
use crate::kinds::raw::{Raw, child_or_new, default_text, default_value, quantities_as_text};
use crate::kinds::{check, pod, same};

/// Fills a PersistentVolume: it outlives its claim, and holds a file system.
pub(super) fn default(volume: &mut Raw) {
    let Some(spec) = child_or_new(volume, "spec") else {
        return;
    };
    default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    default_value(spec, "volumeMode", "Filesystem");
    quantities_as_text(spec, "capacity");
    pod::default_volume_source(spec);
}

/// A new volume waits to be found good.
pub(super) fn prepare_create(volume: &mut Raw) {
    let now = orch_core::time::now().as_second();
    let now = Timestamp::from_second(now).map(|now| now.to_string()).ok();
    let status = json!({"phase": "Pending", "lastPhaseTransitionTime": now});
    volume.insert("status".to_owned(), status);
}

pub(super) fn validate(volume: &PersistentVolume) -> FieldErrors {
    let mut errors = meta::validate(&volume.metadata, false, NameRule::Subdomain);
    let none = PersistentVolumeSpec::default();
    let spec = volume.spec.as_ref().unwrap_or(&none);
    let at = FieldPath::new("spec");
    validate_modes(&mut errors, &at.child("accessModes"), spec);
    validate_capacity(&mut errors, &at.child("capacity"), spec);
    let reclaim = spec.persistent_volume_reclaim_policy.as_deref();
    let reclaim_at = at.child("persistentVolumeReclaimPolicy");
    check::optional_one_of(
        &mut errors,
        &reclaim_at,
        reclaim,
        &["Delete", "Recycle", "Retain"],
    );
    if let Some(affinity) = &spec.node_affinity {
        let at = at.child("nodeAffinity").child("required");
        match &affinity.required {
            Some(required) => validate_node_selector(&mut errors, &at, required),
            None => errors.push(FieldError::required(
                &at,
                "must specify required node constraints",
            )),
        }
    }
    validate_sources(&mut errors, &at, spec);
    if spec.local.is_some() && spec.node_affinity.is_none() {
        let detail = "Local volume requires node affinity";
        errors.push(FieldError::required(&at.child("nodeAffinity"), detail));
    }
    // Recycling empties the directory.
    let is_root = spec.host_path.as_ref().is_some_and(|host| host.path == "/");
    if is_root && reclaim == Some("Recycle") {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(&reclaim_at, detail));
    }
    validate_classes(&mut errors, &at, spec);
    let modes = ["Block", "Filesystem"];
    let mode = spec.volume_mode.as_deref();
    check::optional_one_of(&mut errors, &at.child("volumeMode"), mode, &modes);
    errors
}

/// Validates a PersistentVolume that replaces `old`: where its data are stays, and which nodes reach them.
pub(super) fn validate_update(new: &PersistentVolume, old: &PersistentVolume) -> FieldErrors {
    let mut errors = validate(new);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else {
        return errors;
    };
    let mut allowed = of_source(old);
    if let (Some(allowed), Some(new)) = (&mut allowed.csi, &new.csi)
        && allowed.controller_expand_secret_ref.is_none()
    {
        let secret = &new.controller_expand_secret_ref;
        allowed.controller_expand_secret_ref.clone_from(secret);
    }
    let at = FieldPath::new("spec");
    if !same::are_same(&of_source(new), &allowed) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(FieldError::forbidden(&at.child("persistentvolumesource"), detail));
    }
    let mode_at = at.child("volumeMode");
    check::immutable(&mut errors, &mode_at, &new.volume_mode, &old.volume_mode);
    if old.node_affinity.is_some() {
        let at = at.child("nodeAffinity");
        check::immutable(&mut errors, &at, &new.node_affinity, &old.node_affinity);
    }
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let at = at.child("volumeAttributesClassName");
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden(&at, detail));
    }
    errors
}

/// Fills the spec of a volume that is no object of its own.
pub(in crate::kinds) fn default_inline(spec: &mut Raw) {
    quantities_as_text(spec, "capacity");
    pod::default_volume_source(spec);
}

/// Validates the spec of a volume that is no object of its own: of a driver's, and claimed by nobody.
pub(in crate::kinds) fn validate_inline(
    errors: &mut FieldErrors,
    at: &FieldPath,
    spec: &PersistentVolumeSpec,
) {
    let inline = "in the context of inline volumes";
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    for (field, is_set) in [
        ("claimRef", spec.claim_ref.is_some()),
        (
            "capacity",
            spec.capacity.as_ref().is_some_and(|all| !all.is_empty()),
        ),
        ("nodeAffinity", spec.node_affinity.is_some()),
        ("storageClassName", !class.is_empty()),
    ] {
        if is_set {
            let detail = format!("may not be specified {inline}");
            errors.push(FieldError::forbidden(&at.child(field), detail));
        }
    }
    if spec.csi.is_none() {
        let detail = format!("has to be specified {inline}");
        errors.push(FieldError::required(&at.child("csi"), detail));
    }
    validate_modes(errors, &at.child("accessModes"), spec);
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    if !matches!(policy.unwrap_or_default(), "" | "Retain") {
        let detail = format!("may only be Retain {inline}");
        errors.push(FieldError::forbidden(
            &at.child("persistentVolumeReclaimPolicy"),
            detail,
        ));
    }
    validate_sources(errors, at, spec);
    if spec.volume_mode.as_deref().unwrap_or("Filesystem") != "Filesystem" {
        let detail = format!("may not specify volumeMode other than Filesystem {inline}");
        errors.push(FieldError::forbidden(&at.child("volumeMode"), detail));
    }
}

fn validate_modes(errors: &mut FieldErrors, at: &FieldPath, spec: &PersistentVolumeSpec) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    for mode in modes {
        check::optional_one_of(errors, at, Some(mode), &MODES);
    }
    let of_one_pod = modes.iter().filter(|mode| *mode == "ReadWriteOncePod").count();
    if of_one_pod > 0 && modes.len() > of_one_pod {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(at, detail));
    }
}

fn validate_capacity(errors: &mut FieldErrors, at: &FieldPath, spec: &PersistentVolumeSpec) {
    let none = std::collections::BTreeMap::new();
    let capacity = spec.capacity.as_ref().unwrap_or(&none);
    if capacity.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    if !capacity.contains_key("storage") || capacity.len() > 1 {
        errors.push(FieldError::not_supported(at, capacity, ["storage"]));
    }
    for (name, amount) in capacity {
        positive(errors, &at.key(name.clone()), &amount.0, false);
    }
}

fn validate_classes(errors: &mut FieldErrors, at: &FieldPath, spec: &PersistentVolumeSpec) {
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    if !class.is_empty() {
        let wrong = names::dns_subdomain(class);
        check::format(errors, &at.child("storageClassName"), class, wrong);
    }
    let Some(class) = &spec.volume_attributes_class_name else {
        return;
    };
    let class_at = at.child("volumeAttributesClassName");
    if class.is_empty() {
        errors.push(FieldError::required(&class_at, "an empty string is disallowed"));
    } else {
        check::format(errors, &class_at, class, names::dns_subdomain(class));
    }
    if spec.csi.is_none() {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(FieldError::required(&at.child("csi"), detail));
    }
}
