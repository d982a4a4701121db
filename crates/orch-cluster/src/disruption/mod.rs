//! Evictions: pods that are made to go, of which no more at a time than their budget allows.
//!
//! What Kubernetes' API does for `pods/NAME/eviction` (`pkg/registry/core/pod/storage/eviction.go`). The budgets' status, by which it
//! goes, is the work of a controller.

pub(crate) mod budget;
mod decide;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orch_core::client::{ApiError, Client, DeleteParams, Deleted, ListParams, Target};
use orch_core::object::{Document, Object, ObjectKey};
use orch_core::time;

use crate::controllers::pod_condition::{PodCondition, set_pod_condition, set_pod_condition_of};
use crate::controllers::pod_view::PodView;
use decide::{Verdict, decide};

/// How often an eviction is tried against others who write its pod or its budget, as Kubernetes tries it.
const ATTEMPTS: usize = 20;
/// The longest that is waited for the second attempt, and for any.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a pod is not evicted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvictError {
    /// The budget allows no disruption now. It may later: try again in a few seconds.
    #[error("Cannot evict pod as it would violate the pod's disruption budget.")]
    Exhausted {
        /// The budget's name.
        budget: String,
        /// How many healthy pods it needs.
        desired_healthy: i32,
        /// How many there are.
        current_healthy: i32,
    },
    /// The budget or the pod has just changed, and what that means is not known yet. Try again in ten seconds.
    #[error("Cannot evict pod as it would violate the pod's disruption budget.")]
    Processing {
        /// The budget's name.
        budget: String,
    },
    /// More than one budget selects the pod: which counts cannot be said. Change their selectors.
    #[error(
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    )]
    SeveralBudgets,
    /// The budget's status does not permit it.
    #[error("poddisruptionbudget.policy \"{budget}\" is forbidden: {reason}")]
    Forbidden {
        /// The budget's name.
        budget: String,
        /// What is wrong with its status.
        reason: &'static str,
    },
    /// Others wrote the pod or its budget each time that it was tried. Try again.
    #[error("couldn't update PodDisruptionBudget {budget:?} due to conflicts")]
    Busy {
        /// The budget's name; empty of a pod without one.
        budget: String,
    },
    /// The pod could not be read or deleted, or its budgets could not.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Deletes a pod if its PodDisruptionBudget, where it has one, allows it, and lowers what the budget allows by one.
///
/// Pods that have ended, wait for a node or are being deleted go without asking the budget; those that are not ready go
/// if the budget's pods are enough without them, or by its `unhealthyPodEvictionPolicy`. Before it goes a pod gets the
/// condition `DisruptionTarget`.
///
/// The budget is lowered before the pod is deleted: killed between the two, the budget counts the pod as gone for two minutes.
/// Calling it again lowers the budget again, until the pod is being deleted.
///
/// # Errors
///
/// See [`EvictError`]: most mean that it may be tried again.
///
/// ```
/// # use std::sync::Arc;
/// # use k8s_openapi::api::core::v1::Pod;
/// # use orch_cluster::cluster::Cluster;
/// # use orch_core::client::DeleteParams;
/// # use orch_core::object::ObjectKey;
/// # use orch_core::store::MemoryStore;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cluster = Cluster::builder(Arc::new(MemoryStore::new())).start().await?;
/// # let pod = serde_json::json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
/// # let pods = cluster.client().api::<Pod>("default");
/// # pods.create(&serde_json::from_value(pod)?).await?;
/// let web = ObjectKey::new(Some("default"), "web");
/// orch_cluster::disruption::evict(cluster.client(), &web, &DeleteParams::default()).await?;
/// assert!(pods.get_opt("web").await?.is_none());
/// # cluster.stop().await;
/// # Ok(())
/// # }
/// ```
pub async fn evict(client: &Client, pod: &ObjectKey, params: &DeleteParams) -> Result<Deleted, EvictError> {
    let eviction = Eviction {
        client,
        params,
        target: Target {
            resource: Arc::new(Pod::resource()),
            key: pod.clone(),
        },
    };
    let mut budget = String::new();
    for attempt in 0..ATTEMPTS {
        match eviction.attempt().await? {
            Attempt::Done(deleted) => return Ok(deleted),
            Attempt::Overtaken(by) => budget = by.unwrap_or_default(),
        }
        tokio::time::sleep(pause(pod, attempt)).await;
    }
    Err(EvictError::Busy { budget })
}

