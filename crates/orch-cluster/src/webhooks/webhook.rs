//! One webhook as it is configured: where it is, and what it is asked about.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, WebhookClientConfig};
use orch_core::client::Operation;
use orch_core::object::{ApiResource, FieldErrors, FieldPath};

use crate::admission::{self, Conditions, Labels};

/// A webhook, mutating or validating.
#[derive(Debug)]
pub(super) struct Webhook {
    spec: MutatingWebhook,
    /// What it is asked about, by labels.
    pub(super) labels: Labels,
    /// What must be true of it beside.
    pub(super) conditions: Conditions,
}

impl Webhook {
    /// # Errors
    ///
    /// What is wrong with its conditions.
    pub(super) fn new(spec: MutatingWebhook) -> Result<Self, FieldErrors> {
        let conditions = spec.match_conditions.as_deref().unwrap_or_default();
        let conditions = Conditions::read(conditions, false, &FieldPath::new("matchConditions"))?;
        Ok(Self {
            labels: Labels::new(spec.namespace_selector.as_ref(), spec.object_selector.as_ref()),
            conditions,
            spec,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(super) fn endpoint(&self) -> &WebhookClientConfig {
        &self.spec.client_config
    }

    pub(super) fn timeout(&self) -> Duration {
        let seconds = self
            .spec
            .timeout_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Duration::from_secs(seconds.unwrap_or(10))
    }

    pub(super) fn ignores_failures(&self) -> bool {
        self.spec.failure_policy.as_deref() == Some("Ignore")
    }

    pub(super) fn is_asked_again(&self) -> bool {
        self.spec.reinvocation_policy.as_deref() == Some("IfNeeded")
    }

    /// Whether asking it changes nothing where nothing is to be written.
    pub(super) fn takes_dry_runs(&self) -> bool {
        matches!(&*self.spec.side_effects, "None" | "NoneOnDryRun")
    }

    /// The first version of `AdmissionReview` that it and Kubernetes know.
    pub(super) fn review(&self) -> Option<&str> {
        let versions = self.spec.admission_review_versions.iter().map(String::as_str);
        versions
            .into_iter()
            .find(|version| matches!(*version, "v1" | "v1beta1"))
    }

    /// Whether one of its rules is of such writes.
    pub(super) fn has_rule_for(&self, resource: &ApiResource, operation: Operation) -> bool {
        let mut rules = self.spec.rules.iter().flatten();
        let equivalents = admission::takes_equivalents(self.spec.match_policy.as_deref());
        rules.any(|rule| admission::is_for(rule, equivalents, resource, operation))
    }
}
