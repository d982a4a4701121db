//! Carries a ReplicaSet's plan out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client, Collection, DeleteParams, ListParams, Target, WriteParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Object, ObjectKey, RawObject, Selector};
use orch_core::store::Revision;
use orch_core::time;
use tokio::time::Instant;

use super::ledger::{Ledger, Standing};
use super::pods::{owner_reference, pod_of};
use super::status::is_only_progress;
use super::{Failure, Plan, decide, status, victims};
use crate::controllers::caches::{CONTROLLER, Caches, NAMESPACE, orphans_of};
use crate::controllers::owners::Owned;
use crate::controllers::pod_view::PodView;
use crate::controllers::selector_of;

/// How many creates or deletes of one set are under way at once.
const IN_FLIGHT: usize = 128;
/// Progress that is not the end of it is written at most this often for one set: a thousand pods that become
/// ready one by one are some dozen writes, not a thousand.
const PROGRESS_PERIOD: Duration = Duration::from_millis(10);
/// How many sets are reconciled at once.
const CONCURRENCY: usize = 8;

/// Keeps the pods of every ReplicaSet as many as `spec.replicas`.
pub(crate) struct ReplicaSetController {
    sets: Cache<ReplicaSet>,
    pods: Cache<PodView>,
    pod_resource: Arc<ApiResource>,
    ledger: Ledger,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches) -> Running {
    let controller = ReplicaSetController {
        sets: caches.replica_sets.clone(),
        pods: caches.pods.clone(),
        pod_resource: Arc::new(Pod::resource()),
        ledger: Ledger::default(),
    };
    let sets = caches.replica_sets.clone();
    Engine::new(controller, client)
        .cache(caches.replica_sets.clone())
        .owns(&caches.pods)
        .watches(&caches.pods, move |change| adopters(&sets, change))
        .concurrency(CONCURRENCY)
        .start()
}

/// The sets that could adopt a pod that nobody controls.
fn adopters(sets: &Cache<ReplicaSet>, change: &Change<'_, PodView>) -> Vec<ObjectKey> {
    let Some(pod) = change.new.filter(|_| change.controller.is_none()) else {
        return Vec::new();
    };
    let matching = |set: &Arc<ReplicaSet>| {
        let selector = selector_of(&set.spec.selector);
        selector.is_ok_and(|selector| selector.matches(&pod.labels))
    };
    let mut found = Vec::new();
    for set in sets
        .by_index(NAMESPACE, &pod.namespace)
        .iter()
        .filter(|set| matching(set))
    {
        found.push(set.key());
    }
    found
}

#[async_trait]
impl Controller for ReplicaSetController {
    type Object = ReplicaSet;

    async fn reconcile(&self, set: Arc<ReplicaSet>, cx: &Context) -> Result<Action, ReconcileError> {
        self.pods.synced().await;
        let key = set.key();
        let selector = selector_of(&set.spec.selector)?;
        let standing = self.ledger.standing(&key);
        let mut plan = decide(&set, &selector, &self.seen(&set));
        if standing == Standing::InDoubt && (plan.create > 0 || plan.delete > 0) && was_observed(&set) {
            // Whoever worked on it last may have written what the view does not show yet.
            plan = decide(&set, &selector, &self.live(&set, cx.client()).await?);
        }
        let work = Work {
            controller: self,
            client: cx.client(),
            set: &set,
            namespace: key.namespace().unwrap_or_default(),
        };
        let mut managed = Ok(());
        if plan.has_writes() {
            // Cut off from here on, the next reconcile must not trust the view.
            self.ledger.doubt(&key);
            let mut newest = Revision::ZERO;
            managed = work.carry_out(&plan, &mut newest).await;
            self.pods.wait_for(newest).await;
            plan = decide(&set, &selector, &self.seen(&set));
        }
        self.ledger.trust(&key);
        let action = self
            .report(&set, &plan, managed.as_ref().map(|()| ()), cx.client())
            .await?;
        match managed {
            Ok(()) if plan.create > 0 || plan.delete > 0 => Ok(Action::requeue_after(Duration::ZERO)),
            Ok(()) => Ok(action),
            Err(failure) => Err(failure.message.into()),
        }
    }

    async fn gone(&self, key: &ObjectKey, _: &Context) {
        self.ledger.forget(key);
    }
}

impl ReplicaSetController {
    /// The set's pods and its namespace's orphans, as the view has them.
    fn seen(&self, set: &ReplicaSet) -> Vec<Arc<PodView>> {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
        let mut pods = self.pods.by_index(CONTROLLER, uid);
        pods.extend(self.pods.by_index(CONTROLLER, &orphans_of(namespace)));
        pods
    }

