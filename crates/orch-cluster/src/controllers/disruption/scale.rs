//! How many pods there are to be of those that a budget is of: as many as their controllers are to have.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::controllers::pod_view::PodView;

/// What the controllers of the pods come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) pods: i32,
    /// Whether some of the pods have no controller, and so count for nothing.
    pub(super) is_partial: bool,
}

/// Adds up the replicas of the Deployments, and of the ReplicaSets of none, that the pods are of.
///
/// # Errors
///
/// Name a pod whose controller is neither.
pub(super) fn scale(
    pods: &[Arc<PodView>],
    sets: &[Arc<ReplicaSet>],
    deployments: &[Arc<Deployment>],
) -> Result<Scale, String> {
    let mut controllers: BTreeMap<&str, &PodView> = BTreeMap::new();
    let mut is_partial = false;
    for pod in pods {
        match &pod.controller_uid {
            Some(uid) => drop(controllers.insert(uid, pod)),
            None => is_partial = true,
        }
    }
    let mut replicas = BTreeMap::new();
    for (uid, pod) in controllers {
        let set = sets.iter().find(|set| set.metadata.uid.as_deref() == Some(uid));
        let found = set.and_then(|set| match deployment_of(set) {
            None => Some((uid, set.spec.replicas)),
            Some(owner) => {
                let of = |deployment: &&Arc<Deployment>| deployment.metadata.uid.as_ref() == Some(&owner.uid);
                let deployment = deployments.iter().find(of)?;
                Some((owner.uid.as_str(), deployment.spec.replicas))
            }
        });
        let Some((uid, count)) = found else {
            return Err(format!("found no controllers for pod {:?}", pod.name));
        };
        replicas.insert(uid, count.unwrap_or(1));
    }
    let pods = replicas.into_values().fold(0, i32::saturating_add);
    Ok(Scale { pods, is_partial })
}

fn deployment_of(set: &ReplicaSet) -> Option<&OwnerReference> {
    let mut owners = set.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    (owner.kind == "Deployment").then_some(owner)
}
