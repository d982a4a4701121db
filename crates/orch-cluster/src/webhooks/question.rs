//! What webhooks are asked about: a write, as far as it has come.

use orch_core::client::{AdmissionRequest, ApiError, ErrorSubject, Operation, Patch, Refusal};
use orch_core::object::{ApiResource, ObjectKey, RawObject};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::webhook::Webhook;
use crate::admission::{self, Home, Told};
use crate::expression::{Given, Val};
use crate::kinds;

/// The metadata that no webhook changes: in Kubernetes they are filled in after all were asked.
const KEPT: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// A write, in the form in which webhooks are told of it.
pub(super) struct Question<'a> {
    pub(super) resource: &'a ApiResource,
    pub(super) key: &'a ObjectKey,
    pub(super) operation: Operation,
    pub(super) dry_run: bool,
    /// The object as it would be; none of one that is deleted.
    pub(super) object: Option<Box<RawValue>>,
    /// The object as it is; none of a new one.
    pub(super) old: Option<Box<RawValue>>,
    /// Its namespace.
    home: Home,
    /// What conditions are told of it, once there were any.
    told: Option<Told>,
}

impl<'a> Question<'a> {
    pub(super) fn new(request: &AdmissionRequest<'a>) -> Result<Self, Refusal> {
        let old = request.old.map(|old| serde_json::from_slice(&old.to_json()));
        let mut question = Self {
            resource: request.resource,
            key: request.key,
            operation: request.operation,
            dry_run: request.dry_run,
            object: None,
            old: old.transpose().map_err(unwritable)?,
            home: Home::default(),
            told: None,
        };
        question.is_about(request)?;
        Ok(question)
    }

    /// Takes the object as it has become.
    pub(super) fn is_about(&mut self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        if self.operation != Operation::Delete {
            self.object = Some(to_raw_value(&*request.object).map_err(unwritable)?);
        }
        Ok(())
    }

    /// Whether a webhook is to be asked.
    pub(super) async fn concerns(
        &mut self,
        webhook: &Webhook,
        request: &AdmissionRequest<'_>,
    ) -> Result<bool, Refusal> {
        if !webhook.labels.select(request, &mut self.home).await? {
            return Ok(false);
        }
        self.meets_conditions(webhook, request)
    }

    fn meets_conditions(
        &mut self,
        webhook: &Webhook,
        request: &AdmissionRequest<'_>,
    ) -> Result<bool, Refusal> {
        if webhook.conditions.is_empty() {
            return Ok(true);
        }
        if self.told.is_none() {
            self.told = Some(Told::new(request)?);
        }
        let inputs = self.told.iter().flat_map(|told| told.inputs(request));
        let inputs = inputs.chain([("namespaceObject", Val::Null)]);
        match webhook.conditions.are_met(&Given::new(inputs, &[])) {
            Err(_) if webhook.ignores_failures() => Ok(false),
            met => met.map_err(|reason| {
                Refusal::Failed(ApiError::Forbidden {
                    subject: admission::subject(request),
                    reason,
                })
            }),
        }
    }

    /// Changes the object as a webhook has it; says whether anything is another than before.
    pub(super) async fn patched(
        &self,
        webhook: &str,
        patch: &Patch,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<bool, ApiError> {
        let (object, rules) = (&mut *request.object, request.rules);
        if self.object.is_none() {
            return Err(admission::internal(&format!(
                "admission webhook {webhook:?} attempted to modify the object, which is not supported for this operation"
            )));
        }
        let subject = || ErrorSubject {
            resource: Box::new(self.resource.clone()),
            key: self.key.clone(),
        };
        let mut new = patch.apply(object.clone(), subject).await.map_err(|error| {
            admission::internal(&format!("the patch of admission webhook {webhook:?}: {error}"))
        })?;
        for at in ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"] {
            let of = |object: &RawObject| pointed(object, at).cloned();
            if of(&new) != of(object) {
                return Err(admission::internal(&format!(
                    "admission webhook {webhook:?} attempted to change {at}, which says which object it is"
                )));
            }
        }
        keep(&mut new, object, &KEPT, rules.has_status());
        rules.prune(&mut new);
        // The next webhook finds it filled in.
        rules.default(&mut new);
        let is_changed = new != *object;
        *object = new;
        Ok(is_changed)
    }
}

/// Takes from `old` what a webhook does not change.
fn keep(new: &mut RawObject, old: &RawObject, metadata: &[&str], status: bool) {
    let of_old = old.get("metadata").and_then(Value::as_object);
    if let (Some(Value::Object(meta)), Some(old)) = (new.get_mut("metadata"), of_old) {
        for field in metadata {
            kinds::keep(meta, old, field);
        }
    }
    if status {
        kinds::keep(new, old, "status");
    }
}

/// The value at a JSON pointer of two steps at most.
fn pointed<'a>(object: &'a RawObject, pointer: &str) -> Option<&'a Value> {
    let mut steps = pointer.split('/').skip(1);
    let top = object.get(steps.next()?)?;
    steps.try_fold(top, |value, step| value.get(step))
}

fn unwritable(error: serde_json::Error) -> Refusal {
    Refusal::Failed(admission::internal(&format!(
        "could not create admission objects: {error}"
    )))
}
