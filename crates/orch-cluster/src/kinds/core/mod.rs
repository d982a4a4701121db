//! The kinds of core/v1 that are stored, and that nothing acts on yet.

mod claim;
mod endpoints;
mod limit_range;
mod pod_template;
mod quota;
mod replication_controller;
mod service;
mod service_account;
mod service_update;
mod volume;
mod volume_source;

#[cfg(test)]
mod bound_tests;
#[cfg(test)]
mod claim_tests;
#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod volume_tests;

use k8s_openapi::api::core::v1::{
    Endpoints, LimitRange, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus, PodTemplate,
    ReplicationController, ReplicationControllerStatus, ResourceQuota, ResourceQuotaStatus, Service,
    ServiceAccount,
};

pub(super) use claim::{default_claim, positive, validate_claim_spec};
pub(super) use endpoints::{PROTOCOLS, reachable};
pub(super) use volume::{default_inline, validate_inline};
pub(super) use volume_source::validate_driver_name;

use super::fields;
use super::table::{BuiltIn, one, status, stored, template_warnings, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            short_names: &["svc"],
            categories: &["all"],
            has_status: true,
            fields: fields::SERVICE,
            prepare_create: without_status,
            prepare_update: service_update::prepare_update,
            default: service::default,
            ..stored::<Service>(
                "service",
                |new| one::<Service>(new, service::validate),
                |new, old| two::<Service>(new, old, service_update::validate_update),
            )
        },
        BuiltIn {
            short_names: &["sa"],
            ..stored::<ServiceAccount>(
                "serviceaccount",
                |new| one::<ServiceAccount>(new, service_account::validate),
                |new, _| one::<ServiceAccount>(new, service_account::validate),
            )
        },
        BuiltIn {
            short_names: &["ep"],
            default: endpoints::default,
            ..stored::<Endpoints>(
                "endpoints",
                |new| one::<Endpoints>(new, endpoints::validate),
                |new, _| one::<Endpoints>(new, endpoints::validate),
            )
        },
        BuiltIn {
            short_names: &["pvc"],
            has_status: true,
            prepare_create: claim::prepare_create,
            default: claim::default,
            validate_status: |new, _| {
                status(new, |new: &PersistentVolumeClaimStatus| {
                    claim::validate_status(new)
                })
            },
            ..stored::<PersistentVolumeClaim>(
                "persistentvolumeclaim",
                |new| one::<PersistentVolumeClaim>(new, claim::validate),
                |new, old| two::<PersistentVolumeClaim>(new, old, claim::validate_update),
            )
        },
        BuiltIn {
            short_names: &["pv"],
            has_status: true,
            fields: fields::PERSISTENT_VOLUME,
            prepare_create: volume::prepare_create,
            default: volume::default,
            ..stored::<PersistentVolume>(
                "persistentvolume",
                |new| one::<PersistentVolume>(new, volume::validate),
                |new, old| two::<PersistentVolume>(new, old, volume::validate_update),
            )
        },
        BuiltIn {
            short_names: &["quota"],
            has_status: true,
            prepare_create: without_status,
            default: quota::default,
            validate_status: |new, _| status(new, |new: &ResourceQuotaStatus| quota::validate_status(new)),
            ..stored::<ResourceQuota>(
                "resourcequota",
                |new| one::<ResourceQuota>(new, quota::validate),
                |new, old| two::<ResourceQuota>(new, old, quota::validate_update),
            )
        },
        BuiltIn {
            short_names: &["limits"],
            default: limit_range::default,
            ..stored::<LimitRange>(
                "limitrange",
                |new| one::<LimitRange>(new, limit_range::validate),
                |new, _| one::<LimitRange>(new, limit_range::validate),
            )
        },
        BuiltIn {
            short_names: &["rc"],
            categories: &["all"],
            has_status: true,
            has_scale: true,
            fields: fields::REPLICA_SET,
            prepare_create: without_status,
            default: replication_controller::default,
            warnings: template_warnings,
            validate_status: |new, _| {
                status(new, |new: &ReplicationControllerStatus| {
                    replication_controller::validate_status(new)
                })
            },
            ..stored::<ReplicationController>(
                "replicationcontroller",
                |new| one::<ReplicationController>(new, replication_controller::validate),
                |new, _| one::<ReplicationController>(new, replication_controller::validate),
            )
        },
        BuiltIn {
            default: pod_template::default,
            warnings: pod_template::warnings,
            ..stored::<PodTemplate>(
                "podtemplate",
                |new| one::<PodTemplate>(new, pod_template::validate),
                |new, _| one::<PodTemplate>(new, pod_template::validate),
            )
        },
    ]
}
