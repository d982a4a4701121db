//! Admission webhooks: programs that are asked before an object is written, and may change it or refuse it.
//!
//! MutatingWebhookConfigurations and ValidatingWebhookConfigurations say which, and of what writes. Sources: Kubernetes'
//! `k8s.io/apiserver/pkg/admission/plugin/webhook`.

mod ask;
mod caller;
mod configurations;
mod question;
mod review;
#[cfg(test)]
mod tests;
mod unasked;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use orch_core::client::{Admission, AdmissionRequest, Operation, Refusal};
use orch_core::object::ApiResource;
use orch_core::random::Random;

pub use caller::{ANSWER_MAX, Call, CallError, Caller};
pub use unasked::Unasked;

use ask::Failure;
use configurations::Configurations;
use question::Question;
use webhook::Webhook;

use crate::admission::{GROUP, internal};

/// Whom webhooks and `kubectl auth whoami` are told of as the one who writes: all who may use a cluster at all are one user here.
pub const USER: &str = "orch:admin";
/// The groups of [`USER`]: those of Kubernetes who may do everything.
pub const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];
/// How many validating webhooks are asked about one write at the same time.
const AT_ONCE: usize = 16;

/// Asks the webhooks that are configured, as kube-apiserver's plugins MutatingAdmissionWebhook and ValidatingAdmissionWebhook do.
///
/// A configuration counts from the write that makes it on, in every process over the same store: each write reads those that
/// there are. Mutating webhooks are asked one after the other, by the names of their configurations, and those with
/// `reinvocationPolicy: IfNeeded` once more if a later one changed the object. Validating ones are asked together; of several
/// that refuse the first is told of.
///
/// Admission sees whole objects in the version that they are stored in: rules for subresources (`pods/status`) and for `CONNECT`
/// never match, of which who configures them is warned, and those for another version have the webhook asked in the stored one
/// (but for `matchPolicy: Exact`). A new number of replicas is a change of the whole workload, whether it came by
/// `deployments/scale` or not. A configuration that cannot be read has every write fail, since what it refuses is not known; it can be
/// deleted. What webhooks warn of is told of writes that all of them allow.
///
/// ```
/// use std::sync::Arc;
///
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use orch_cluster::webhooks::{Call, CallError, Caller, Webhooks};
/// use orch_core::client::Client;
/// use orch_core::object::Document;
/// use orch_core::store::MemoryStore;
/// use serde_json::{Value, json};
///
/// /// A webhook in the process, whatever the configuration says of where it is.
/// struct Never;
///
/// #[async_trait::async_trait]
/// impl Caller for Never {
///     async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
///         let review: Value = serde_json::from_slice(&call.review).map_err(CallError::new)?;
///         let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
///             "uid": review["request"]["uid"], "allowed": false, "status": {"message": "never"},
///         }});
///         Ok(answer.to_string().into_bytes())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let builder = Client::builder(Arc::new(MemoryStore::new())).admission(Webhooks::new(Never));
/// let client = orch_cluster::kinds::teach(builder).build();
/// let configuration = serde_json::from_value(json!({
///     "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "a"},
///     "webhooks": [{"name": "maps.policy.example.com", "clientConfig": {"url": "https://example.com"},
///         "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
///         "sideEffects": "None", "admissionReviewVersions": ["v1"]}],
/// }))?;
/// client.all::<k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration>().create(&configuration).await?;
///
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let refused = client.api("default").create(&map).await.unwrap_err();
/// assert_eq!(refused.to_string(), r#"admission webhook "maps.policy.example.com" denied the request: never"#);
/// # Ok(())
/// # }
/// ```
pub struct Webhooks {
    caller: Arc<dyn Caller>,
    random: Random,
    mutating: Configurations,
    validating: Configurations,
}

impl Webhooks {
    /// Webhooks that are reached through `caller`.
    pub fn new(caller: impl Caller) -> Self {
        Self::shared(Arc::new(caller))
    }

    pub(crate) fn shared(caller: Arc<dyn Caller>) -> Self {
        Self {
            caller,
            random: Random::from_os(),
            mutating: Configurations::mutating(),
            validating: Configurations::validating(),
        }
    }

    /// Where the uids of reviews come from; by default the operating system's randomness.
    #[must_use]
    pub fn random(self, random: Random) -> Self {
        Self { random, ..self }
    }

    /// Asks a webhook to change the object; says whether it did.
    async fn change(
        &self,
        webhook: &Webhook,
        question: &mut Question<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<bool, Refusal> {
        let asked = ask::mutating(
            &*self.caller,
            webhook,
            question,
            self.random.uuid(),
            request.client,
        );
        let answer = allowed(webhook, asked.await)?;
        let Some(answer) = answer else {
            return Ok(false);
        };
        for warning in answer.warnings {
            request.warnings.add(warning);
        }
        let Some(patch) = answer.patch else {
            return Ok(false);
        };
        let changed = question
            .patched(webhook.name(), &patch, request)
            .await
            .map_err(Refusal::Failed)?;
        if changed {
            question.is_about(request)?;
        }
        Ok(changed)
    }
}

/// What a webhook answered; none where it failed and that does not matter.
fn allowed<T>(webhook: &Webhook, asked: Result<T, Failure>) -> Result<Option<T>, Refusal> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(Failure::Calling(why)) if webhook.ignores_failures() => {
            tracing::warn!(webhook = webhook.name(), %why, "a webhook could not be asked, going on without it");
            Ok(None)
        }
        Err(Failure::Calling(why)) => {
            let name = webhook.name();
            let why = format!("failed calling webhook {name:?}: {why}");
            Err(Refusal::Failed(internal(&why)))
        }
        Err(Failure::Refused(error)) => Err(Refusal::Failed(error)),
    }
}

#[async_trait]
impl Admission for Webhooks {
    fn name(&self) -> &str {
        "Webhooks"
    }

    fn handles(&self, resource: &ApiResource, _: Operation) -> bool {
        resource.group != GROUP
    }

    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        let mut webhooks = self.mutating.newest(request.client).await?;
        webhooks.retain(|webhook| webhook.has_rule_for(request.resource, request.operation));
        if webhooks.is_empty() {
            return Ok(());
        }
        let mut question = Question::new(request)?;
        // By their places: those that want to be asked again, and those that are to be.
        let (mut asked, mut again) = (BTreeSet::new(), BTreeSet::new());
        for is_first in [true, false] {
            for (place, webhook) in webhooks.iter().enumerate() {
                if !is_first && !again.contains(&place) || !question.concerns(webhook, request).await? {
                    continue;
                }
                if self.change(webhook, &mut question, request).await? {
                    again.append(&mut asked);
                }
                if webhook.is_asked_again() {
                    asked.insert(place);
                }
            }
        }
        Ok(())
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        let mut webhooks = self.validating.newest(request.client).await?;
        webhooks.retain(|webhook| webhook.has_rule_for(request.resource, request.operation));
        if webhooks.is_empty() {
            return Ok(());
        }
        let mut question = Question::new(request)?;
        let mut concerned = Vec::new();
        for webhook in webhooks {
            if question.concerns(&webhook, request).await? {
                concerned.push(webhook);
            }
        }
        let question = &question;
        let asked = concerned.into_iter().map(|webhook| async move {
            let uid = self.random.uuid();
            let asked = ask::validating(&*self.caller, &webhook, question, uid, request.client).await;
            allowed(&webhook, asked)
        });
        let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        for answer in answers {
            for warning in answer?.into_iter().flatten() {
                request.warnings.add(warning);
            }
        }
        Ok(())
    }
}
