//! The kinds of core/v1 that are stored, and that nothing acts on yet.

mod claim;
mod endpoints;
mod service;
mod service_account;

#[cfg(test)]
mod tests;

use k8s_openapi::api::core::v1::{
    Endpoints, PersistentVolumeClaim, PersistentVolumeClaimStatus, Service, ServiceAccount,
};

pub(super) use claim::{default_claim, validate_claim_spec};
pub(super) use endpoints::{PROTOCOLS, reachable};

use super::fields;
use super::table::{BuiltIn, one, status, stored, two, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            short_names: &["svc"],
            categories: &["all"],
            has_status: true,
            fields: fields::SERVICE,
            prepare_create: without_status,
            default: service::default,
            ..stored::<Service>(
                "service",
                |new| one::<Service>(new, service::validate),
                |new, old| two::<Service>(new, old, service::validate_update),
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
    ]
}
