//! How many pods a Deployment has at one time.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use orch_core::testing::simulation::{Oracle, Written};

use super::{controller_of, rolling_of, share_of};

/// A Deployment never asks more of its ReplicaSets together than its replicas and its surge. That they ask for more when it
/// has been given fewer is not its doing, and lasts until it has asked for less.
#[derive(Default)]
pub struct Deployments {
    /// The most that each, by uid, allowed since its controller has seen all of its spec.
    allowed: BTreeMap<String, i32>,
}

impl Oracle for Deployments {
    fn name(&self) -> &str {
        "surge"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        if let Some(deployment) = written.is::<Deployment>() {
            let (Some(uid), Some(most)) = (deployment.metadata.uid.clone(), most_of(&deployment)) else {
                return Ok(());
            };
            let seen = deployment
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            let before = self.allowed.entry(uid).or_insert(most);
            // Of one that is being deleted its controller says only that it has seen it.
            let is_followed = deployment.metadata.deletion_timestamp.is_none();
            *before = if is_followed && seen == deployment.metadata.generation {
                most
            } else {
                most.max(*before)
            };
            return Ok(());
        }
        let Some(set) = written.is::<ReplicaSet>() else {
            return Ok(());
        };
        let Some(owner) = controller_of(&set) else {
            return Ok(());
        };
        let before = written.was::<ReplicaSet>().and_then(|set| set.spec.replicas);
        if set.spec.replicas <= before {
            return Ok(());
        }
        let sets = written.state.all::<ReplicaSet>();
        let asked: i32 = sets
            .iter()
            .filter(|set| controller_of(set) == Some(owner))
            .filter_map(|set| set.spec.replicas)
            .sum();
        match self.allowed.get(owner) {
            Some(allowed) if asked > *allowed => Err(format!(
                "the sets of {} ask for {asked} pods, and {allowed} are allowed",
                written.key
            )),
            _ => Ok(()),
        }
    }
}

/// How many pods a Deployment allows at one time.
fn most_of(deployment: &Deployment) -> Option<i32> {
    let replicas = deployment.spec.replicas.unwrap_or(1);
    let surge = rolling_of(deployment).and_then(|rolling| rolling.max_surge.as_ref());
    Some(replicas + surge.map_or(Some(0), |surge| share_of(surge, replicas, 99))?)
}
