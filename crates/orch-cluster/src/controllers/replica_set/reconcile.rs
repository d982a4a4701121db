//! Carries a ReplicaSet's plan out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client, Collection, ListParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Object, ObjectKey};
use orch_core::random::Random;
use orch_core::store::Revision;
use orch_core::time;
use tokio::time::Instant;

use super::backoff::Wait;
use super::catch_up::CatchUp;
use super::ledger::{Ledger, Standing};
use super::writes::Work;
use super::{Failure, Plan, decide, status};
use crate::controllers::caches::{CONTROLLER, Caches, NAMESPACE, orphans_of};
use crate::controllers::pod_view::PodView;
use crate::controllers::selector_of;
use crate::events::{Recorder, reference};

/// How many sets are reconciled at once.
const CONCURRENCY: usize = 8;

/// Keeps the pods of every ReplicaSet as many as `spec.replicas`.
pub(super) struct ReplicaSetController {
    pub(super) sets: Cache<ReplicaSet>,
    pub(super) pods: Cache<PodView>,
    pub(super) pod_resource: Arc<ApiResource>,
    ledger: Ledger,
    catch_up: CatchUp,
    pub(super) recorder: Recorder,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    let controller = ReplicaSetController {
        sets: caches.replica_sets.clone(),
        pods: caches.pods.clone(),
        pod_resource: Arc::new(Pod::resource()),
        ledger: Ledger::default(),
        catch_up: CatchUp::new(caches),
        recorder: Recorder::new(client.clone(), "replicaset-controller", ""),
    };
    let sets = caches.replica_sets.clone();
    Engine::new(controller, client)
        .random(random)
        .cache(caches.replica_sets.clone())
        .watches(&caches.pods, owners)
        .watches(&caches.pods, move |change| adopters(&sets, change))
        .concurrency(CONCURRENCY)
        .start()
}

/// The sets whose pod this is or was, unless nothing has changed that they look at: that it was bound, say.
fn owners(change: &Change<'_, PodView>) -> Vec<ObjectKey> {
    if let (Some(old), Some(new)) = (change.old, change.new)
        && old.counts_like(new)
    {
        return Vec::new();
    }
    let owners = [change.old_controller, change.controller].into_iter().flatten();
    let sets = owners.filter(|owner| owner.kind == "ReplicaSet" && owner.api_version.starts_with("apps/"));
    sets.map(|owner| ObjectKey::new(change.key.namespace(), &owner.name))
        .collect()
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
        let key = set.key();
        let namespace = key.namespace().unwrap_or_default();
        // As it is shown now.
        let Some(set) = self.sets.get(&key) else {
            return Ok(Action::done());
        };
        if let Some(rest) = self.ledger.resting(&key, Instant::now()) {
            return Ok(Action::requeue_after(rest));
        }
        let selector = selector_of(&set.spec.selector)?;
        let mut plan = decide(&set, &selector, &self.seen(&set));
        if !self.catch_up.is_done(namespace) && is_to_write(&set, &plan) {
            self.catch_up.wait(namespace, cx.client()).await?;
            return Ok(Action::requeue_after(Duration::ZERO));
        }
        let mut is_shown = true;
        if self.ledger.standing(&key) == Standing::InDoubt {
            // The last reconcile may have written what the view does not show yet.
            let live = self.live(&set, cx.client()).await?;
            is_shown = shows_the_same(&set, &self.seen(&set), &live);
            plan = decide(&set, &selector, &live);
        }
        let mut wait = self.hold_back(&set, &mut plan);
        let work = Work {
            controller: self,
            client: cx.client(),
            set: &set,
            namespace,
        };
        let (mut managed, mut is_as_planned) = (Ok(()), true);
        if plan.has_writes() {
            // Cut off from here on, the next reconcile must not trust the view.
            self.ledger.doubt(&key);
            let mut newest = Revision::ZERO;
            let done = work.carry_out(&plan, &mut newest).await;
            managed = done.map(|as_planned| is_as_planned = as_planned);
            self.pods.wait_for(newest).await;
            // Whatever was written earlier comes before it.
            is_shown |= newest > Revision::ZERO;
            plan = decide(&set, &selector, &self.seen(&set));
            wait = self.hold_back(&set, &mut plan);
        }
        // What failed may have been done and not been answered: then the view does not show yet what it was, and nothing says
        // how long to wait for it. The next change that it shows leads here again.
        if managed.is_ok() && is_shown && is_as_planned {
            self.ledger.trust(&key);
        }
        self.ledger.rest(&key, plan.claimed.len(), Instant::now());
        let action = self
            .report(&set, &plan, managed.as_ref().copied(), wait, cx.client())
            .await?;
        match managed {
            Ok(()) if !is_as_planned || plan.create > 0 || plan.delete > 0 => {
                Ok(Action::requeue_after(Duration::ZERO))
            }
            Ok(()) => Ok(action),
            Err(failure) => Err(failure.message.into()),
        }
    }

    async fn gone(&self, key: &ObjectKey, _: &Context) {
        self.ledger.forget(key);
        self.catch_up.forget(key.namespace().unwrap_or_default());
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

    /// Takes out of the plan the pods whose predecessors failed too soon.
    fn hold_back(&self, set: &ReplicaSet, plan: &mut Plan) -> Wait {
        let wait = self.ledger.hold_back(set, plan, time::now());
        if let Some(begun) = wait.begun {
            let message =
                format!("Pods fail as soon as they are replaced; the next are created in {begun:?}");
            self.recorder.warning(&reference(set), "BackOff", message);
        }
        wait
    }

    /// Writes the status if it differs, and says when to look again.
    async fn report(
        &self,
        set: &ReplicaSet,
        plan: &Plan,
        managed: Result<(), &Failure>,
        wait: Wait,
        client: &Client,
    ) -> Result<Action, ApiError> {
        let (status, next) = status(set, &plan.claimed, managed, time::now());
        let next = next.into_iter().chain(wait.next).min();
        let action = next.map_or(Action::done(), Action::requeue_after);
        if set.status.as_ref() == Some(&status) {
            return Ok(action);
        }
        let key = set.key();
        let api = client.api::<ReplicaSet>(key.namespace().unwrap_or_default());
        match api.put_status_of(set, &status).await {
            Ok(written) => {
                // The next reconcile compares with what this one wrote.
                self.sets.wait_for(written.document.revision()).await;
                Ok(action)
            }
            Err(ApiError::NotFound(_)) => Ok(Action::done()),
            Err(error) => Err(error),
        }
    }
}

/// Whether anything is to be written for the set, its status included.
fn is_to_write(set: &ReplicaSet, plan: &Plan) -> bool {
    let (status, _) = status(set, &plan.claimed, Ok(()), time::now());
    plan.has_writes() || set.status.as_ref() != Some(&status)
}

/// Whether both have the same pods of the set, the same of them being deleted.
pub(super) fn shows_the_same(set: &ReplicaSet, view: &[Arc<PodView>], live: &[Arc<PodView>]) -> bool {
    let uid = set.metadata.uid.as_deref();
    let own = |pods: &[Arc<PodView>]| -> BTreeSet<(Box<str>, bool)> {
        let own = pods.iter().filter(|pod| pod.controller_uid.as_deref() == uid);
        own.map(|pod| (pod.uid.clone(), pod.deleting.is_some())).collect()
    };
    own(view) == own(live)
}
