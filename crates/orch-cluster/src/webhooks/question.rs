//! What webhooks are asked about: a write, as far as it has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use orch_core::client::{AdmissionRequest, ApiError, ErrorSubject, Operation, Patch, Refusal, Target};
use orch_core::object::{ApiResource, Object, ObjectKey, RawObject, Selector};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::matching::Webhook;
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

type Labels = BTreeMap<String, String>;

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
    /// Those of its namespace, once they were needed.
    namespace: Option<Labels>,
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
            namespace: None,
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
        let is_new = self.object.is_some() && selects(&webhook.objects, request.object);
        let is_old = request
            .old
            .is_some_and(|old| webhook.objects.matches(&old.meta().labels));
        if !is_new && !is_old {
            return Ok(false);
        }
        if webhook.namespaces.is_everything() {
            return Ok(true);
        }
        let is_namespace = *self.resource == Namespace::resource();
        if is_namespace && self.object.is_some() {
            return Ok(selects(&webhook.namespaces, request.object));
        }
        let namespace = self.key.namespace().or(is_namespace.then(|| self.key.name()));
        let Some(namespace) = namespace else {
            return Ok(true);
        };
        if self.namespace.is_none() {
            let target = Target {
                resource: Arc::new(Namespace::resource()),
                key: ObjectKey::new(None, namespace),
            };
            let found = request
                .client
                .backend()
                .get(&target)
                .await
                .map_err(Refusal::Failed)?;
            self.namespace = Some(found.meta().labels.clone());
        }
        Ok(self
            .namespace
            .as_ref()
            .is_some_and(|labels| webhook.namespaces.matches(labels)))
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
            return Err(super::internal(&format!(
                "admission webhook {webhook:?} attempted to modify the object, which is not supported for this operation"
            )));
        }
        let subject = || ErrorSubject {
            resource: Box::new(self.resource.clone()),
            key: self.key.clone(),
        };
        let mut new = patch.apply(object.clone(), subject).await.map_err(|error| {
            super::internal(&format!("the patch of admission webhook {webhook:?}: {error}"))
        })?;
        for at in ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"] {
            let of = |object: &RawObject| pointed(object, at).cloned();
            if of(&new) != of(object) {
                return Err(super::internal(&format!(
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

/// Whether a selector selects an object by its labels.
fn selects(selector: &Selector, object: &RawObject) -> bool {
    let labels = pointed(object, "/metadata/labels");
    selector.matches_by(|key| labels?.get(key)?.as_str())
}

fn unwritable(error: serde_json::Error) -> Refusal {
    Refusal::Failed(super::internal(&format!(
        "could not create admission objects: {error}"
    )))
}
