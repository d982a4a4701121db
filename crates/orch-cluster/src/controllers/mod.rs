//! Controllers: what moves the cluster from what is to what is wanted.
//!
//! Each decides in a pure function and applies in a thin loop. [`Controllers`] runs them all.

mod caches;
mod claim;
mod definition;
mod deployment;
mod disruption;
#[cfg(test)]
pub(crate) mod distant;
mod empty;
mod garbage;
mod manager;
mod namespace;
mod node_lifecycle;
mod owners;
pub(crate) mod pod_condition;
mod pod_gc;
pub(crate) mod pod_view;
mod replica_set;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as k8s;
use orch_core::object::{FieldErrors, LabelSelector, LabelSelectorRequirement, Selector};

pub use deployment::{RollbackError, RollbackTo, max_unavailable, rollback_to};
pub use manager::{Controllers, RunningControllers};
pub use namespace::{NamespaceLifecycle, PROTECTED, ensure_namespaces};
pub(crate) use pod_view::{part, pod_reference};

/// Labels or annotations as Kubernetes keeps them.
pub(crate) type Labels = std::collections::BTreeMap<String, String>;

/// A workload's `spec.selector` in the form to evaluate.
pub(crate) fn selector_of(from: &k8s::LabelSelector) -> Result<Selector, FieldErrors> {
    let expressions = from.match_expressions.iter().flatten();
    let selector = LabelSelector {
        match_labels: from.match_labels.clone().unwrap_or_default(),
        match_expressions: expressions
            .map(|expression| LabelSelectorRequirement {
                key: expression.key.clone(),
                operator: expression.operator.clone(),
                values: expression.values.clone().unwrap_or_default(),
            })
            .collect(),
    };
    selector.to_selector()
}