/// How long to wait for the next attempt, up to a second: pods that are evicted together wait for different times, the same each time.
fn pause(pod: &ObjectKey, attempt: usize) -> Duration {
    let mut hasher = DefaultHasher::new();
    (pod.as_str(), attempt).hash(&mut hasher);
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(8)).min(LONGEST_PAUSE);
    let share = u32::try_from(hasher.finish() % 100).unwrap_or_default() + 1;
    longest * share / 100
}

struct Eviction<'a> {
    client: &'a Client,
    params: &'a DeleteParams,
    target: Target,
}

enum Attempt {
    Done(Deleted),
    /// Somebody wrote the pod, or this budget of it, meanwhile.
    Overtaken(Option<String>),
}

impl Eviction<'_> {
    async fn attempt(&self) -> Result<Attempt, EvictError> {
        let pod = self.client.backend().get(&self.target).await?;
        if !self.is_meant(&pod) {
            // The deletion itself says what differs; the budget has nothing to do with it.
            let deleted = self.client.backend().delete(&self.target, self.params).await?;
            return Ok(Attempt::Done(deleted));
        }
        let view = PodView::new(&pod)
            .map_err(|error| ApiError::BadRequest(format!("pod {}: {error}", self.target.key)))?;
        let budgets = self.client.api::<PodDisruptionBudget>(&view.namespace);
        let all = budgets.list(&ListParams::default()).await?.items;
        match decide(&view, &all, time::now())? {
            Verdict::Delete => Ok(Attempt::Done(self.delete(&pod, false).await?)),
            Verdict::DeleteAsItIs { budget } => match self.delete(&pod, true).await {
                Ok(deleted) => Ok(Attempt::Done(deleted)),
                Err(ApiError::Conflict { .. }) if self.params.resource_version.is_none() => match budget {
                    // It may have become ready.
                    Some(budget) => Err(EvictError::Processing { budget }),
                    None => Ok(Attempt::Overtaken(None)),
                },
                Err(error) => Err(error.into()),
            },
            Verdict::Lower { budget, status } => {
                if !self.params.dry_run {
                    match budgets.put_status_of(budget, &status).await {
                        Err(ApiError::Conflict { .. } | ApiError::NotFound(_)) => {
                            return Ok(Attempt::Overtaken(budget.metadata.name.clone()));
                        }
                        written => written?,
                    };
                }
                Ok(Attempt::Done(self.delete(&pod, false).await?))
            }
        }
    }

    /// Whether the pod is the one that is to go, by its uid and version.
    fn is_meant(&self, pod: &Document) -> bool {
        let (uid, version) = (&self.params.uid, self.params.resource_version);
        uid.as_ref().is_none_or(|uid| *uid == pod.meta().uid)
            && version.is_none_or(|version| version == pod.revision())
    }

    /// Deletes the pod once its status says why: only as it was read, where that is asked for or `as_it_is`.
    async fn delete(&self, pod: &Document, as_it_is: bool) -> Result<Deleted, ApiError> {
        let mut params = self.params.clone();
        let as_it_is = as_it_is || params.resource_version.is_some();
        if as_it_is {
            params.resource_version = Some(pod.revision());
        }
        if !params.dry_run {
            let why = PodCondition {
                type_: "DisruptionTarget",
                status: "True",
                reason: "EvictionByEvictionAPI",
                message: "Eviction API: evicting".to_owned(),
            };
            let uid = &pod.meta().uid;
            if as_it_is {
                let written = set_pod_condition_of(self.client, pod, uid, &why).await?;
                params.resource_version = written.or(params.resource_version);
            } else {
                set_pod_condition(self.client, &self.target.key, uid, &why).await?;
            }
        }
        self.client.backend().delete(&self.target, &params).await
    }
}
