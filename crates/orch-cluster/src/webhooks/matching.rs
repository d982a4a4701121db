//! Which writes a webhook is asked about, pure.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, RuleWithOperations, WebhookClientConfig};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_core::client::Operation;
use orch_core::object::{self, ApiResource, Selector};

/// A webhook, mutating or validating.
#[derive(Debug)]
pub(super) struct Webhook {
    spec: MutatingWebhook,
    /// The namespaces whose objects it is asked about.
    pub(super) namespaces: Selector,
    /// The objects that it is asked about.
    pub(super) objects: Selector,
}

impl Webhook {
    pub(super) fn new(spec: MutatingWebhook) -> Self {
        Self {
            namespaces: selector(spec.namespace_selector.as_ref()),
            objects: selector(spec.object_selector.as_ref()),
            spec,
        }
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
        rules.any(|rule| is_for(rule, resource, operation))
    }
}

/// What was validated when it was written; one that is not understood nevertheless selects everything, so that the webhook is asked.
fn selector(selector: Option<&LabelSelector>) -> Selector {
    let selector = selector.map(|selector| object::LabelSelector::from(selector).to_selector());
    selector.and_then(Result::ok).unwrap_or_else(Selector::everything)
}

/// What Kubernetes calls an operation.
pub(super) fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    }
}

fn is_for(rule: &RuleWithOperations, resource: &ApiResource, operation: Operation) -> bool {
    let has = |list: &Option<Vec<String>>, wanted: &str| {
        let mut items = list.iter().flatten();
        items.any(|item| item == "*" || item == wanted)
    };
    // An object as a whole is the empty subresource of itself, which the `*` of `pods/*` takes in.
    let is_resource = |entry: &String| {
        let (plural, subresource) = entry.split_once('/').unwrap_or((entry, ""));
        (plural == "*" || plural == resource.plural) && matches!(subresource, "" | "*")
    };
    let is_in_scope = match rule.scope.as_deref() {
        Some("Cluster") => !resource.is_namespaced(),
        Some("Namespaced") => resource.is_namespaced(),
        _ => true,
    };
    is_in_scope
        && has(&rule.operations, word(operation))
        && has(&rule.api_groups, &resource.group)
        && has(&rule.api_versions, &resource.version)
        && rule.resources.iter().flatten().any(is_resource)
}
