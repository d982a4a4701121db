//! Fills what the writer of a pod's volume left out.

use serde_json::Value;

use super::default::default_field_reference;
use super::image::default_pull_policy;
use crate::kinds::raw::{self, Raw, child_mut, child_or_new, default_text, default_value, items_mut, text};

/// Mode of a file made from a Secret, a ConfigMap or the downward API: 0644.
const FILE_MODE: i32 = 0o644;

/// How long a projected token is good for, in seconds.
const TOKEN_SECONDS: i64 = 3600;

/// Text fields that Kubernetes fills in volume sources that are attached from elsewhere.
const TEXTS: [(&str, &str, &str); 10] = [
    ("azureDisk", "cachingMode", "ReadWrite"),
    ("azureDisk", "fsType", "ext4"),
    ("azureDisk", "kind", "Shared"),
    ("hostPath", "type", ""),
    ("iscsi", "iscsiInterface", "default"),
    ("rbd", "keyring", "/etc/ceph/keyring"),
    ("rbd", "pool", "rbd"),
    ("rbd", "user", "admin"),
    ("scaleIO", "fsType", "xfs"),
    ("scaleIO", "storageMode", "ThinProvisioned"),
];

/// Fills one entry of `spec.volumes`; a volume of no source is an empty directory.
pub(super) fn default_volume(volume: &mut Raw) {
    if !volume
        .iter()
        .any(|(key, value)| key != "name" && !value.is_null())
    {
        volume.insert("emptyDir".to_owned(), Value::Object(Raw::new()));
    }
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = child_mut(volume, source) {
            default_value(source, "defaultMode", FILE_MODE);
        }
    }
    default_volume_source(volume);
    if let Some(limit) = child_mut(volume, "emptyDir").and_then(|empty| empty.get_mut("sizeLimit")) {
        raw::quantity_as_text(limit);
    }
    if let Some(files) = child_mut(volume, "downwardAPI") {
        items_mut(files, "items").for_each(default_field_reference);
    }
    if let Some(projected) = child_mut(volume, "projected") {
        items_mut(projected, "sources").for_each(default_projection);
    }
    if let Some(claim) = child_mut(volume, "ephemeral").and_then(|e| child_mut(e, "volumeClaimTemplate")) {
        default_claim(claim);
    }
    if let Some(image) = child_mut(volume, "image") {
        let policy = default_pull_policy(text(image, "reference"));
        default_text(image, "pullPolicy", policy);
    }
}

/// Fills a source that is attached from elsewhere, of a volume of a pod or a PersistentVolume.
pub(crate) fn default_volume_source(volume: &mut Raw) {
    for (source, field, value) in TEXTS {
        if let Some(source) = child_mut(volume, source) {
            default_text(source, field, value);
        }
    }
    if let Some(disk) = child_mut(volume, "azureDisk") {
        default_value(disk, "readOnly", false);
    }
}

fn default_projection(source: &mut Raw) {
    if let Some(token) = child_mut(source, "serviceAccountToken") {
        default_value(token, "expirationSeconds", TOKEN_SECONDS);
    }
    if let Some(files) = child_mut(source, "downwardAPI") {
        items_mut(files, "items").for_each(default_field_reference);
    }
}

fn default_claim(claim: &mut Raw) {
    let Some(spec) = child_or_new(claim, "spec") else {
        return;
    };
    default_value(spec, "volumeMode", "Filesystem");
    if let Some(resources) = child_mut(spec, "resources") {
        raw::quantities_as_text(resources, "requests");
        raw::quantities_as_text(resources, "limits");
    }
}
