//! Carries a Deployment's plan out.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use orch_core::cache::{Cache, Change};
use orch_core::client::{ApiError, Client, DeleteParams, Part, Patch};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Object, ObjectKey};
use orch_core::random::Random;
use orch_core::store::Revision;
use orch_core::time;
use serde_json::json;

use super::new_set::owner_reference;
use super::revision::REVISION;
use super::sets::spec_replicas;
use super::{Change as Step, NameTaken, Plan, SetUpdate, creation_failed, decide, name_taken};
use crate::controllers::caches::{CONTROLLER, Caches, NAMESPACE, orphans_of};
use crate::controllers::claim::Claimable;
use crate::controllers::owners::{GOING, Owned, may_adopt};
use crate::controllers::pod_view::PodView;
use crate::controllers::selector_of;
use crate::events::{Recorder, reference};

/// How many Deployments are reconciled at once.
const CONCURRENCY: usize = 8;

/// Moves every Deployment's ReplicaSets towards its template and size.
///
/// What it writes to a set carries the version it was decided on, and a new set's name follows from its
/// template: a reconcile on an old view is refused or changes nothing.
struct DeploymentController {
    deployments: Cache<Deployment>,
    sets: Cache<ReplicaSet>,
    pods: Cache<PodView>,
    set_resource: Arc<ApiResource>,
    recorder: Recorder,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    let controller = DeploymentController {
        deployments: caches.deployments.clone(),
        sets: caches.replica_sets.clone(),
        pods: caches.pods.clone(),
        set_resource: Arc::new(ReplicaSet::resource()),
        recorder: Recorder::new(client.clone(), "deployment-controller", ""),
    };
    let deployments = caches.deployments.clone();
    Engine::new(controller, client)
        .random(random)
        .cache(caches.deployments.clone())
        .owns(&caches.replica_sets)
        .watches(&caches.replica_sets, move |change| adopters(&deployments, change))
        .concurrency(CONCURRENCY)
        .start()
}

/// The Deployments that could adopt a set that nobody controls.
fn adopters(deployments: &Cache<Deployment>, change: &Change<'_, ReplicaSet>) -> Vec<ObjectKey> {
    let Some(set) = change.new.filter(|_| change.controller.is_none()) else {
        return Vec::new();
    };
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let all = deployments.by_index(NAMESPACE, namespace);
    let matching = all.iter().filter(|deployment| {
        let selector = selector_of(&deployment.spec.selector);
        selector.is_ok_and(|selector| selector.matches(set.labels()))
    });
    matching.map(|deployment| deployment.key()).collect()
}

#[async_trait]
impl Controller for DeploymentController {
    type Object = Deployment;

    async fn reconcile(&self, deployment: Arc<Deployment>, cx: &Context) -> Result<Action, ReconcileError> {
        self.sets.synced().await;
        self.pods.synced().await;
        let meta = &deployment.metadata;
        let (uid, namespace) = (meta.uid.as_deref().unwrap_or_default(), meta.namespace.as_deref());
        let namespace = namespace.unwrap_or_default();
        let mut sets = self.sets.by_index(CONTROLLER, uid);
        sets.extend(self.sets.by_index(CONTROLLER, &orphans_of(namespace)));
        let selector = selector_of(&deployment.spec.selector)?;
        let has_pods = |set: &str| {
            let pods = self.pods.by_index(CONTROLLER, set);
            pods.iter().any(|pod| !pod.is_finished())
        };
        let plan = decide(&deployment, &selector, &sets, has_pods, time::now());
        let work = Work {
            controller: self,
            client: cx.client(),
            deployment: &deployment,
            namespace,
        };
        work.carry_out(plan).await
    }
}

/// The writes of one reconcile.
struct Work<'a> {
    controller: &'a DeploymentController,
    client: &'a Client,
    deployment: &'a Deployment,
    namespace: &'a str,
}

