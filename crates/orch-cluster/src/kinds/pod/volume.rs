//! Validates the volumes of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, NFSVolumeSource, ProjectedVolumeSource, Volume,
};
use orch_core::object::Quantity;
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::env::{FILE_FIELDS, validate_field, validate_resource};
use crate::kinds::check;

/// The volumes that can be mounted, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

const HOST_PATH_TYPES: [&str; 8] = [
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

/// Validates `spec.volumes`, and gives those that are sound, by name.
pub(super) fn validate_volumes<'a>(
    errors: &mut FieldErrors,
    at: &FieldPath,
    volumes: &'a [Volume],
    pod_name: Option<&str>,
) -> Volumes<'a> {
    let mut sound = Volumes::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = at.index(index);
        let name_at = at.child("name");
        let before = errors.len();
        validate_source(errors, &at, volume);
        check::required_name(errors, &name_at, &volume.name, names::dns_label);
        if sound.contains_key(volume.name.as_str()) {
            errors.push(FieldError::duplicate(&name_at, &volume.name));
        }
        if errors.len() == before {
            sound.insert(&volume.name, volume);
        }
        if let (Some(pod), Some(claim)) = (pod_name, &volume.persistent_volume_claim) {
            let created = |volume: &&Volume| {
                volume.ephemeral.is_some() && claim.claim_name == format!("{pod}-{}", volume.name)
            };
            if volumes.iter().any(|volume| created(&volume)) {
                let detail = "must not reference a PVC that gets created for an ephemeral volume";
                let at = at.child("persistentVolumeClaim").child("claimName");
                errors.push(FieldError::invalid(&at, &claim.claim_name, detail));
            }
        }
    }
    sound
}

/// The sources a volume has, by field name, in the order Kubernetes looks at them.
fn sources(volume: &Volume) -> impl Iterator<Item = &'static str> {
    [
        ("emptyDir", volume.empty_dir.is_some()),
        ("hostPath", volume.host_path.is_some()),
        ("gitRepo", volume.git_repo.is_some()),
        ("gcePersistentDisk", volume.gce_persistent_disk.is_some()),
        ("awsElasticBlockStore", volume.aws_elastic_block_store.is_some()),
        ("secret", volume.secret.is_some()),
        ("nfs", volume.nfs.is_some()),
        ("iscsi", volume.iscsi.is_some()),
        ("glusterfs", volume.glusterfs.is_some()),
        ("flocker", volume.flocker.is_some()),
        ("persistentVolumeClaim", volume.persistent_volume_claim.is_some()),
        ("rbd", volume.rbd.is_some()),
        ("cinder", volume.cinder.is_some()),
        ("cephfs", volume.cephfs.is_some()),
        ("quobyte", volume.quobyte.is_some()),
        ("downwardAPI", volume.downward_api.is_some()),
        ("fc", volume.fc.is_some()),
        ("flexVolume", volume.flex_volume.is_some()),
        ("configMap", volume.config_map.is_some()),
        ("azureFile", volume.azure_file.is_some()),
        ("vsphereVolume", volume.vsphere_volume.is_some()),
        ("photonPersistentDisk", volume.photon_persistent_disk.is_some()),
        ("portworxVolume", volume.portworx_volume.is_some()),
        ("azureDisk", volume.azure_disk.is_some()),
        ("storageos", volume.storageos.is_some()),
        ("projected", volume.projected.is_some()),
        ("scaleIO", volume.scale_io.is_some()),
        ("csi", volume.csi.is_some()),
        ("ephemeral", volume.ephemeral.is_some()),
        ("image", volume.image.is_some()),
    ]
    .into_iter()
    .filter_map(|(source, given)| given.then_some(source))
}

fn validate_source(errors: &mut FieldErrors, at: &FieldPath, volume: &Volume) {
    let mut given = sources(volume);
    match given.next() {
        None => errors.push(FieldError::required(at, "must specify a volume type")),
        Some(source) => validate_one_source(errors, &at.child(source), source, volume),
    }
    for source in given {
        errors.push(FieldError::forbidden(
            &at.child(source),
            "may not specify more than 1 volume type",
        ));
    }
}

fn validate_one_source(errors: &mut FieldErrors, at: &FieldPath, source: &str, volume: &Volume) {
    if let ("emptyDir", Some(empty)) = (source, &volume.empty_dir) {
        if let Some(limit) = &empty.size_limit
            && limit
                .0
                .parse::<Quantity>()
                .map_or(true, |limit| limit < Quantity::ZERO)
        {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(FieldError::forbidden(&at.child("sizeLimit"), detail));
        }
    } else if let ("hostPath", Some(host)) = (source, &volume.host_path) {
        validate_host_path(errors, at, host);
    } else if let ("secret", Some(secret)) = (source, &volume.secret) {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        required(errors, &at.child("secretName"), name);
        validate_files(errors, at, secret.default_mode, secret.items.as_deref());
    } else if let ("configMap", Some(config)) = (source, &volume.config_map) {
        required(errors, &at.child("name"), &config.name);
        validate_files(errors, at, config.default_mode, config.items.as_deref());
    } else if let ("nfs", Some(nfs)) = (source, &volume.nfs) {
        validate_nfs(errors, at, nfs);
    } else if let ("persistentVolumeClaim", Some(claim)) = (source, &volume.persistent_volume_claim) {
        required(errors, &at.child("claimName"), &claim.claim_name);
    } else if let ("downwardAPI", Some(files)) = (source, &volume.downward_api) {
        check::file_mode(errors, &at.child("defaultMode"), files.default_mode);
        for (index, file) in files.items.iter().flatten().enumerate() {
            validate_downward_file(errors, &at.child("items").index(index), file);
        }
    } else if let ("projected", Some(projected)) = (source, &volume.projected) {
        check::file_mode(errors, &at.child("defaultMode"), projected.default_mode);
        validate_projections(errors, at, projected);
    } else if let ("csi", Some(csi)) = (source, &volume.csi) {
        required(errors, &at.child("driver"), &csi.driver);
    } else if let ("ephemeral", Some(ephemeral)) = (source, &volume.ephemeral) {
        if ephemeral.volume_claim_template.is_none() {
            errors.push(FieldError::required(&at.child("volumeClaimTemplate"), ""));
        }
    } else if let ("image", Some(image)) = (source, &volume.image) {
        required(
            errors,
            &at.child("reference"),
            image.reference.as_deref().unwrap_or_default(),
        );
        let policies = ["Always", "IfNotPresent", "Never"];
        check::optional_one_of(
            errors,
            &at.child("pullPolicy"),
            image.pull_policy.as_deref(),
            &policies,
        );
    }
}