    /// The same, as the store has them.
    async fn live(&self, set: &ReplicaSet, client: &Client) -> Result<Vec<Arc<PodView>>, ReconcileError> {
        let collection = Collection {
            resource: Arc::clone(&self.pod_resource),
            namespace: set.metadata.namespace.clone(),
        };
        let list = client.backend().list(&collection, &ListParams::default()).await?;
        let views = list
            .items
            .iter()
            .map(|document| PodView::new(document).map(Arc::new));
        Ok(views.collect::<Result<_, _>>()?)
    }

    /// Writes the status if it differs, soon or now.
    async fn report(
        &self,
        set: &ReplicaSet,
        plan: &Plan,
        managed: Result<(), &Failure>,
        client: &Client,
    ) -> Result<Action, ApiError> {
        let (status, next) = status(set, &plan.claimed, managed, time::now());
        let action = next.map_or(Action::done(), Action::requeue_after);
        if set.status.as_ref() == Some(&status) {
            return Ok(action);
        }
        let key = set.key();
        let now = Instant::now();
        if is_only_progress(set, &status)
            && let Some(wait) = self.ledger.reported_within(&key, PROGRESS_PERIOD, now)
        {
            return Ok(Action::requeue_after(wait));
        }
        let api = client.api::<ReplicaSet>(key.namespace().unwrap_or_default());
        match api
            .put_status(key.name(), set.metadata.uid.as_deref(), &status)
            .await
        {
            Ok(written) => {
                self.ledger.reported(&key, now);
                // The next reconcile compares with what this one wrote.
                self.sets.wait_for(written.document.revision()).await;
                Ok(action)
            }
            Err(ApiError::NotFound(_)) => Ok(Action::done()),
            Err(error) => Err(error),
        }
    }
}

/// Whether any reconcile of the set has come to its end before: until then it has no pods.
fn was_observed(set: &ReplicaSet) -> bool {
    set.status
        .as_ref()
        .is_some_and(|status| status.observed_generation.is_some())
}

/// The writes of one reconcile.
struct Work<'a> {
    controller: &'a ReplicaSetController,
    client: &'a Client,
    set: &'a ReplicaSet,
    namespace: &'a str,
}

impl Work<'_> {
    /// Does what the plan says; `newest` becomes the revision of the last write, failed or not.
    async fn carry_out(&self, plan: &Plan, newest: &mut Revision) -> Result<(), Failure> {
        let owner = owner_reference(self.set);
        for pod in &plan.adopt {
            let adopted = self.owned(pod).adopt(&owner).await;
            *newest = (*newest).max(adopted.map_err(failed("FailedCreate"))?.unwrap_or_default());
        }
        for pod in &plan.release {
            let released = self.owned(pod).release(std::slice::from_ref(&owner.uid)).await;
            *newest = (*newest).max(released.map_err(failed("FailedCreate"))?.unwrap_or_default());
        }
        if plan.create > 0 {
            self.create(plan.create, newest)
                .await
                .map_err(failed("FailedCreate"))?;
        }
        if plan.delete > 0 {
            let siblings = self.siblings(plan);
            let victims = victims(&plan.claimed, &siblings, plan.delete, time::now());
            self.delete(&victims, newest)
                .await
                .map_err(failed("FailedDelete"))?;
        }
        Ok(())
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

    /// The pods of all sets that our controller controls.
    fn siblings(&self, plan: &Plan) -> Vec<Arc<PodView>> {
        use crate::controllers::claim::Claimable;
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
                writes.push(create_pod(self.client.clone(), collection.clone(), pod.clone()));
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
            writes.push(delete_pod(self.client.clone(), target, pod.uid.to_string()));
        }
        gather(writes, newest).await
    }
}

async fn create_pod(client: Client, collection: Collection, pod: RawObject) -> Result<Revision, ApiError> {
    let params = WriteParams::default();
    let made = client.backend().create(&collection, pod, &params).await?;
    Ok(made.document.revision())
}

async fn delete_pod(client: Client, target: Target, uid: String) -> Result<Revision, ApiError> {
    let params = DeleteParams::default().uid(uid);
    match client.backend().delete(&target, &params).await {
        Ok(deleted) => Ok(deleted.document().revision()),
        // Gone already, or another pod has its name: the view will show it.
        Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(Revision::ZERO),
        Err(error) => Err(error),
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
