//! What Kubernetes refuses of the versions of a review that a webhook understands.

use std::collections::HashSet;

use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use crate::kinds::check;

/// The versions of `AdmissionReview` and `ConversionReview` that Kubernetes knows.
pub(crate) const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// Validates the versions; `missing` is what is said if there are none.
pub(in crate::kinds) fn validate(
    errors: &mut FieldErrors,
    at: &FieldPath,
    versions: &[String],
    missing: &str,
) {
    if versions.is_empty() {
        errors.push(FieldError::required(at, missing));
        return;
    }
    let mut seen = HashSet::new();
    for (index, version) in versions.iter().enumerate() {
        let at = at.index(index);
        if seen.insert(version) {
            check::format(errors, &at, version, names::dns1035_label(version));
        } else {
            errors.push(FieldError::invalid(&at, version, "duplicate version"));
        }
    }
    if !versions.iter().any(|version| REVIEWS.contains(&version.as_str())) {
        let detail = format!("must include at least one of {}", REVIEWS.join(", "));
        errors.push(FieldError::invalid(at, versions, detail));
    }
}
