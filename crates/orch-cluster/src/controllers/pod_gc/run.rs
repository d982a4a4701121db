//! Looks at all pods from time to time, as Kubernetes' pod garbage collector does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::client::{ApiError, Client, DeleteParams, Patch, Target};
use orch_core::object::{Object, ObjectKey};
use orch_core::time;
use serde_json::json;

use super::{KEPT_FINISHED, Removal, Why, decide};
use crate::controllers::caches::Caches;
use crate::controllers::pod_condition::{PodCondition, set_pod_condition};

/// How often.
const PERIOD: Duration = Duration::from_secs(20);

/// Works until dropped.
pub(crate) async fn run(client: Client, caches: Caches) {
    caches.pods.synced().await;
    caches.nodes.synced().await;
    let mut missing: HashMap<Box<str>, Timestamp> = HashMap::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        let (pods, now) = (caches.pods.list(), time::now());
        note_missing(&mut missing, &caches, &pods, now);
        let removals = decide(&pods, |node| missing.get(node).copied(), KEPT_FINISHED, now);
        for removal in removals {
            if let Err(error) = remove(&client, &removal).await {
                let (namespace, name) = (&*removal.pod.namespace, &*removal.pod.name);
                tracing::warn!(kind = "Pod", namespace, name, %error, "could not be removed");
            }
        }
    }
}

/// Notes which nodes that pods name do not exist, and forgets those that do.
fn note_missing(
    missing: &mut HashMap<Box<str>, Timestamp>,
    caches: &Caches,
    pods: &[Arc<crate::controllers::pod_view::PodView>],
    now: Timestamp,
) {
    let exists = |node: &str| caches.nodes.get(&ObjectKey::new(None, node)).is_some();
    let mut named: HashMap<Box<str>, Timestamp> = HashMap::new();
    for node in pods.iter().filter_map(|pod| pod.node.as_ref()) {
        if !named.contains_key(node) && !exists(node) {
            named.insert(node.clone(), missing.get(node).copied().unwrap_or(now));
        }
    }
    *missing = named;
}

async fn remove(client: &Client, removal: &Removal) -> Result<(), ApiError> {
    let pod = &removal.pod;
    let target = Target {
        resource: Arc::new(Pod::resource()),
        key: ObjectKey::new(Some(&pod.namespace), &pod.name),
    };
    let (namespace, name) = (&*pod.namespace, &*pod.name);
    tracing::info!(kind = "Pod", namespace, name, why = ?removal.why, "removing");
    if let (Why::NodeGone, Some(node)) = (removal.why, &pod.node) {
        // The view may be behind: ask the store before a pod is declared dead.
        if client.all::<Node>().get_opt(node).await?.is_some() {
            return Ok(());
        }
        if !pod.is_finished() {
            fail(client, removal, &target.key).await?;
        }
    }
    let params = DeleteParams::now().uid(&*pod.uid);
    match client.backend().delete(&target, &params).await {
        Ok(_) | Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A pod whose node is gone has failed: whoever waits for its outcome must learn it.
async fn fail(client: &Client, removal: &Removal, key: &ObjectKey) -> Result<(), ApiError> {
    let uid = &removal.pod.uid;
    let condition = PodCondition {
        type_: "DisruptionTarget",
        status: "True",
        reason: "DeletionByPodGC",
        message: "PodGC: node no longer exists".to_owned(),
    };
    set_pod_condition(client, key, uid, &condition).await?;
    let api = client.api::<Pod>(key.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"uid": uid}, "status": {"phase": "Failed"}});
    api.patch_status(key.name(), &Patch::Merge(patch)).await.map(drop)
}
