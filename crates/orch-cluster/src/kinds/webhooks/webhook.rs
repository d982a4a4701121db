//! What Kubernetes refuses of one webhook.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhook;
use orch_core::object::{FieldError, FieldErrors, FieldPath, names};

use super::reviews::{self, REVIEWS};
use super::{endpoint, rule};
use crate::admission::Conditions;
use crate::kinds::admission::conditions;
use crate::kinds::check;

const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
/// How long a webhook may take, in seconds.
const TIMEOUTS: std::ops::RangeInclusive<i32> = 1..=30;
/// How many segments its name has at least.
const SEGMENTS: usize = 3;

pub(super) fn validate(errors: &mut FieldErrors, at: &FieldPath, webhook: &MutatingWebhook) {
    name(errors, &at.child("name"), &webhook.name);
    for (index, rule) in webhook.rules.iter().flatten().enumerate() {
        rule::validate(errors, &at.child("rules").index(index), rule);
    }
    for (field, value, allowed) in [
        ("failurePolicy", &webhook.failure_policy, ["Fail", "Ignore"]),
        ("matchPolicy", &webhook.match_policy, ["Equivalent", "Exact"]),
        (
            "reinvocationPolicy",
            &webhook.reinvocation_policy,
            ["IfNeeded", "Never"],
        ),
    ] {
        check::optional_one_of(errors, &at.child(field), value.as_deref(), &allowed);
    }
    let effects_at = at.child("sideEffects");
    match &*webhook.side_effects {
        "" => {
            let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
            errors.push(FieldError::required(&effects_at, detail));
        }
        effects => check::optional_one_of(errors, &effects_at, Some(effects), &SIDE_EFFECTS),
    }
    if let Some(seconds) = webhook.timeout_seconds
        && !TIMEOUTS.contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(&at.child("timeoutSeconds"), seconds, detail));
    }
    for (field, selector) in [
        ("namespaceSelector", &webhook.namespace_selector),
        ("objectSelector", &webhook.object_selector),
    ] {
        check::label_selector(errors, &at.child(field), selector.as_ref());
    }
    endpoint::validate(errors, &at.child("clientConfig"), &webhook.client_config);
    let conditions_at = at.child("matchConditions");
    let written = webhook.match_conditions.as_deref().unwrap_or_default();
    conditions::validate(errors, &conditions_at, written);
    let read = Conditions::read(written, false, &conditions_at);
    errors.extend(read.err().into_iter().flatten());
    reviews::validate(
        errors,
        &at.child("admissionReviewVersions"),
        &webhook.admission_review_versions,
        &format!("must specify one of {}", REVIEWS.join(", ")),
    );
}

fn name(errors: &mut FieldErrors, at: &FieldPath, name: &str) {
    check::required_name(errors, at, name, |name| {
        let wrong = names::dns_subdomain(name);
        if wrong.is_empty() && name.split('.').count() < SEGMENTS {
            return vec!["should be a domain with at least three segments separated by dots".to_owned()];
        }
        wrong
    });
}
