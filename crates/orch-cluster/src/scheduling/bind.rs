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

/// [Binds](bind), and does not return before it is known whether the pod is bound, however long the store takes to say it:
/// a binding that was not answered may still be under way, and be written only after its place was given to another pod.
///
/// To bind again settles it. If that is written, or anything else has been since, the pod has another revision than what is
/// under way compares it with.
pub(super) async fn bind_for_sure(
    client: &Client,
    pods: &Arc<ApiResource>,
    pod: &ObjectKey,
    uid: &str,
    node: &str,
) -> Result<(), ApiError> {
    let (namespace, name) = (pod.namespace(), pod.name());
    let mut retry = RETRY;
    let mut is_in_doubt = false;
    loop {
        match bind(client, pods, pod, uid, node).await {
            Err(error) if is_unanswered(&error, is_in_doubt) => {
                is_in_doubt = true;
                tracing::warn!(kind = "Pod", namespace, name, node, %error, "cannot tell whether it is bound, binding again");
                retry.wait().await;
            }
            // It may have met what was under way.
            Err(error @ ApiError::Conflict { .. }) if is_in_doubt => {
                let is_bound = is_bound(client, pods, pod, uid).await?;
                return if is_bound { Ok(()) } else { Err(error) };
            }
            outcome => return outcome,
        }
    }
}

/// Whether this leaves open what was written: a store that cannot be reached has not written what it was asked for now, but may
/// have what it was asked for before.
fn is_unanswered(error: &ApiError, is_in_doubt: bool) -> bool {
    matches!(error, ApiError::Unknown(_)) || is_in_doubt && matches!(error, ApiError::Unavailable(_))
}

/// Whether the store has the pod as bound. Not the view, which may be behind.
async fn is_bound(
    client: &Client,
    pods: &Arc<ApiResource>,
    pod: &ObjectKey,
    uid: &str,
) -> Result<bool, ApiError> {
    let target = Target {
        resource: Arc::clone(pods),
        key: pod.clone(),
    };
    let mut retry = RETRY;
    loop {
        match client.backend().get(&target).await {
            Ok(found) => return Ok(found.meta().uid == uid && has_node(&found)),
            Err(ApiError::NotFound(_)) => return Ok(false),
            Err(error) if is_unanswered(&error, true) => retry.wait().await,
            Err(error) => return Err(error),
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
