//! The webhooks that are configured now.

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use orch_core::client::{Client, Refusal};
use orch_core::object::DocumentError;

use super::webhook::Webhook;
use crate::admission::Stored;
use crate::kinds::with_reinvocation;

type Webhooks = Vec<Arc<Webhook>>;

/// The configurations of a kind.
pub(super) struct Configurations(Stored<Webhooks>);

impl Configurations {
    pub(super) fn mutating() -> Self {
        Self(Stored::of::<MutatingWebhookConfiguration>(|document| {
            let configuration = document.decode::<MutatingWebhookConfiguration>();
            made(configuration.map(|configuration| configuration.webhooks.unwrap_or_default()))
        }))
    }

    pub(super) fn validating() -> Self {
        Self(Stored::of::<ValidatingWebhookConfiguration>(|document| {
            let configuration = document.decode::<ValidatingWebhookConfiguration>();
            made(configuration.map(|configuration| {
                let webhooks = configuration.webhooks.into_iter().flatten();
                webhooks.map(with_reinvocation).collect()
            }))
        }))
    }

    /// The webhooks of all, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// Those of [`Stored::newest`].
    pub(super) async fn newest(&self, client: &Client) -> Result<Webhooks, Refusal> {
        let configurations = self.0.newest(client).await?;
        let webhooks = configurations.iter().flat_map(|webhooks| webhooks.iter());
        Ok(webhooks.cloned().collect())
    }
}

fn made(read: Result<Vec<MutatingWebhook>, DocumentError>) -> Result<Webhooks, String> {
    let webhooks = read.map_err(|error| error.to_string())?;
    let made = webhooks.into_iter().map(|one| Webhook::new(one).map(Arc::new));
    made.collect::<Result<_, _>>()
        .map_err(|errors| errors.to_string())
}
