//! Policies of admission, which judge objects by expressions in CEL, and the bindings that turn them on.
//!
//! Sources: Kubernetes' `pkg/apis/admissionregistration/v1/defaults.go` and `validation/validation.go`.

pub(super) mod conditions;
mod matching;
mod policy;
mod policy_binding;
#[cfg(test)]
mod tests;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use super::table::{BuiltIn, one, stored, without_status};

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            categories: &["api-extensions"],
            has_status: true,
            is_acted_on: true,
            prepare_create: without_status,
            default: policy::default,
            ..stored::<ValidatingAdmissionPolicy>(
                "validatingadmissionpolicy",
                |new| one::<ValidatingAdmissionPolicy>(new, policy::validate),
                |new, _| one::<ValidatingAdmissionPolicy>(new, policy::validate),
            )
        },
        BuiltIn {
            categories: &["api-extensions"],
            is_acted_on: true,
            default: policy_binding::default,
            ..stored::<ValidatingAdmissionPolicyBinding>(
                "validatingadmissionpolicybinding",
                |new| one::<ValidatingAdmissionPolicyBinding>(new, policy_binding::validate),
                |new, _| one::<ValidatingAdmissionPolicyBinding>(new, policy_binding::validate),
            )
        },
    ]
}
