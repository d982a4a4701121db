//! Sets one condition in a pod's status, for those that are not its node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{ApiError, Client, Part, Patch, Target, retry_on_conflict};
use orch_core::object::{Object, ObjectKey};
use serde_json::{Value, json};

use super::part;

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
    let target = Target {
        resource: Arc::new(Pod::resource()),
        key: pod.clone(),
    };
    let target = &target;
    retry_on_conflict(|| async move {
        let document = client.backend().get(target).await?;
        let status: WireStatus = part(&document, "status").unwrap_or_default();
        let mut conditions = status.conditions.unwrap_or_default();
        let before = conditions.iter().position(|own| own["type"] == condition.type_);
        let text = |own: &Value, field: &str, wanted: &str| own[field].as_str().unwrap_or_default() == wanted;
        if let Some(own) = before.map(|at| &conditions[at])
            && text(own, "status", condition.status)
            && text(own, "reason", condition.reason)
            && text(own, "message", &condition.message)
        {
            return Ok(());
        }
        let since = before.map(|at| &conditions[at]);
        let since = since.filter(|own| text(own, "status", condition.status));
        let since = since.map(|own| own["lastTransitionTime"].clone());
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
        let version = document.revision().to_string();
        let patch = Patch::Merge(json!({
            "metadata": {"uid": uid, "resourceVersion": version}, "status": {"conditions": conditions},
        }));
        client.backend().patch(target, Part::Status, &patch, &Default::default()).await?;
        Ok(())
    })
    .await
}
