//! Writes what is reckoned.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{Object, ObjectKey};
use orch_core::random::Random;
use orch_core::time;

use super::scale::{Scale, scale};
use super::status::{failed, reckon};
use crate::controllers::caches::{Caches, NAMESPACE};
use crate::controllers::pod_view::PodView;
use crate::disruption::budget::selector;
use crate::events::{Recorder, reference};

/// How many budgets are looked at at once.
const CONCURRENCY: usize = 4;

/// Has each budget's status say how many of its pods may go now.
///
/// The status is written on the version of the budget that it was reckoned for: an eviction that lowers it meanwhile is
/// never undone.
struct DisruptionController {
    budgets: Cache<PodDisruptionBudget>,
    pods: Cache<PodView>,
    sets: Cache<ReplicaSet>,
    deployments: Cache<Deployment>,
    recorder: Recorder,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    let controller = DisruptionController {
        budgets: caches.budgets.clone(),
        pods: caches.pods.clone(),
        sets: caches.replica_sets.clone(),
        deployments: caches.deployments.clone(),
        recorder: Recorder::new(client.clone(), "controllermanager", ""),
    };
    let [of_pods, of_sets, of_deployments] = [(); 3].map(|()| caches.budgets.clone());
    Engine::new(controller, client)
        .random(random)
        .cache(caches.budgets.clone())
        .watches(&caches.pods, move |change| of_pod(&of_pods, change))
        .watches(&caches.replica_sets, move |change| {
            let size = |set: &ReplicaSet| (set.spec.replicas, set.metadata.owner_references.clone());
            of_resized(&of_sets, change, size)
        })
        .watches(&caches.deployments, move |change| {
            of_resized(&of_deployments, change, |deployment| deployment.spec.replicas)
        })
        .concurrency(CONCURRENCY)
        .start()
}

/// The budgets that a pod is or was of, unless nothing has changed that they look at.
fn of_pod(budgets: &Cache<PodDisruptionBudget>, change: &Change<'_, PodView>) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (change.old, change.new)
        && old.counts_like(new)
    {
        return Vec::new();
    }
    let all = budgets.by_index(NAMESPACE, change.key.namespace().unwrap_or_default());
    let is_of = |budget: &&Arc<PodDisruptionBudget>| {
        let pods = [change.old, change.new].into_iter().flatten();
        selector(budget).is_some_and(|selector| pods.into_iter().any(|pod| selector.matches(&pod.labels)))
    };
    all.iter().filter(is_of).map(|budget| budget.key()).collect()
}

/// The budgets of the namespace of what is to have another number of pods now.
fn of_resized<K, S: PartialEq>(
    budgets: &Cache<PodDisruptionBudget>,
    change: &Change<'_, K>,
    size: impl Fn(&K) -> S,
) -> Vec<ObjectKey> {
    if change.old.map(|old| size(old)) == change.new.map(|new| size(new)) {
        return Vec::new();
    }
    budgets.keys_by_index(NAMESPACE, change.key.namespace().unwrap_or_default())
}

#[async_trait]
impl Controller for DisruptionController {
    type Object = PodDisruptionBudget;

    async fn reconcile(
        &self,
        budget: Arc<PodDisruptionBudget>,
        cx: &Context,
    ) -> Result<Action, ReconcileError> {
        let key = budget.key();
        let namespace = key.namespace().unwrap_or_default();
        let (pods, now) = (self.selected(&budget), time::now());
        let reckoned = reckon(&budget, &pods, || self.scale(namespace, &pods), now);
        let (status, again_in) = match reckoned {
            Ok(reckoned) => {
                for pod in &reckoned.left {
                    let message = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
                    self.recorder.warning(&pod.reference(), "NotDeleted", message);
                }
                if reckoned.is_partial && budget.status.as_ref() != Some(&reckoned.status) {
                    self.tell_partial(&budget);
                }
                (reckoned.status, reckoned.again_in)
            }
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                let about = reference(&*budget);
                self.recorder
                    .warning(&about, "CalculateExpectedPodCountFailed", message);
                (failed(&budget, why, now), None)
            }
        };
        self.write(&budget, &status, cx.client()).await?;
        Ok(again_in.map_or(Action::done(), Action::requeue_after))
    }
}

impl DisruptionController {
    fn selected(&self, budget: &PodDisruptionBudget) -> Vec<Arc<PodView>> {
        let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
        let Some(selector) = selector(budget) else {
            return Vec::new();
        };
        let mut pods = self.pods.by_index(NAMESPACE, namespace);
        pods.retain(|pod| selector.matches(&pod.labels));
        pods
    }

    fn scale(&self, namespace: &str, pods: &[Arc<PodView>]) -> Result<Scale, String> {
        let sets = self.sets.by_index(NAMESPACE, namespace);
        let deployments = self.deployments.by_index(NAMESPACE, namespace);
        scale(pods, &sets, &deployments)
    }

    fn tell_partial(&self, budget: &PodDisruptionBudget) {
        let message = "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB cannot be \
                       calculated correctly, which may result in undefined behavior. To account for these pods please set \
                       \".spec.minAvailable\" field of the PDB to an integer value.";
        self.recorder
            .warning(&reference(budget), "UnmanagedPods", message.to_owned());
    }

    /// Writes the status if it differs, unless the budget was written since it was read: that leads here again.
    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: &PodDisruptionBudgetStatus,
        client: &Client,
    ) -> Result<(), ApiError> {
        if budget.status.as_ref() == Some(status) {
            return Ok(());
        }
        let namespace = budget.metadata.namespace.as_deref().unwrap_or_default();
        let api = client.api::<PodDisruptionBudget>(namespace);
        match api.put_status_of(budget, status).await {
            Ok(written) => {
                // The next reconcile compares with what this one wrote.
                self.budgets.wait_for(written.document.revision()).await;
                Ok(())
            }
            Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
