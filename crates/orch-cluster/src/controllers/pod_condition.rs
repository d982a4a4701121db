//! Sets one condition in a pod's status, for those that are not its node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{ApiError, Client, Part, Patch, Target, WriteParams};
use orch_core::object::{Document, Object, ObjectKey};
use orch_core::store::Revision;
use serde_json::{Value, json};

use super::part;

/// How often the write is tried against other writers.
const ATTEMPTS: usize = 16;

/// One condition of a pod.
#[derive(Clone, Debug)]
pub(crate) struct PodCondition {
    pub(crate) type_: &'static str,
    pub(crate) status: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

#[derive(Default, serde::Deserialize)]
struct WireStatus {
    conditions: Option<Vec<Value>>,
}

/// Sets `condition` among those of the pod that has this uid; the others stay as they are. Writes nothing if
/// it is there already. Its time changes when its status does.
pub(crate) async fn set_pod_condition(
    client: &Client,
    pod: &ObjectKey,
    uid: &str,
    condition: &PodCondition,
) -> Result<(), ApiError> {
    set_pod_condition_while(client, pod, uid, condition, |_| true).await
}

/// The same, but writes nothing of a pod of which `holds` does not hold any more.
pub(crate) async fn set_pod_condition_while(
    client: &Client,
    pod: &ObjectKey,
    uid: &str,
    condition: &PodCondition,
    holds: impl Fn(&Document) -> bool,
) -> Result<(), ApiError> {
    let target = Target {
        resource: Arc::new(Pod::resource()),
        key: pod.clone(),
    };
    for _ in 0..ATTEMPTS {
        let document = client.backend().get(&target).await?;
        if !holds(&document) {
            return Ok(());
        }
        match set_pod_condition_of(client, &document, uid, condition).await {
            Err(ApiError::Conflict { .. }) if document.meta().uid == uid => {}
            written => return written.map(drop),
        }
    }
    Err(ApiError::Unavailable(
        format!("pod {pod}: too many writers of its status").into(),
    ))
}

/// The same of a pod as it was read, if it is still so; the version that it has then, none if nothing was to be written.
pub(crate) async fn set_pod_condition_of(
    client: &Client,
    pod: &Document,
    uid: &str,
    condition: &PodCondition,
) -> Result<Option<Revision>, ApiError> {
    let Some(conditions) = with_condition(pod, condition) else {
        return Ok(None);
    };
    let target = Target {
        resource: Arc::new(Pod::resource()),
        key: pod.key(),
    };
    let version = pod.revision().to_string();
    let patch = Patch::Merge(json!({
        "metadata": {"uid": uid, "resourceVersion": version}, "status": {"conditions": conditions},
    }));
    let backend = client.backend();
    let written = backend
        .patch(&target, Part::Status, &patch, &WriteParams::default())
        .await?;
    Ok(Some(written.document.revision()))
}

/// The pod's conditions with this one among them; none if it is there already.
fn with_condition(pod: &Document, condition: &PodCondition) -> Option<Vec<Value>> {
    let status: WireStatus = part(pod, "status").unwrap_or_default();
    let mut conditions = status.conditions.unwrap_or_default();
    let before = conditions.iter().position(|own| own["type"] == condition.type_);
    let text = |own: &Value, field: &str, wanted: &str| own[field].as_str().unwrap_or_default() == wanted;
    let own = before.map(|at| &conditions[at]);
    let same_status = own.filter(|own| text(own, "status", condition.status));
    if same_status
        .is_some_and(|own| text(own, "reason", condition.reason) && text(own, "message", &condition.message))
    {
        return None;
    }
    let since = same_status.map(|own| own["lastTransitionTime"].clone());
    let now = orch_core::time::now().as_second();
    let now = jiff::Timestamp::from_second(now).map_or(Value::Null, |now| now.to_string().into());
    let new = json!({
        "type": condition.type_, "status": condition.status, "reason": condition.reason,
        "message": condition.message, "lastTransitionTime": since.unwrap_or(now),
    });
    match before {
        Some(at) => conditions[at] = new,
        None => conditions.push(new),
    }
    Some(conditions)
}
