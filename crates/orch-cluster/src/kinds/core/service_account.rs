//! ServiceAccounts: what Kubernetes refuses of them, which is bad metadata alone.

use k8s_openapi::api::core::v1::ServiceAccount;
use orch_core::object::FieldErrors;

use crate::kinds::meta::{self, NameRule};

pub(super) fn validate(account: &ServiceAccount) -> FieldErrors {
    meta::validate(&account.metadata, true, NameRule::Subdomain)
}
