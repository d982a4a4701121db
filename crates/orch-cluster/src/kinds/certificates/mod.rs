//! The kind of certificates.k8s.io/v1, which nothing acts on yet: requests for certificates, which somebody approves or denies.

mod approval;
mod pem;
mod request;

#[cfg(test)]
mod approval_tests;
#[cfg(test)]
mod tests;

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestStatus};

use super::fields;
use super::table::{BuiltIn, one, status, stored};

pub(super) use pem::check_certificates;

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![BuiltIn {
        short_names: &["csr"],
        has_status: true,
        fields: fields::CERTIFICATE_REQUEST,
        subresources: &[("approval", approval::approve)],
        prepare_create: request::prepare_create,
        prepare_update: request::prepare_update,
        validate_status: |new, old| {
            status(new, |new: &CertificateSigningRequestStatus| {
                approval::validate_status(new, old)
            })
        },
        ..stored::<CertificateSigningRequest>(
            "certificatesigningrequest",
            |new| one::<CertificateSigningRequest>(new, request::validate),
            |new, _| one::<CertificateSigningRequest>(new, request::validate),
        )
    }]
}
