//! What every cluster must satisfy, whatever goes wrong.

mod bindings;
mod deployments;
mod end;
mod generations;
mod history;
mod peace;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

pub use bindings::Bindings;
pub use deployments::Deployments;
pub use end::{Leftovers, Replicas};
pub use generations::Generations;
pub use history::History;
pub use peace::Peace;

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (!node.is_empty()).then_some(node)
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The uid of the Deployment that a set belongs to.
fn controller_of(set: &ReplicaSet) -> Option<&str> {
    let owners = set.metadata.owner_references.as_ref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}
