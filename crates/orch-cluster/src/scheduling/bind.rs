//! The two writes of the scheduler: a binding, or the reason why there is none.

use std::sync::Arc;

use orch_core::client::{ApiError, Client, Part, Patch, Target};
use orch_core::object::{ApiResource, Document, ObjectKey};
use serde_json::json;

use crate::controllers::pod_condition::{PodCondition, set_pod_condition_while};

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
    let is_unbound = |pod: &Document| {
        let node = pod.lookup("spec.nodeName");
        node.is_none_or(|node| node.as_str().is_none_or(str::is_empty))
    };
    set_pod_condition_while(client, pod, uid, &condition, is_unbound).await
}
