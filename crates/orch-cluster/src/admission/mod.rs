//! What admission webhooks and policies share: which writes they are about, and how expressions see a write.
//!
//! Sources: Kubernetes' `k8s.io/apiserver/pkg/admission/plugin/{webhook,policy,cel}`.

mod conditions;
mod labels;
mod names;
mod resources;
mod stored;
mod told;

use orch_core::client::{AdmissionRequest, ApiError, ErrorSubject};

pub(crate) use conditions::Conditions;
pub(crate) use labels::{Home, Labels};
pub(crate) use names::{Names, value};
pub(crate) use resources::{Resources, is_for, takes_equivalents, unnamed, word};
pub(crate) use stored::Stored;
pub(crate) use told::{Told, facts};

/// The group of the configurations of webhooks, and of policies: neither is asked about them, or one that refuses everything
/// could never be taken away.
pub(crate) const GROUP: &str = "admissionregistration.k8s.io";

/// Kubernetes' error for what is not the writer's fault.
pub(crate) fn internal(why: &str) -> ApiError {
    ApiError::Denied {
        code: 500,
        reason: "InternalError".to_owned(),
        message: format!("Internal error occurred: {why}"),
    }
}

/// The object that is written.
pub(crate) fn subject(request: &AdmissionRequest<'_>) -> ErrorSubject {
    ErrorSubject {
        resource: Box::new(request.resource.clone()),
        key: request.key.clone(),
    }
}
