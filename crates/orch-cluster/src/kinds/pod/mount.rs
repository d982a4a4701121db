//! Validates where a container mounts the volumes of its pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeDevice, VolumeMount};
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::volume::Volumes;
use crate::kinds::check;

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];

/// Validates `volumeMounts` and `volumeDevices` of a container against the volumes of its pod.
pub(super) fn validate_mounts(
    errors: &mut FieldErrors,
    at: &FieldPath,
    container: &Container,
    volumes: &Volumes<'_>,
) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mut paths = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let at = at.child("volumeMounts").index(index);
        validate_mount(errors, &at, mount, container, volumes);
        let path_at = at.child("mountPath");
        if !paths.insert(mount.mount_path.as_str()) {
            errors.push(FieldError::invalid(&path_at, &mount.mount_path, "must be unique"));
        }
        if devices.iter().any(|device| device.name == mount.name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(&at.child("name"), &mount.name, detail));
        }
        if devices
            .iter()
            .any(|device| device.device_path == mount.mount_path)
        {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(&path_at, &mount.mount_path, detail));
        }
    }
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in devices.iter().enumerate() {
        let at = at.child("volumeDevices").index(index);
        validate_device(errors, &at, device, mounts, volumes);
        if !device.name.is_empty() && !names.insert(device.name.as_str()) {
            errors.push(FieldError::invalid(
                &at.child("name"),
                &device.name,
                "must be unique",
            ));
        }
        if !paths.insert(device.device_path.as_str()) {
            errors.push(FieldError::invalid(
                &at.child("devicePath"),
                &device.device_path,
                "must be unique",
            ));
        }
    }
}

fn validate_mount(
    errors: &mut FieldErrors,
    at: &FieldPath,
    mount: &VolumeMount,
    container: &Container,
    volumes: &Volumes<'_>,
) {
    let name_at = at.child("name");
    if mount.name.is_empty() {
        errors.push(FieldError::required(&name_at, ""));
    }
    let volume = volumes.get(mount.name.as_str());
    if volume.is_none() {
        errors.push(FieldError::not_found(&name_at, &mount.name));
    }
    if mount.mount_path.is_empty() {
        errors.push(FieldError::required(&at.child("mountPath"), ""));
    }
    let path = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    if !path.is_empty() {
        check::descending_path(errors, &at.child("subPath"), path);
    }
    if !expression.is_empty() {
        let at = at.child("subPathExpr");
        if !path.is_empty() {
            errors.push(FieldError::invalid(
                &at,
                expression,
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
        check::descending_path(errors, &at, expression);
    }
    if let Some(propagation) = mount.mount_propagation.as_deref() {
        let at = at.child("mountPropagation");
        check::optional_one_of(errors, &at, Some(propagation), &PROPAGATIONS);
        let security = container.security_context.as_ref();
        if propagation == "Bidirectional" && security.and_then(|security| security.privileged) != Some(true) {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(FieldError::forbidden(&at, detail));
        }
    }
    if let Some(recursive) = mount.recursive_read_only.as_deref() {
        let at = at.child("recursiveReadOnly");
        check::optional_one_of(
            errors,
            &at,
            Some(recursive),
            &["Disabled", "Enabled", "IfPossible"],
        );
        if recursive != "Disabled" && mount.read_only != Some(true) {
            let detail = "may only be specified when readOnly is true";
            errors.push(FieldError::forbidden(&at, detail));
        }
    }
}

fn validate_device(
    errors: &mut FieldErrors,
    at: &FieldPath,
    device: &VolumeDevice,
    mounts: &[VolumeMount],
    volumes: &Volumes<'_>,
) {
    let (name_at, path_at) = (at.child("name"), at.child("devicePath"));
    if device.name.is_empty() {
        errors.push(FieldError::required(&name_at, ""));
    }
    match volumes.get(device.name.as_str()) {
        None => errors.push(FieldError::not_found(&name_at, &device.name)),
        Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
            let detail =
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            errors.push(FieldError::invalid(&name_at, &device.name, detail));
        }
        Some(_) => {}
    }
    if device.device_path.is_empty() {
        errors.push(FieldError::required(&path_at, ""));
    }
    if device.device_path.split('/').any(|element| element == "..") {
        let detail = "can not contain backsteps ('..')";
        errors.push(FieldError::invalid(&path_at, &device.device_path, detail));
    }
    if mounts.iter().any(|mount| mount.name == device.name) {
        errors.push(FieldError::invalid(
            &name_at,
            &device.name,
            "must not already exist in volumeMounts",
        ));
    }
    if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
        let detail = "must not already exist as a path in volumeMounts";
        errors.push(FieldError::invalid(&path_at, &device.device_path, detail));
    }
}
