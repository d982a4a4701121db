//! What every cluster must satisfy, whatever goes wrong.

mod availability;
mod bindings;
mod containers;
#[cfg(test)]
mod containers_tests;
mod creations;
mod deletions;
mod deployments;
mod end;
mod evictions;
mod generations;
mod history;
#[cfg(test)]
mod order_tests;
mod peace;
mod removals;
#[cfg(test)]
mod removals_tests;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub use availability::Availability;
pub use bindings::Bindings;
pub use containers::Containers;
pub use creations::Creations;
pub use deletions::Deletions;
pub use deployments::Deployments;
pub use end::{Leftovers, Replicas};
pub use evictions::Evictions;
pub use generations::Generations;
pub use history::History;
pub use peace::Peace;
pub use removals::Removals;

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (!node.is_empty()).then_some(node)
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The uid of the ReplicaSet that a pod belongs to.
fn set_of(pod: &Pod) -> Option<&str> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let set = owners.find(|owner| owner.controller == Some(true) && owner.kind == "ReplicaSet")?;
    Some(&set.uid)
}

/// The uid of the Deployment that a set belongs to.
fn controller_of(set: &ReplicaSet) -> Option<&str> {
    let owners = set.metadata.owner_references.as_ref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// What a Deployment says of how it rolls, if it does.
fn rolling_of(deployment: &Deployment) -> Option<&RollingUpdateDeployment> {
    deployment.spec.strategy.as_ref()?.rolling_update.as_ref()
}

/// A number of `all`, which may be given as a percentage; `up` hundredths are added to what that comes to.
fn share_of(number: &IntOrString, all: i32, up: i32) -> Option<i32> {
    match number {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(share) => {
            let percent: i32 = share.strip_suffix('%')?.parse().ok()?;
            Some((all * percent + up) / 100)
        }
    }
}
