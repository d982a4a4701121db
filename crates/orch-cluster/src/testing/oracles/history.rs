//! How much of its past a Deployment keeps.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use orch_core::testing::simulation::{Oracle, State};

use super::controller_of;

/// Kubernetes' default `revisionHistoryLimit`.
const LIMIT: i32 = 10;

/// In the end a Deployment that is done has no more empty ReplicaSets than its `revisionHistoryLimit`.
pub struct History;

impl Oracle for History {
    fn name(&self) -> &str {
        "history"
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        let sets = state.all::<ReplicaSet>();
        for deployment in state.all::<Deployment>() {
            let (spec, status) = (&deployment.spec, deployment.status.clone().unwrap_or_default());
            let wanted = spec.replicas.unwrap_or(1);
            let is_done = status.updated_replicas.unwrap_or(0) == wanted
                && status.replicas.unwrap_or(0) == wanted
                && status.available_replicas.unwrap_or(0) == wanted;
            if !is_done || spec.paused == Some(true) {
                continue;
            }
            let empty = sets.iter().filter(|set| {
                set.spec.replicas == Some(0) && controller_of(set) == deployment.metadata.uid.as_deref()
            });
            // The newest is none of the past, though it is empty where no pods are wanted.
            let past = empty.count().saturating_sub(usize::from(wanted == 0));
            let limit = spec.revision_history_limit.unwrap_or(LIMIT);
            if usize::try_from(limit).is_ok_and(|limit| past > limit) {
                return Err(format!(
                    "{:?} keeps {past} empty sets, and its limit is {limit}",
                    deployment.metadata.name
                ));
            }
        }
        Ok(())
    }
}
