//! Deletes the objects of a kind whose CustomResourceDefinition is being deleted, then lets that go.
//!
//! Source: apiextensions-apiserver's `pkg/controller/finalizer`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_core::client::{ApiError, Client, Part, Patch, Target, WriteParams};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Object, ObjectKey, ObjectMeta};
use orch_core::random::Random;
use orch_core::time;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::empty::{Remaining, empty};
use crate::custom::{DEFINITION, Definition};
use crate::kinds::CLEANUP;

/// How soon it is looked again whether the objects are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A definition, as far as must be known of one that goes.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Going {
    metadata: ObjectMeta,
}

impl Object for Going {
    fn resource() -> ApiResource {
        DEFINITION
    }

    fn metadata(&self) -> Cow<'_, ObjectMeta> {
        Cow::Borrowed(&self.metadata)
    }

    fn set_metadata(&mut self, metadata: ObjectMeta) {
        self.metadata = metadata;
    }
}

struct DefinitionController;

/// Starts the controller.
pub(crate) fn start(client: &Client, random: Random) -> Running {
    Engine::new(DefinitionController, client).random(random).start()
}

#[async_trait]
impl Controller for DefinitionController {
    type Object = Going;

    async fn reconcile(&self, going: Arc<Going>, cx: &Context) -> Result<Action, ReconcileError> {
        let meta = &going.metadata;
        if !meta.is_deleting() || !meta.finalizers.iter().any(|own| own == CLEANUP) {
            return Ok(Action::done());
        }
        let target = Target {
            resource: Arc::new(DEFINITION),
            key: ObjectKey::new(None, &meta.name),
        };
        let document = match cx.client().backend().get(&target).await {
            Ok(document) => document,
            Err(ApiError::NotFound(_)) => return Ok(Action::done()),
            Err(error) => return Err(error.into()),
        };
        // Of one that cannot be used there are no objects.
        if let Some(definition) = Definition::read(&document) {
            let (remaining, failed) = empty(cx.client(), &definition.stored().resource, None).await;
            if let Some(failed) = failed {
                return Err(failed.first.into());
            }
            if let Some(remaining) = remaining {
                say(cx.client(), &target, &document, &remaining).await?;
                return Ok(Action::requeue_after(LOOK_AGAIN));
            }
        }
        let newest = document.meta().finalizers.iter();
        let kept: Vec<_> = newest.filter(|own| *own != CLEANUP).collect();
        let patch = Patch::Merge(json!({
            "metadata": {"uid": meta.uid, "resourceVersion": document.revision().to_string(), "finalizers": kept},
        }));
        change(cx.client(), &target, Part::Whole, &patch).await?;
        Ok(Action::done())
    }
}

/// Tells in the status for what the definition waits, unless it says so already.
async fn say(
    client: &Client,
    target: &Target,
    definition: &orch_core::object::Document,
    remaining: &Remaining,
) -> Result<(), ReconcileError> {
    let message = match remaining.finalizers.is_empty() {
        true => format!("{} objects are being deleted", remaining.objects),
        false => {
            let held = remaining.finalizers.iter();
            let held: Vec<_> = held.map(|(name, count)| format!("{name} in {count}")).collect();
            format!(
                "{} objects remain, held by finalizers: {}",
                remaining.objects,
                held.join(", ")
            )
        }
    };
    let mut conditions = match definition.lookup("status.conditions") {
        Some(serde_json::Value::Array(conditions)) => conditions,
        _ => Vec::new(),
    };
    if conditions
        .iter()
        .any(|one| one["type"] == "Terminating" && one["message"] == message)
    {
        return Ok(());
    }
    conditions.retain(|one| one["type"] != "Terminating");
    let now = jiff::Timestamp::from_second(time::now().as_second()).unwrap_or_default();
    conditions.push(json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionInProgress",
        "message": message, "lastTransitionTime": now.to_string(),
    }));
    let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
    change(client, target, Part::Status, &patch).await
}

async fn change(
    client: &Client,
    target: &Target,
    part: Part<'_>,
    patch: &Patch,
) -> Result<(), ReconcileError> {
    let params = WriteParams::default();
    match client.backend().patch(target, part, patch, &params).await {
        Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
