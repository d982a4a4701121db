//! Where the data of a PersistentVolume are: what Kubernetes refuses of that.

use k8s_openapi::api::core::v1::{CSIPersistentVolumeSource, PersistentVolumeSpec, SecretReference};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use crate::kinds::check;
use crate::kinds::pod::volume::{required, validate_host_path, validate_nfs};

/// The longest name of a driver.
const DRIVER_LIMIT: usize = 63;

/// Validates that the data are in one place, and that it is said which.
pub(super) fn validate_sources(errors: &mut FieldErrors, at: &FieldPath, spec: &PersistentVolumeSpec) {
    let sources = sources(spec);
    let mut given = sources.iter().filter(|(_, missing)| missing.is_some());
    match given.next() {
        None => errors.push(FieldError::required(at, "must specify a volume type")),
        Some((source, missing)) => {
            let at = at.child(*source);
            for field in missing.iter().flatten() {
                errors.push(FieldError::required(&at.child(*field), ""));
            }
            validate_more(errors, &at, source, spec);
        }
    }
    for (source, _) in given {
        let detail = "may not specify more than 1 volume type";
        errors.push(FieldError::forbidden(&at.child(*source), detail));
    }
}

/// What of a spec says where the data are.
pub(super) fn of_source(spec: &PersistentVolumeSpec) -> PersistentVolumeSpec {
    PersistentVolumeSpec {
        access_modes: None,
        capacity: None,
        claim_ref: None,
        mount_options: None,
        node_affinity: None,
        persistent_volume_reclaim_policy: None,
        storage_class_name: None,
        volume_attributes_class_name: None,
        volume_mode: None,
        ..spec.clone()
    }
}

/// A source's field, and if it is given, those of its own that it lacks.
type Source = (&'static str, Option<Vec<&'static str>>);

/// All sources, in the order Kubernetes looks at them.
fn sources(spec: &PersistentVolumeSpec) -> [Source; 22] {
    [
        source("hostPath", &spec.host_path, |_| vec![]),
        source("gcePersistentDisk", &spec.gce_persistent_disk, |disk| {
            vec![("pdName", disk.pd_name.is_empty())]
        }),
        source("awsElasticBlockStore", &spec.aws_elastic_block_store, |disk| {
            vec![("volumeID", disk.volume_id.is_empty())]
        }),
        source("glusterfs", &spec.glusterfs, |disk| {
            vec![
                ("endpoints", disk.endpoints.is_empty()),
                ("path", disk.path.is_empty()),
            ]
        }),
        source("flocker", &spec.flocker, |_| vec![]),
        source("nfs", &spec.nfs, |_| vec![]),
        source("rbd", &spec.rbd, |disk| {
            vec![
                ("monitors", disk.monitors.is_empty()),
                ("image", disk.image.is_empty()),
            ]
        }),
        source("quobyte", &spec.quobyte, |_| vec![]),
        source("cephfs", &spec.cephfs, |disk| {
            vec![("monitors", disk.monitors.is_empty())]
        }),
        source("iscsi", &spec.iscsi, |disk| {
            vec![
                ("targetPortal", disk.target_portal.is_empty()),
                ("iqn", disk.iqn.is_empty()),
            ]
        }),
        source("cinder", &spec.cinder, |disk| {
            vec![("volumeID", disk.volume_id.is_empty())]
        }),
        source("fc", &spec.fc, |_| vec![]),
        source("flexVolume", &spec.flex_volume, |disk| {
            vec![("driver", disk.driver.is_empty())]
        }),
        source("azureFile", &spec.azure_file, |disk| {
            vec![
                ("secretName", disk.secret_name.is_empty()),
                ("shareName", disk.share_name.is_empty()),
            ]
        }),
        source("vsphereVolume", &spec.vsphere_volume, |disk| {
            vec![("volumePath", disk.volume_path.is_empty())]
        }),
        source("photonPersistentDisk", &spec.photon_persistent_disk, |disk| {
            vec![("pdID", disk.pd_id.is_empty())]
        }),
        source("portworxVolume", &spec.portworx_volume, |disk| {
            vec![("volumeID", disk.volume_id.is_empty())]
        }),
        source("azureDisk", &spec.azure_disk, |disk| {
            vec![
                ("diskName", disk.disk_name.is_empty()),
                ("diskURI", disk.disk_uri.is_empty()),
            ]
        }),
        source("scaleIO", &spec.scale_io, |disk| {
            vec![
                ("gateway", disk.gateway.is_empty()),
                ("system", disk.system.is_empty()),
                (
                    "volumeName",
                    disk.volume_name.as_deref().is_none_or(str::is_empty),
                ),
            ]
        }),
        source("local", &spec.local, |local| {
            vec![("path", local.path.is_empty())]
        }),
        source("storageos", &spec.storageos, |disk| {
            vec![(
                "volumeName",
                disk.volume_name.as_deref().is_none_or(str::is_empty),
            )]
        }),
        source("csi", &spec.csi, |csi| {
            vec![("volumeHandle", csi.volume_handle.is_empty())]
        }),
    ]
}

fn source<T>(field: &'static str, given: &Option<T>, lacks: fn(&T) -> Vec<(&'static str, bool)>) -> Source {
    let missing = given.as_ref().map(|given| {
        let lacking = lacks(given).into_iter().filter(|(_, is_missing)| *is_missing);
        lacking.map(|(field, _)| field).collect()
    });
    (field, missing)
}

/// What is wrong with a source that lacks nothing.
fn validate_more(errors: &mut FieldErrors, at: &FieldPath, source: &str, spec: &PersistentVolumeSpec) {
    if let ("hostPath", Some(host)) = (source, &spec.host_path) {
        validate_host_path(errors, at, host);
    } else if let ("nfs", Some(nfs)) = (source, &spec.nfs) {
        validate_nfs(errors, at, nfs);
    } else if let ("local", Some(local)) = (source, &spec.local) {
        check::no_backsteps(errors, &at.child("path"), &local.path);
    } else if let ("csi", Some(csi)) = (source, &spec.csi) {
        validate_csi(errors, at, csi);
    }
}

fn validate_csi(errors: &mut FieldErrors, at: &FieldPath, csi: &CSIPersistentVolumeSource) {
    validate_driver_name(errors, &at.child("driver"), &csi.driver);
    for (field, secret) in [
        ("controllerPublishSecretRef", &csi.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &csi.controller_expand_secret_ref),
        ("nodePublishSecretRef", &csi.node_publish_secret_ref),
        ("nodeExpandSecretRef", &csi.node_expand_secret_ref),
    ] {
        if let Some(secret) = secret {
            validate_secret(errors, &at.child(field), secret);
        }
    }
}

fn validate_secret(errors: &mut FieldErrors, at: &FieldPath, secret: &SecretReference) {
    let name = secret.name.as_deref().unwrap_or_default();
    check::required_name(errors, &at.child("name"), name, names::dns_subdomain);
    let namespace = secret.namespace.as_deref().unwrap_or_default();
    check::required_name(errors, &at.child("namespace"), namespace, names::dns_label);
}

/// Validates the name of a driver of volumes.
pub(in crate::kinds) fn validate_driver_name(errors: &mut FieldErrors, at: &FieldPath, name: &str) {
    required(errors, at, name);
    if name.len() > DRIVER_LIMIT {
        errors.push(FieldError::too_long(at, DRIVER_LIMIT));
    }
    if !name.is_empty() {
        check::format(errors, at, name, names::dns_subdomain(&name.to_lowercase()));
    }
}
