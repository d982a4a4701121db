//! The webhooks that are configured now.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use orch_core::client::{Client, Collection, ListParams, Refusal};
use orch_core::object::{Document, DocumentError, Object};
use orch_core::store::Revision;
use parking_lot::Mutex;

use super::matching::Webhook;
use crate::kinds::with_reinvocation;

type Webhooks = Vec<Arc<Webhook>>;

/// The configurations of a kind, each taken apart once.
pub(super) struct Configurations {
    collection: Collection,
    read: fn(&Document) -> Result<Vec<MutatingWebhook>, DocumentError>,
    known: Mutex<BTreeMap<String, (Revision, Webhooks)>>,
}

impl Configurations {
    pub(super) fn mutating() -> Self {
        Self::of::<MutatingWebhookConfiguration>(|document| {
            let configuration: MutatingWebhookConfiguration = document.decode()?;
            Ok(configuration.webhooks.unwrap_or_default())
        })
    }

    pub(super) fn validating() -> Self {
        Self::of::<ValidatingWebhookConfiguration>(|document| {
            let configuration: ValidatingWebhookConfiguration = document.decode()?;
            let webhooks = configuration.webhooks.into_iter().flatten();
            Ok(webhooks.map(with_reinvocation).collect())
        })
    }

    fn of<K: Object>(read: fn(&Document) -> Result<Vec<MutatingWebhook>, DocumentError>) -> Self {
        Self {
            collection: Collection {
                resource: Arc::new(K::resource()),
                namespace: None,
            },
            read,
            known: Mutex::default(),
        }
    }

    /// The webhooks of all, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// The store's, and that of a configuration that cannot be read: what it has refused must not pass without it.
    pub(super) async fn newest(&self, client: &Client) -> Result<Webhooks, Refusal> {
        let list = client
            .backend()
            .list(&self.collection, &ListParams::default())
            .await
            .map_err(Refusal::Failed)?;
        if let Some(key) = list.unreadable.first() {
            let kind = &self.collection.resource.kind;
            let why = format!(
                "{kind} {:?} cannot be read; delete it and make it anew",
                key.name()
            );
            return Err(Refusal::Failed(super::internal(&why)));
        }
        if list.items.is_empty() {
            return Ok(Vec::new());
        }
        let mut known = self.known.lock();
        known.retain(|name, _| list.items.iter().any(|document| document.meta().name == *name));
        let mut webhooks = Vec::new();
        for document in &list.items {
            let name = &document.meta().name;
            let webhooks_of = match known.get(name) {
                Some((revision, webhooks)) if *revision == document.revision() => webhooks.clone(),
                _ => {
                    let read = (self.read)(document).map_err(|error| {
                        let why = format!(
                            "{} {name:?} cannot be read: {error}",
                            self.collection.resource.kind
                        );
                        Refusal::Failed(super::internal(&why))
                    })?;
                    let made: Webhooks = read.into_iter().map(|one| Arc::new(Webhook::new(one))).collect();
                    known.insert(name.clone(), (document.revision(), made.clone()));
                    made
                }
            };
            webhooks.extend(webhooks_of);
        }
        Ok(webhooks)
    }
}
