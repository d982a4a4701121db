//! Which objects a webhook or a policy is about, by their labels and those of their namespaces.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_core::client::{AdmissionRequest, Operation, Refusal, Target};
use orch_core::object::{self, ApiResource, Document, Object, ObjectKey, RawObject, Selector};

/// Objects and namespaces, selected by their labels.
#[derive(Debug)]
pub(crate) struct Labels {
    namespaces: Selector,
    objects: Selector,
}

impl Labels {
    pub(crate) fn new(namespaces: Option<&LabelSelector>, objects: Option<&LabelSelector>) -> Self {
        Self {
            namespaces: selector(namespaces),
            objects: selector(objects),
        }
    }

    /// Whether they select the object, as it was or would be, and its namespace.
    ///
    /// # Errors
    ///
    /// That of a namespace that cannot be read.
    pub(crate) async fn select(
        &self,
        request: &AdmissionRequest<'_>,
        home: &mut Home,
    ) -> Result<bool, Refusal> {
        let is_kept = request.operation != Operation::Delete;
        let is_new = is_kept && selects(&self.objects, request.object);
        let is_old = request
            .old
            .is_some_and(|old| self.objects.matches(&old.meta().labels));
        if !is_new && !is_old {
            return Ok(false);
        }
        if self.namespaces.is_everything() {
            return Ok(true);
        }
        if is_kept && *request.resource == Namespace::resource() {
            return Ok(selects(&self.namespaces, request.object));
        }
        let namespace = home.read(request).await?;
        Ok(namespace.is_none_or(|namespace| self.namespaces.matches(&namespace.meta().labels)))
    }
}

/// What was validated when it was written; one that is not understood nevertheless selects everything, so that nothing passes
/// for its sake.
fn selector(selector: Option<&LabelSelector>) -> Selector {
    let selector = selector.map(|selector| object::LabelSelector::from(selector).to_selector());
    selector.and_then(Result::ok).unwrap_or_else(Selector::everything)
}

/// Whether a selector selects an object by its labels.
fn selects(selector: &Selector, object: &RawObject) -> bool {
    let labels = object.get("metadata").and_then(|meta| meta.get("labels"));
    selector.matches_by(|key| labels?.get(key)?.as_str())
}

/// The namespace that an object is in, once it was needed.
#[derive(Default)]
pub(crate) struct Home(Option<Document>);

impl Home {
    /// Its name; a namespace is in itself.
    pub(crate) fn name<'r>(request: &AdmissionRequest<'r>) -> Option<&'r str> {
        home(request.resource, request.key)
    }

    /// The namespace; none of what is in none.
    ///
    /// # Errors
    ///
    /// That it is not there, or the store's.
    pub(crate) async fn read(
        &mut self,
        request: &AdmissionRequest<'_>,
    ) -> Result<Option<&Document>, Refusal> {
        let Some(name) = Self::name(request) else {
            return Ok(None);
        };
        if self.0.is_none() {
            let target = Target {
                resource: Arc::new(Namespace::resource()),
                key: ObjectKey::new(None, name),
            };
            let found = request.client.backend().get(&target).await;
            self.0 = Some(found.map_err(Refusal::Failed)?);
        }
        Ok(self.0.as_ref())
    }
}

pub(super) fn home<'k>(resource: &ApiResource, key: &'k ObjectKey) -> Option<&'k str> {
    let is_namespace = *resource == Namespace::resource();
    key.namespace().or(is_namespace.then(|| key.name()))
}
