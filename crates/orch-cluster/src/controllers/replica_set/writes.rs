//! The writes that carry a ReplicaSet's plan out.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::ObjectReference;
use orch_core::client::{ApiError, Client, Collection, DeleteParams, Target, WriteParams};
use orch_core::object::{ObjectKey, RawObject};
use orch_core::store::Revision;
use orch_core::time;

use super::pods::{owner_reference, pod_of};
use super::reconcile::ReplicaSetController;
use super::{Failure, Plan, victims};
use crate::controllers::caches::CONTROLLER;
use crate::controllers::claim::Claimable;
use crate::controllers::owners::{GOING, Owned, may_adopt};
use crate::controllers::pod_view::PodView;
use crate::events::{Recorder, reference};

/// How many creates or deletes of one set are under way at once.
const IN_FLIGHT: usize = 128;

const FAILED_CREATE: &str = "FailedCreate";

/// The writes of one reconcile.
pub(super) struct Work<'a> {
    pub(super) controller: &'a ReplicaSetController,
    pub(super) client: &'a Client,
    pub(super) set: &'a ReplicaSet,
    pub(super) namespace: &'a str,
}

impl Work<'_> {
    /// Does what the plan says; `newest` becomes the revision of the last write, failed or not. False: it was not as the plan
    /// has it, which counts pods that are no longer to be had, so that neither more nor fewer were made.
    pub(super) async fn carry_out(&self, plan: &Plan, newest: &mut Revision) -> Result<bool, Failure> {
        if !plan.adopt.is_empty() {
            let may = may_adopt(self.client, self.set).await;
            if !may.map_err(failed(FAILED_CREATE))? {
                return Err(Failure {
                    reason: FAILED_CREATE,
                    message: GOING.to_owned(),
                });
            }
        }
        let owner = owner_reference(self.set);
        let mut has_all = true;
        for pod in &plan.adopt {
            let adopted = self.owned(pod).adopt(&owner).await;
            let adopted = adopted.map_err(failed(FAILED_CREATE))?;
            has_all &= adopted.is_some();
            *newest = (*newest).max(adopted.unwrap_or_default());
        }
        for pod in &plan.release {
            let released = self.owned(pod).release(std::slice::from_ref(&owner.uid)).await;
            *newest = (*newest).max(released.map_err(failed(FAILED_CREATE))?.unwrap_or_default());
        }
        if !has_all {
            return Ok(false);
        }
        if plan.create > 0 {
            self.create(plan.create, newest)
                .await
                .map_err(failed(FAILED_CREATE))?;
        }
        if plan.delete > 0 {
            let siblings = self.siblings(plan);
            let victims = victims(&plan.claimed, &siblings, plan.delete, time::now());
            self.delete(&victims, newest)
                .await
                .map_err(failed("FailedDelete"))?;
        }
        Ok(true)
    }

    fn owned<'p>(&'p self, pod: &'p PodView) -> Owned<'p> {
        Owned {
            client: self.client,
            resource: &self.controller.pod_resource,
            namespace: self.namespace,
            name: &pod.name,
            uid: &pod.uid,
        }
    }

    fn news(&self) -> News {
        News {
            recorder: self.controller.recorder.clone(),
            about: reference(self.set),
        }
    }

    /// The pods of all sets that our controller controls.
    fn siblings(&self, plan: &Plan) -> Vec<Arc<PodView>> {
        let Some(owner) = self.set.controller_uid() else {
            return plan.claimed.clone();
        };
        let sets = self.controller.sets.by_index(CONTROLLER, owner);
        let uids = sets.iter().filter_map(|set| set.metadata.uid.as_deref());
        uids.flat_map(|uid| self.controller.pods.by_index(CONTROLLER, uid))
            .collect()
    }

    /// Creates pods, many at once, and no further ones after a first failure.
    async fn create(&self, count: usize, newest: &mut Revision) -> Result<(), ApiError> {
        let pod = pod_of(self.set);
        let collection = Collection {
            resource: Arc::clone(&self.controller.pod_resource),
            namespace: Some(self.namespace.to_owned()),
        };
        // Twice as many with each round that succeeds, as Kubernetes does: where every create fails, for want
        // of quota say, few are tried.
        let (mut left, mut round) = (count, 16);
        while left > 0 {
            let batch = left.min(round);
            let mut writes = Vec::with_capacity(batch);
            for _ in 0..batch {
                let news = self.news();
                writes.push(create_pod(
                    self.client.clone(),
                    collection.clone(),
                    pod.clone(),
                    news,
                ));
            }
            gather(writes, newest).await?;
            left -= batch;
            round = round.saturating_mul(2);
        }
        Ok(())
    }

    async fn delete(&self, victims: &[Arc<PodView>], newest: &mut Revision) -> Result<(), ApiError> {
        let mut writes = Vec::with_capacity(victims.len());
        for pod in victims {
            let target = Target {
                resource: Arc::clone(&self.controller.pod_resource),
                key: ObjectKey::new(Some(self.namespace), &pod.name),
            };
            writes.push(delete_pod(
                self.client.clone(),
                target,
                pod.uid.to_string(),
                self.news(),
            ));
        }
        gather(writes, newest).await
    }
}

/// Tells people about a set.
struct News {
    recorder: Recorder,
    about: ObjectReference,
}

async fn create_pod(
    client: Client,
    collection: Collection,
    pod: RawObject,
    news: News,
) -> Result<Revision, ApiError> {
    let params = WriteParams::default();
    match client.backend().create(&collection, pod, &params).await {
        Ok(made) => {
            let message = format!("Created pod: {}", made.document.meta().name);
            news.recorder.normal(&news.about, "SuccessfulCreate", message);
            Ok(made.document.revision())
        }
        Err(error) => {
            news.recorder
                .warning(&news.about, FAILED_CREATE, format!("Error creating: {error}"));
            Err(error)
        }
    }
}

async fn delete_pod(client: Client, target: Target, uid: String, news: News) -> Result<Revision, ApiError> {
    let params = DeleteParams::default().uid(uid);
    let name = target.key.name();
    match client.backend().delete(&target, &params).await {
        Ok(deleted) => {
            news.recorder
                .normal(&news.about, "SuccessfulDelete", format!("Deleted pod: {name}"));
            Ok(deleted.document().revision())
        }
        // Gone already, or another pod has its name: the view will show it.
        Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(Revision::ZERO),
        Err(error) => {
            let message = format!("Error deleting {name}: {error}");
            news.recorder.warning(&news.about, "FailedDelete", message);
            Err(error)
        }
    }
}

/// Awaits all writes; the first error, if there was one, and the newest revision in any case.
async fn gather(
    writes: Vec<impl Future<Output = Result<Revision, ApiError>>>,
    newest: &mut Revision,
) -> Result<(), ApiError> {
    let mut outcome = Ok(());
    let mut writes = stream::iter(writes).buffer_unordered(IN_FLIGHT);
    while let Some(write) = writes.next().await {
        match write {
            Ok(revision) => *newest = (*newest).max(revision),
            Err(error) if outcome.is_ok() => outcome = Err(error),
            Err(_) => {}
        }
    }
    outcome
}

fn failed(reason: &'static str) -> impl Fn(ApiError) -> Failure {
    move |error| Failure {
        reason,
        message: error.to_string(),
    }
}
