//! The two writes of the scheduler: a binding, or the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use orch_core::client::{ApiError, Client, Part, Patch, Target};
use orch_core::delays::Delays;
use orch_core::object::{ApiResource, Document, ObjectKey};
use serde_json::json;

use crate::controllers::pod_condition::{PodCondition, set_pod_condition_while};

/// How long to wait before the store is asked again that did not answer.
const RETRY: Delays = Delays::new(Duration::from_millis(200), Duration::from_secs(10));

/// Binds the pod to the node, through the subresource `binding`, which also sets the condition PodScheduled.
///
/// Once it has returned `Ok` the pod is bound to that node. A pod that is bound already, to whichever node, is
/// a conflict.
pub(super) async fn bind(
    client: &Client,
    pods: &Arc<ApiResource>,
    pod: &ObjectKey,
    uid: &str,
    node: &str,
) -> Result<(), ApiError> {
    let target = Target {
        resource: Arc::clone(pods),
        key: pod.clone(),
    };
    let patch = Patch::Merge(json!({"metadata": {"uid": uid}, "spec": {"nodeName": node}}));
    let part = Part::Subresource("binding");
    client
        .backend()
        .patch(&target, part, &patch, &Default::default())
        .await?;
    Ok(())
}

/// Whether the store has the pod as bound, however long it takes to answer. A view may be behind, and show a binding that was
/// written only after its place was given to another pod.
pub(super) async fn is_bound(client: &Client, pods: &Arc<ApiResource>, pod: &ObjectKey, uid: &str) -> bool {
    let target = Target {
        resource: Arc::clone(pods),
        key: pod.clone(),
    };
    let mut retry = RETRY;
    loop {
        match client.backend().get(&target).await {
            Ok(found) => return found.meta().uid == uid && has_node(&found),
            Err(ApiError::NotFound(_)) => return false,
            Err(error) => {
                let (namespace, name) = (pod.namespace(), pod.name());
                tracing::warn!(kind = "Pod", namespace, name, %error, "cannot tell whether it was bound, asking again");
                retry.wait().await;
            }
        }
    }
}

fn has_node(pod: &Document) -> bool {
    let node = pod.lookup("spec.nodeName");
    node.is_some_and(|node| node.as_str().is_some_and(|node| !node.is_empty()))
}

/// Says in the pod's condition PodScheduled why it has no node. Writes nothing if it says so already, or if the pod has
/// been bound since: this write may be slow, and the next decision does not wait for it.
pub(super) async fn refuse(
    client: &Client,
    pod: &ObjectKey,
    uid: &str,
    message: String,
) -> Result<(), ApiError> {
    let condition = PodCondition {
        type_: "PodScheduled",
        status: "False",
        reason: "Unschedulable",
        message,
    };
    set_pod_condition_while(client, pod, uid, &condition, |pod| !has_node(pod)).await
}