impl Work<'_> {
    async fn carry_out(&self, plan: Plan) -> Result<Action, ReconcileError> {
        let mut newest = Revision::ZERO;
        let written = self.write(&plan, &mut newest).await;
        // The next reconcile then sees what this one did, however far it came: a set that it did not see would not count
        // towards what the strategy allows.
        self.controller.sets.wait_for(newest).await;
        written?;
        Ok(plan.again_in.map_or(Action::done(), Action::requeue_after))
    }

    /// Writes what the plan says; `newest` becomes the revision of the last write to a set, failed or not.
    async fn write(&self, plan: &Plan, newest: &mut Revision) -> Result<(), ReconcileError> {
        if !plan.adopt.is_empty() && !may_adopt(self.client, self.deployment).await? {
            return Err(GOING.into());
        }
        let owner = owner_reference(self.deployment);
        for set in &plan.adopt {
            *newest = (*newest).max(self.owned(set).adopt(&owner).await?.unwrap_or_default());
        }
        for set in &plan.release {
            let released = self.owned(set).release(std::slice::from_ref(&owner.uid)).await?;
            *newest = (*newest).max(released.unwrap_or_default());
        }
        for change in &plan.changes {
            let written = match change {
                Step::Create(set) => match self.create(set).await? {
                    Some(revision) => revision,
                    None => return Ok(()),
                },
                Step::Update(update) => self.update(update).await?,
                Step::Delete(set) => self.delete(set).await?,
            };
            *newest = (*newest).max(written);
        }
        let version = match &plan.revision {
            Some(revision) => Some(self.annotate(revision).await?),
            None => None,
        };
        if self.deployment.status.as_ref() != Some(&plan.status) {
            self.report(&plan.status, version).await?;
        }
        Ok(())
    }

    fn owned<'s>(&'s self, set: &'s ReplicaSet) -> Owned<'s> {
        Owned {
            client: self.client,
            resource: &self.controller.set_resource,
            namespace: self.namespace,
            name: set.metadata.name.as_deref().unwrap_or_default(),
            uid: set.metadata.uid.as_deref().unwrap_or_default(),
        }
    }

    /// Creates the new set; none if its name was taken by another, and the status now asks for another name.
    async fn create(&self, set: &ReplicaSet) -> Result<Option<Revision>, ReconcileError> {
        let api = self.client.api::<ReplicaSet>(self.namespace);
        match api.create_with(set, &Default::default()).await {
            Ok(written) => {
                let name = &written.document.meta().name;
                self.tell_scaled(name, 0, spec_replicas(set));
                Ok(Some(written.document.revision()))
            }
            Err(ApiError::AlreadyExists(_)) => {
                let existing = api.get(set.metadata.name.as_deref().unwrap_or_default()).await?;
                match name_taken(self.deployment, &existing) {
                    NameTaken::Ours => Ok(existing.metadata().resource_version),
                    NameTaken::Collision(count) => {
                        let status = DeploymentStatus {
                            collision_count: Some(count),
                            ..self.deployment.status.clone().unwrap_or_default()
                        };
                        self.report(&status, None).await?;
                        Ok(None)
                    }
                }
            }
            Err(error) => {
                let status = creation_failed(self.deployment, &error.to_string(), time::now());
                if self.deployment.status.as_ref() != Some(&status) {
                    self.report(&status, None).await?;
                }
                Err(error.into())
            }
        }
    }

    async fn update(&self, update: &SetUpdate) -> Result<Revision, ApiError> {
        let meta = &update.set.metadata;
        let mut spec = json!({});
        if let Some(replicas) = update.replicas {
            spec["replicas"] = replicas.into();
        }
        if let Some(seconds) = update.min_ready_seconds {
            spec["minReadySeconds"] = seconds.into();
        }
        let patch = Patch::Merge(json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version,
                         "annotations": update.annotations},
            "spec": spec,
        }));
        let api = self.client.api::<ReplicaSet>(self.namespace);
        let name = meta.name.as_deref().unwrap_or_default();
        let written = api.patch_part(name, Part::Whole, &patch).await?;
        if let Some(replicas) = update.replicas {
            self.tell_scaled(name, spec_replicas(&update.set), replicas);
        }
        Ok(written.document.revision())
    }

    fn tell_scaled(&self, name: &str, from: i32, to: i32) {
        tracing::info!(
            kind = "ReplicaSet",
            namespace = self.namespace,
            name,
            from,
            to,
            "scaled"
        );
        let way = if to > from { "up" } else { "down" };
        let message = format!("Scaled {way} replica set {name} from {from} to {to}");
        let about = reference(self.deployment);
        self.controller
            .recorder
            .normal(&about, "ScalingReplicaSet", message);
    }

    async fn delete(&self, set: &ReplicaSet) -> Result<Revision, ApiError> {
        let meta = &set.metadata;
        let mut params = DeleteParams::default();
        params.resource_version = set.metadata().resource_version;
        params.uid.clone_from(&meta.uid);
        let api = self.client.api::<ReplicaSet>(self.namespace);
        match api
            .delete(meta.name.as_deref().unwrap_or_default(), &params)
            .await
        {
            Ok(deleted) => Ok(deleted.document().revision()),
            Err(ApiError::NotFound(_)) => Ok(Revision::ZERO),
            Err(error) => Err(error),
        }
    }

    /// Notes the present revision on the Deployment; returns its new version.
    async fn annotate(&self, revision: &str) -> Result<String, ApiError> {
        let patch = json!({"metadata": {
            "uid": self.deployment.metadata.uid,
            "resourceVersion": self.deployment.metadata.resource_version,
            "annotations": {REVISION: revision},
        }});
        let name = self.deployment.metadata.name.as_deref().unwrap_or_default();
        let api = self.client.api::<Deployment>(self.namespace);
        let written = api.patch_part(name, Part::Whole, &Patch::Merge(patch)).await?;
        Ok(written.document.revision().to_string())
    }

    /// Writes the status, unless the Deployment has changed since it was decided on (or since `version`).
    /// Sets the status of the Deployment as it was read, or of this later version.
    async fn report(&self, status: &DeploymentStatus, version: Option<String>) -> Result<(), ApiError> {
        let mut read = Deployment::default();
        read.metadata.clone_from(&self.deployment.metadata);
        if version.is_some() {
            read.metadata.resource_version = version;
        }
        let api = self.client.api::<Deployment>(self.namespace);
        let written = api.put_status_of(&read, status).await?;
        let revision = written.document.revision();
        self.controller.deployments.wait_for(revision).await;
        Ok(())
    }
}
