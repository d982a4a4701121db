//! CertificateSigningRequests as they are made: what their writer may not write, and what Kubernetes refuses of them.

use std::collections::BTreeSet;

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::pem;
use crate::kinds::check;
use crate::kinds::meta::{self, NameRule};
use crate::kinds::raw::{Raw, child_mut, keep};

/// What a certificate may be used for.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The signer of requests that older versions did not say the signer of.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// How long a domain may be.
const DOMAIN_LIMIT: usize = 253;
/// How long the name of a signer may be: a domain, and after a slash a namespace and a name with a dot between.
const SIGNER_LIMIT: usize = DOMAIN_LIMIT + 1 + 63 + 1 + DOMAIN_LIMIT;
/// How many seconds a certificate is good for at least.
const LEAST_SECONDS: i32 = 600;

/// Nobody says who asks, or that it is approved. Who asks is the server's to say, which knows no users apart here, so it stays
/// unsaid.
pub(super) fn prepare_create(request: &mut Raw) {
    request.remove("status");
    if let Some(spec) = child_mut(request, "spec") {
        for field in ["username", "uid", "groups", "extra"] {
            spec.remove(field);
        }
    }
}

/// Keeps what was asked for: another request is made for another certificate.
pub(super) fn prepare_update(new: &mut Raw, old: &Raw) {
    keep(new, old, "spec");
}

/// Validates a request, in all but its signature: who signs certificates checks that it is by the key that they are for.
pub(super) fn validate(request: &CertificateSigningRequest) -> FieldErrors {
    // Kubernetes minds its name no more than that it has a place in a path.
    let mut errors = meta::validate(&request.metadata, false, NameRule::PathSegment);
    let at = FieldPath::new("spec");
    let spec = &request.spec;
    if let Err(wrong) = pem::check_request(&spec.request.0) {
        errors.push(FieldError::invalid(&at.child("request"), &spec.request, wrong));
    }
    validate_usages(&mut errors, &at.child("usages"), spec);
    validate_signer(&mut errors, &at.child("signerName"), &spec.signer_name);
    if let Some(seconds) = spec.expiration_seconds
        && seconds < LEAST_SECONDS
    {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(
            &at.child("expirationSeconds"),
            seconds,
            detail,
        ));
    }
    errors
}

fn validate_usages(errors: &mut FieldErrors, at: &FieldPath, spec: &CertificateSigningRequestSpec) {
    let usages = spec.usages.as_deref().unwrap_or_default();
    if usages.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    let mut seen = BTreeSet::new();
    for (index, usage) in usages.iter().enumerate() {
        let at = at.index(index);
        check::optional_one_of(errors, &at, Some(usage), &USAGES);
        if !seen.insert(usage) {
            errors.push(FieldError::duplicate(&at, usage));
        }
    }
}

/// A signer is named by a domain and a path: `example.com/signer-name`.
fn validate_signer(errors: &mut FieldErrors, at: &FieldPath, signer: &str) {
    if signer == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(at, signer, detail));
        return;
    }
    if signer.is_empty() {
        errors.push(FieldError::required(at, ""));
        return;
    }
    let parts = signer.split_once('/').filter(|(_, path)| !path.contains('/'));
    let Some((domain, path)) = parts else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(at, signer, detail));
        return;
    };
    if domain.len() > DOMAIN_LIMIT {
        errors.push(FieldError::too_long(at, DOMAIN_LIMIT));
    }
    validate_labels(errors, at, domain, names::dns_label);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(at, domain, detail));
    }
    validate_labels(errors, at, path, names::dns_subdomain);
    if signer.len() > SIGNER_LIMIT {
        errors.push(FieldError::too_long(at, SIGNER_LIMIT));
    }
}

/// Says what is wrong with the first label that is: of several the faults would look alike.
fn validate_labels(errors: &mut FieldErrors, at: &FieldPath, joined: &str, rule: fn(&str) -> Vec<String>) {
    let faults = joined.split('.').map(|label| (label, rule(label)));
    if let Some((label, faults)) = faults.into_iter().find(|(_, faults)| !faults.is_empty()) {
        let faults = faults
            .into_iter()
            .map(|fault| format!("validating label {label:?}: {fault}"));
        check::format(errors, at, joined, faults.collect());
    }
}
