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
use orch_core::object::{ApiResource, Document, Object, ObjectKey};
use orch_core::random::Random;
use orch_core::store::Revision;
use orch_core::time;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::backoff::Wait;
use super::ledger::{Ledger, Standing};
use super::writes::Work;
use super::{Failure, Plan, decide, status};
use crate::controllers::caches::{CONTROLLER, Caches, NAMESPACE, orphans_of};
use crate::controllers::pod_view::PodView;
use crate::controllers::selector_of;
use crate::events::{Recorder, reference};

/// How many sets are reconciled at once.
const CONCURRENCY: usize = 8;

/// How many objects are read at a time.
const PAGE: usize = 500;

/// Keeps the pods of every ReplicaSet as many as `spec.replicas`.
pub(super) struct ReplicaSetController {
    pub(super) sets: Cache<ReplicaSet>,
    pub(super) pods: Cache<PodView>,
    pub(super) pod_resource: Arc<ApiResource>,
    ledger: Ledger,
    caught_up: OnceCell<()>,
    pub(super) recorder: Recorder,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    let controller = ReplicaSetController {
        sets: caches.replica_sets.clone(),
        pods: caches.pods.clone(),
        pod_resource: Arc::new(Pod::resource()),
        ledger: Ledger::default(),
        caught_up: OnceCell::new(),
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
        self.catch_up(cx.client()).await?;
        let key = set.key();
        // As it is shown now.
        let Some(set) = self.sets.get(&key) else {
            return Ok(Action::done());
        };
        if let Some(rest) = self.ledger.resting(&key, Instant::now()) {
            return Ok(Action::requeue_after(rest));
        }
        let selector = selector_of(&set.spec.selector)?;
        let mut plan = decide(&set, &selector, &self.seen(&set));
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
            namespace: key.namespace().unwrap_or_default(),
        };
        let mut managed = Ok(());
        if plan.has_writes() {
            // Cut off from here on, the next reconcile must not trust the view.
            self.ledger.doubt(&key);
            let mut newest = Revision::ZERO;
            managed = work.carry_out(&plan, &mut newest).await;
            self.pods.wait_for(newest).await;
            // Whatever was written earlier comes before it.
            is_shown |= newest > Revision::ZERO;
            plan = decide(&set, &selector, &self.seen(&set));
            wait = self.hold_back(&set, &mut plan);
        }
        // What failed may have been done and not been answered: then the view does not show yet what it was, and nothing says
        // how long to wait for it. The next change that it shows leads here again.
        if managed.is_ok() && is_shown {
            self.ledger.trust(&key);
        }
        self.ledger.rest(&key, plan.claimed.len(), Instant::now());
        let action = self
            .report(&set, &plan, managed.as_ref().copied(), wait, cx.client())
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
    /// Waits until the views show all that was written before this life began, once: what they are filled with at first may
    /// be of the past, and not show the pods that the life before made, nor that fewer are asked for since.
    async fn catch_up(&self, client: &Client) -> Result<(), ApiError> {
        let caught_up = async {
            let sets = newest(client, ReplicaSet::resource()).await?;
            let pods = newest(client, Pod::resource()).await?;
            self.sets.wait_for(sets).await;
            self.pods.wait_for(pods).await;
            Ok(())
        };
        self.caught_up.get_or_try_init(|| caught_up).await.copied()
    }

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

/// Whether both have the same pods of the set, the same of them being deleted.
pub(super) fn shows_the_same(set: &ReplicaSet, view: &[Arc<PodView>], live: &[Arc<PodView>]) -> bool {
    let uid = set.metadata.uid.as_deref();
    let own = |pods: &[Arc<PodView>]| -> BTreeSet<(Box<str>, bool)> {
        let own = pods.iter().filter(|pod| pod.controller_uid.as_deref() == uid);
        own.map(|pod| (pod.uid.clone(), pod.deleting.is_some())).collect()
    };
    own(view) == own(live)
}

/// When an object of this kind was last written, of those that there are.
async fn newest(client: &Client, resource: ApiResource) -> Result<Revision, ApiError> {
    let collection = Collection {
        resource: Arc::new(resource),
        namespace: None,
    };
    let mut params = ListParams::default().limit(PAGE);
    let mut newest = Revision::ZERO;
    loop {
        let page = client.backend().list(&collection, &params).await?;
        let written = page.items.iter().map(Document::revision);
        newest = written.fold(newest, Revision::max);
        match page.continue_token {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(newest),
        }
    }
}
