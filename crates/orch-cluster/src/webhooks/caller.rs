//! How webhooks are reached: by HTTPS, or in the process.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use orch_core::client::Client;

/// The longest answer of a webhook that is read, in bytes: that of the longest object that kube-apiserver takes.
pub const ANSWER_MAX: usize = 3 << 20;

/// Reaches webhooks. `orch-api` has one that does so by HTTPS (`HttpsCaller`, feature `webhooks`); tests and embedding programs
/// may answer in the process.
#[async_trait]
pub trait Caller: Send + Sync + 'static {
    /// Asks a webhook; what it answers is an `AdmissionReview` as JSON, of no more than [`ANSWER_MAX`] bytes.
    ///
    /// It may be dropped at any await, which it is when the time of the webhook is up, and is called again for the same write if that is
    /// repeated after a conflict.
    ///
    /// # Errors
    ///
    /// Whatever kept the webhook from answering with a status of success.
    async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError>;
}

/// A question to a webhook.
#[derive(Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// Where it is.
    pub endpoint: &'a WebhookClientConfig,
    /// The `AdmissionReview`, as JSON.
    pub review: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// For finding a service.
    pub client: &'a Client,
}

impl Call<'_> {
    /// The URL to post to. The host of a service is the name that its certificate must be for: `name.namespace.svc`.
    pub fn url(&self) -> String {
        let base = match (&self.endpoint.url, &self.endpoint.service) {
            (Some(url), _) => url.clone(),
            (None, Some(service)) => {
                let path = service.path.as_deref().unwrap_or_default();
                format!(
                    "https://{}.{}.svc:{}/{}",
                    service.name,
                    service.namespace,
                    service.port.unwrap_or(443),
                    path.trim_start_matches('/')
                )
            }
            (None, None) => String::new(),
        };
        format!("{base}?timeout={}s", self.timeout.as_secs())
    }
}

/// Why a webhook could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CallError(String);

impl CallError {
    /// As told in words.
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}
