//! Deletes what a namespace contains, and looks again until nothing is left.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{
    ApiError, Client, Collection, DeleteParams, Deleted, ListParams, Part, Patch, Target, WriteParams,
};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Document, Object, ObjectKey};
use orch_core::random::Random;
use orch_core::time;
use serde_json::json;

use super::decide::FINALIZER;
use super::{Plan, Remaining, decide};
use crate::controllers::caches::Caches;

/// How many deletes are under way at once.
const IN_FLIGHT: usize = 64;
/// How many objects are read at a time.
const PAGE: usize = 500;
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
            let (remaining, failed) = empty(cx.client(), &resource, name).await;
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

/// Deletes all objects of a kind in the namespace; says what is left of them, and what failed. An object that cannot be
/// deleted (a rule refuses it) holds up none of the others.
async fn empty(
    client: &Client,
    resource: &Arc<ApiResource>,
    namespace: &str,
) -> (Option<Remaining>, Option<Failed>) {
    let collection = Collection {
        resource: Arc::clone(resource),
        namespace: Some(namespace.to_owned()),
    };
    let mut params = ListParams::default().limit(PAGE);
    let mut remaining = Remaining {
        resource: resource.group_resource().into_owned(),
        ..Remaining::default()
    };
    let mut failed: Option<Failed> = None;
    loop {
        let page = match client.backend().list(&collection, &params).await {
            Ok(page) => page,
            Err(error) => {
                failed = Some(Failed::count(failed, error));
                break;
            }
        };
        for key in page.unreadable {
            // It is there, and reading it says what is wrong with it.
            remaining.objects += 1;
            let target = Target {
                resource: Arc::clone(resource),
                key,
            };
            if let Err(error) = client.backend().get(&target).await {
                failed = Some(Failed::count(failed, error));
            }
        }
        let mut deletes = Vec::with_capacity(page.items.len());
        for document in page.items {
            deletes.push(delete(client.clone(), Arc::clone(resource), document));
        }
        let mut deletes = stream::iter(deletes).buffer_unordered(IN_FLIGHT);
        while let Some(left) = deletes.next().await {
            let left = match left {
                Ok(left) => left,
                Err(error) => {
                    remaining.objects += 1;
                    failed = Some(Failed::count(failed, error));
                    continue;
                }
            };
            let Some(left) = left else { continue };
            remaining.objects += 1;
            for finalizer in &left.meta().finalizers {
                *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
        match page.continue_token {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    ((remaining.objects > 0).then_some(remaining), failed)
}

/// What went wrong with a kind: the first error, and how many there were.
struct Failed {
    first: ApiError,
    count: usize,
}

impl Failed {
    fn count(before: Option<Self>, error: ApiError) -> Self {
        match before {
            Some(Self { first, count }) => Self {
                first,
                count: count + 1,
            },
            None => Self {
                first: error,
                count: 1,
            },
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match self.count - 1 {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// Deletes an object unless that is under way; what is left of it, if it must wait for somebody.
async fn delete(
    client: Client,
    resource: Arc<ApiResource>,
    document: Document,
) -> Result<Option<Document>, ApiError> {
    let meta = document.meta();
    if meta.is_deleting() {
        return Ok(Some(document));
    }
    let key = document.key();
    let params = DeleteParams::default().uid(meta.uid.as_str());
    match client.backend().delete(&Target { resource, key }, &params).await {
        Ok(Deleted::Gone(_)) | Err(ApiError::NotFound(_)) => Ok(None),
        Ok(Deleted::Pending(document)) => Ok(Some(document)),
        Err(error) => Err(error),
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
