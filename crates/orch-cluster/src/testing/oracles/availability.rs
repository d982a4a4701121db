//! How many pods of a Deployment are available at one time.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::testing::simulation::{Oracle, Written};

use super::{controller_of, node_of, rolling_of, share_of};
use crate::kinds::pod::status::is_ready;

/// As long as nothing goes wrong, no pod that is available is taken from a Deployment that rolls if fewer would be left
/// than its replicas without `maxUnavailable`.
///
/// When machines die there are fewer, and whoever does not know it yet takes one more; so storms are not judged.
pub struct Availability;

impl Oracle for Availability {
    fn name(&self) -> &str {
        "availability"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        if !written.is_calm {
            return Ok(());
        }
        let Some(taken) = written.was::<Pod>().filter(|pod| is_available(pod)) else {
            return Ok(());
        };
        let stays = |pod: Arc<Pod>| pod.metadata.deletion_timestamp.is_none();
        if written.is::<Pod>().is_some_and(stays) || is_evicted(written, &taken) {
            return Ok(());
        }
        let sets = written.state.all::<ReplicaSet>();
        let owned = |pod: &Pod, set: &ReplicaSet| {
            let mut owners = pod.metadata.owner_references.iter().flatten();
            set.metadata.uid.is_some() && owners.any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
        };
        let Some(of) = sets
            .iter()
            .find(|set| owned(&taken, set))
            .and_then(|set| controller_of(set))
        else {
            return Ok(());
        };
        let deployments = written.state.all::<Deployment>();
        let is_it = |deployment: &&Arc<Deployment>| deployment.metadata.uid.as_deref() == Some(of);
        let Some(least) = deployments
            .iter()
            .find(is_it)
            .and_then(|deployment| least_of(deployment))
        else {
            return Ok(());
        };
        let pods = written.state.all::<Pod>();
        let own = |pod: &&Arc<Pod>| {
            let mut own = sets.iter().filter(|set| controller_of(set) == Some(of));
            is_available(pod) && own.any(|set| owned(pod, set))
        };
        let left = pods.iter().filter(own).count();
        if i32::try_from(left).is_ok_and(|left| left < least) {
            return Err(format!(
                "{} was taken: {left} are left, and {least} are to be",
                written.key
            ));
        }
        Ok(())
    }
}

/// Whether its node drives pods away, however many are left.
fn is_evicted(written: &Written<'_>, pod: &Pod) -> bool {
    let nodes = written.state.all::<Node>();
    let node = nodes
        .iter()
        .find(|node| node.metadata.name.as_deref() == node_of(pod));
    let taints = node.and_then(|node| node.spec.as_ref()?.taints.as_ref());
    taints.is_some_and(|taints| taints.iter().any(|taint| taint.effect == "NoExecute"))
}

fn is_available(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && is_ready(pod)
}

/// How many pods are to be available at least; none if nothing can be said now.
fn least_of(deployment: &Deployment) -> Option<i32> {
    let (meta, spec) = (&deployment.metadata, &deployment.spec);
    let is_seen = deployment.status.as_ref()?.observed_generation == meta.generation;
    // With `minReadySeconds` a pod is available only some time after it is ready.
    if !is_seen || meta.deletion_timestamp.is_some() || spec.min_ready_seconds.unwrap_or(0) > 0 {
        return None;
    }
    let rolling = rolling_of(deployment)?;
    let replicas = spec.replicas.unwrap_or(1);
    let share = |number: Option<_>, up| number.map_or(Some(0), |number| share_of(number, replicas, up));
    let surge = share(rolling.max_surge.as_ref(), 99)?;
    match share(rolling.max_unavailable.as_ref(), 0)? {
        // One of the two is at least one, or nothing could roll.
        0 if surge == 0 => Some(replicas - 1),
        unavailable => Some(replicas - unavailable),
    }
}
