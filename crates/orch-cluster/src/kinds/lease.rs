//! Leases: what Kubernetes refuses of them.

use k8s_openapi::api::coordination::v1::Lease;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::meta::{self, NameRule};

/// Validates a Lease.
pub fn validate(lease: &Lease) -> FieldErrors {
    let mut errors = meta::validate(&lease.metadata, true, NameRule::Subdomain);
    let Some(spec) = &lease.spec else { return errors };
    let at = FieldPath::new("spec");
    if let Some(seconds) = spec.lease_duration_seconds
        && seconds <= 0
    {
        errors.push(FieldError::invalid(
            &at.child("leaseDurationSeconds"),
            seconds,
            "must be greater than 0",
        ));
    }
    if let Some(count) = spec.lease_transitions
        && count < 0
    {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&at.child("leaseTransitions"), count, detail));
    }
    if spec
        .preferred_holder
        .as_deref()
        .is_some_and(|holder| !holder.is_empty())
        && spec.strategy.as_deref().unwrap_or_default().is_empty()
    {
        let detail = "must be specified when preferredHolder is specified";
        errors.push(FieldError::required(&at.child("strategy"), detail));
    }
    errors
}
