//! Configurations of webhooks, which are asked before an object is written: their defaults, and what Kubernetes refuses of them.
//!
//! Sources: Kubernetes' `pkg/apis/admissionregistration/v1/defaults.go` and `validation/validation.go`.

pub(super) mod endpoint;
pub(super) mod reviews;
pub(super) mod rule;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::HashSet;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook, ValidatingWebhookConfiguration,
};
use orch_core::object::{FieldError, FieldErrors, FieldPath};
use serde_json::json;

use super::meta::{self, NameRule};
use super::raw::{Raw, child_mut, default_value, items_mut};
use super::table::{BuiltIn, one, stored};

pub(crate) use endpoint::as_of_admission;
pub(crate) use reviews::REVIEWS;

pub(super) fn rows() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            categories: &["api-extensions"],
            is_acted_on: true,
            default: default_mutating,
            warnings: rule::warnings,
            ..stored::<MutatingWebhookConfiguration>(
                "mutatingwebhookconfiguration",
                |new| one::<MutatingWebhookConfiguration>(new, mutating),
                |new, _| one::<MutatingWebhookConfiguration>(new, mutating),
            )
        },
        BuiltIn {
            categories: &["api-extensions"],
            is_acted_on: true,
            default,
            warnings: rule::warnings,
            ..stored::<ValidatingWebhookConfiguration>(
                "validatingwebhookconfiguration",
                |new| one::<ValidatingWebhookConfiguration>(new, validating),
                |new, _| one::<ValidatingWebhookConfiguration>(new, validating),
            )
        },
    ]
}

fn default_mutating(configuration: &mut Raw) {
    for webhook in items_mut(configuration, "webhooks") {
        default_value(webhook, "reinvocationPolicy", "Never");
    }
    default(configuration);
}

fn default(configuration: &mut Raw) {
    for webhook in items_mut(configuration, "webhooks") {
        default_value(webhook, "failurePolicy", "Fail");
        default_value(webhook, "matchPolicy", "Equivalent");
        default_value(webhook, "namespaceSelector", json!({}));
        default_value(webhook, "objectSelector", json!({}));
        default_value(webhook, "timeoutSeconds", 10);
        for rule in items_mut(webhook, "rules") {
            default_value(rule, "scope", "*");
        }
        let client = child_mut(webhook, "clientConfig");
        if let Some(service) = client.and_then(|client| child_mut(client, "service")) {
            default_value(service, "port", 443);
        }
    }
}

fn mutating(configuration: &MutatingWebhookConfiguration) -> FieldErrors {
    let mut errors = meta::validate(&configuration.metadata, false, NameRule::Subdomain);
    webhooks(&mut errors, configuration.webhooks.as_deref().unwrap_or_default());
    errors
}

fn validating(configuration: &ValidatingWebhookConfiguration) -> FieldErrors {
    let mut errors = meta::validate(&configuration.metadata, false, NameRule::Subdomain);
    let all = configuration.webhooks.iter().flatten().cloned();
    webhooks(&mut errors, &all.map(with_reinvocation).collect::<Vec<_>>());
    errors
}

/// A validating webhook as a mutating one, which has a field more.
pub(crate) fn with_reinvocation(webhook: ValidatingWebhook) -> MutatingWebhook {
    MutatingWebhook {
        admission_review_versions: webhook.admission_review_versions,
        client_config: webhook.client_config,
        failure_policy: webhook.failure_policy,
        match_conditions: webhook.match_conditions,
        match_policy: webhook.match_policy,
        name: webhook.name,
        namespace_selector: webhook.namespace_selector,
        object_selector: webhook.object_selector,
        reinvocation_policy: None,
        rules: webhook.rules,
        side_effects: webhook.side_effects,
        timeout_seconds: webhook.timeout_seconds,
    }
}

fn webhooks(errors: &mut FieldErrors, webhooks: &[MutatingWebhook]) {
    let mut names = HashSet::new();
    for (index, webhook) in webhooks.iter().enumerate() {
        let at = FieldPath::new("webhooks").index(index);
        webhook::validate(errors, &at, webhook);
        if !webhook.name.is_empty() && !names.insert(&webhook.name) {
            errors.push(FieldError::duplicate(&at.child("name"), &webhook.name));
        }
    }
}