pub(crate) fn required(errors: &mut FieldErrors, at: &FieldPath, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
}

pub(crate) fn validate_host_path(errors: &mut FieldErrors, at: &FieldPath, host: &HostPathVolumeSource) {
    if host.path.is_empty() {
        errors.push(FieldError::required(&at.child("path"), ""));
        return;
    }
    check::no_backsteps(errors, &at.child("path"), &host.path);
    check::optional_one_of(errors, &at.child("type"), host.type_.as_deref(), &HOST_PATH_TYPES);
}

pub(crate) fn validate_nfs(errors: &mut FieldErrors, at: &FieldPath, nfs: &NFSVolumeSource) {
    required(errors, &at.child("server"), &nfs.server);
    required(errors, &at.child("path"), &nfs.path);
    if !nfs.path.starts_with('/') {
        errors.push(FieldError::invalid(
            &at.child("path"),
            &nfs.path,
            "must be an absolute path",
        ));
    }
}

fn validate_files(errors: &mut FieldErrors, at: &FieldPath, mode: Option<i32>, items: Option<&[KeyToPath]>) {
    check::file_mode(errors, &at.child("defaultMode"), mode);
    for (index, item) in items.unwrap_or_default().iter().enumerate() {
        let at = at.child("items").index(index);
        required(errors, &at.child("key"), &item.key);
        required(errors, &at.child("path"), &item.path);
        check::descending_file(errors, &at.child("path"), &item.path);
        check::file_mode(errors, &at.child("mode"), item.mode);
    }
}

fn validate_downward_file(errors: &mut FieldErrors, at: &FieldPath, file: &DownwardAPIVolumeFile) {
    required(errors, &at.child("path"), &file.path);
    check::descending_file(errors, &at.child("path"), &file.path);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            validate_field(errors, &at.child("fieldRef"), field, &FILE_FIELDS);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(at, "resource", detail));
            }
        }
        (None, Some(resource)) => validate_resource(errors, &at.child("resourceFieldRef"), resource, true),
        (None, None) => {
            errors.push(FieldError::required(
                at,
                "one of fieldRef and resourceFieldRef is required",
            ));
        }
    }
    check::file_mode(errors, &at.child("mode"), file.mode);
}

fn validate_projections(errors: &mut FieldErrors, at: &FieldPath, projected: &ProjectedVolumeSource) {
    let mut paths = std::collections::BTreeSet::new();
    let mut once = |errors: &mut FieldErrors, path: &str, shown: &str| {
        if !path.is_empty() && !paths.insert(path.to_owned()) {
            errors.push(FieldError::invalid(at, shown, "conflicting duplicate paths"));
        }
    };
    for (index, source) in projected.sources.iter().flatten().enumerate() {
        let at = at.child("sources").index(index);
        let mut given = 0;
        if let Some(secret) = &source.secret {
            given += 1;
            let at = at.child("secret");
            required(errors, &at.child("name"), &secret.name);
            validate_files(errors, &at, None, secret.items.as_deref());
            secret
                .items
                .iter()
                .flatten()
                .for_each(|item| once(errors, &item.path, &secret.name));
        }
        if let Some(config) = &source.config_map {
            given += 1;
            let at = at.child("configMap");
            required(errors, &at.child("name"), &config.name);
            validate_files(errors, &at, None, config.items.as_deref());
            config
                .items
                .iter()
                .flatten()
                .for_each(|item| once(errors, &item.path, &config.name));
        }
        if let Some(files) = &source.downward_api {
            given += 1;
            for (index, file) in files.items.iter().flatten().enumerate() {
                validate_downward_file(errors, &at.child("downwardAPI").child("items").index(index), file);
                once(errors, &file.path, &file.path);
            }
        }
        if let Some(token) = &source.service_account_token {
            given += 1;
            let at = at.child("serviceAccountToken");
            let seconds = token.expiration_seconds.unwrap_or_default();
            let at_seconds = at.child("expirationSeconds");
            if seconds < 10 * 60 {
                let detail = "may not specify a duration less than 10 minutes";
                errors.push(FieldError::invalid(&at_seconds, seconds, detail));
            } else if seconds > 1 << 32 {
                let detail = "may not specify a duration larger than 2^32 seconds";
                errors.push(FieldError::invalid(&at_seconds, seconds, detail));
            }
            required(errors, &at.child("path"), &token.path);
        }
        if source.cluster_trust_bundle.is_some() {
            given += 1;
        }
        if source.pod_certificate.is_some() {
            given += 1;
        }
        if given > 1 {
            errors.push(FieldError::forbidden(
                &at,
                "may not specify more than 1 volume type per source",
            ));
        } else if given == 0 {
            errors.push(FieldError::required(
                &at,
                "one of the source types must be specified",
            ));
        }
    }
}
