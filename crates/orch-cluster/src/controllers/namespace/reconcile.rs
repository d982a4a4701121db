//! Deletes what a namespace contains, and looks again until nothing is left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{ApiError, Client, Part, Patch, Target, WriteParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{Object, ObjectKey};
use orch_core::random::Random;
use orch_core::time;
use serde_json::json;

use super::decide::FINALIZER;
use super::{Plan, decide};
use crate::controllers::caches::Caches;
use crate::controllers::empty::empty;

/// How soon it is looked again whether content is gone, at first; content goes through many hands, and no one
/// watch shows the last of it.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

struct NamespaceController;

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    Engine::new(NamespaceController, client)
        .random(random)
        .cache(caches.namespaces.clone())
        .start()
}

#[async_trait]
impl Controller for NamespaceController {
    type Object = Namespace;

    async fn reconcile(&self, namespace: Arc<Namespace>, cx: &Context) -> Result<Action, ReconcileError> {
        let Some(since) = namespace.metadata.deletion_timestamp.as_ref() else {
            return Ok(Action::done());
        };
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        // Also what this process has never heard of must go.
        cx.client().backend().discover().await?;
        let (mut remains, mut failures) = (Vec::new(), Vec::new());
        for resource in cx.client().resources() {
            if !resource.is_namespaced() {
                continue;
            }
            let resource = Arc::new(resource);
            let (remaining, failed) = empty(cx.client(), &resource, Some(name)).await;
            remains.extend(remaining);
            failures.extend(failed.map(|error| format!("{}: {error}", resource.group_resource())));
        }
        let plan = decide(&namespace, &remains, &failures, time::now());
        let finalize = plan.finalize;
        write(cx.client(), &namespace, plan).await?;
        if finalize {
            return Ok(Action::done());
        }
        // A tenth of the time it has taken so far.
        let passed = Duration::try_from(time::now().duration_since(since.0)).unwrap_or_default();
        Ok(Action::requeue_after(
            (passed / 10).clamp(LOOK_AGAIN.0, LOOK_AGAIN.1),
        ))
    }
}

async fn write(client: &Client, namespace: &Namespace, plan: Plan) -> Result<(), ReconcileError> {
    let meta = &namespace.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let api = client.all::<Namespace>();
    if let Some(status) = plan.status {
        api.put_status(name, meta.uid.as_deref(), &status).await?;
    }
    if plan.finalize {
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone());
        let mut finalizers = finalizers.unwrap_or_default();
        finalizers.retain(|own| own != FINALIZER);
        let target = Target {
            resource: Arc::new(Namespace::resource()),
            key: ObjectKey::new(None, name),
        };
        let patch = Patch::Merge(json!({"metadata": {"uid": meta.uid}, "spec": {"finalizers": finalizers}}));
        let part = Part::Subresource("finalize");
        let written = client
            .backend()
            .patch(&target, part, &patch, &WriteParams::default())
            .await;
        match written {
            Ok(_) | Err(ApiError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
