//! Conversion by webhook: a program makes objects of one version of a kind ones of another
//! (`spec.conversion` of a CustomResourceDefinition; apiextensions-apiserver's `pkg/apiserver/conversion/webhook_converter.go`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceConversion;
use orch_core::client::{ApiError, Client, Conversion};
use orch_core::object::RawObject;
use orch_core::random::Random;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission::internal;
use crate::kinds::{REVIEWS, as_of_admission};
use crate::webhooks::{Call, Caller};

/// How long a webhook may take.
const TIMEOUT: Duration = Duration::from_secs(30);
const KIND: &str = "ConversionReview";

/// The webhook that converts the objects of a kind.
#[derive(Clone, Debug)]
pub(super) struct Webhook {
    endpoint: WebhookClientConfig,
    /// The version of `ConversionReview` that it is asked in.
    review: &'static str,
}

impl Webhook {
    /// The one that is configured, if one is that can be asked.
    pub(super) fn read(conversion: &CustomResourceConversion) -> Option<Self> {
        let webhook = conversion.webhook.as_ref()?;
        let mut wanted = webhook.conversion_review_versions.iter();
        let review = wanted.find_map(|version| REVIEWS.into_iter().find(|known| known == version))?;
        Some(Self {
            endpoint: as_of_admission(webhook.client_config.as_ref()?),
            review,
        })
    }
}

/// Converts by asking a webhook.
pub(super) struct ByWebhook {
    pub(super) webhook: Webhook,
    /// The kind, as errors name it.
    pub(super) kind: String,
    pub(super) caller: Option<Arc<dyn Caller>>,
    pub(super) random: Random,
}

#[async_trait]
impl Conversion for ByWebhook {
    async fn convert(
        &self,
        objects: Vec<RawObject>,
        api_version: &str,
        client: &Client,
    ) -> Result<Vec<RawObject>, ApiError> {
        let is_other = |object: &RawObject| text(object, "apiVersion") != api_version;
        let others: Vec<_> = objects.iter().filter(|object| is_other(object)).collect();
        let Some(first) = others.first() else {
            return Ok(objects);
        };
        let from = text(first, "apiVersion").to_owned();
        let failed = |why: String| {
            let (kind, webhook) = (&self.kind, "conversion webhook for");
            internal(&format!("{webhook} {from}, Kind={kind} {why}"))
        };
        let uid = self.random.uuid();
        let answer = self.ask(&others, api_version, &uid, client).await;
        let converted = answer.map_err(|why| failed(format!("failed: {why}")))?;
        if converted.len() != others.len() {
            let (got, expected) = (converted.len(), others.len());
            return Err(failed(format!("returned {got} objects, expected {expected}")));
        }
        let mut converted = converted.into_iter().enumerate();
        let whole = objects.into_iter().map(|object| {
            if !is_other(&object) {
                return Ok(object);
            }
            let (index, mut new) = converted.next().unwrap_or_default();
            match keep(&object, &mut new, api_version) {
                Ok(()) => Ok(new),
                Err(why) => Err(failed(format!(
                    "returned invalid converted object at index {index}: {why}"
                ))),
            }
        });
        whole.collect()
    }
}

impl ByWebhook {
    async fn ask(
        &self,
        objects: &[&RawObject],
        api_version: &str,
        uid: &str,
        client: &Client,
    ) -> Result<Vec<RawObject>, String> {
        let Some(caller) = &self.caller else {
            return Err(
                "no webhooks are asked in this cluster; whoever starts it gives ClusterBuilder::webhooks a caller"
                    .to_owned(),
            );
        };
        let version = format!("apiextensions.k8s.io/{}", self.webhook.review);
        let review = json!({
            "apiVersion": version, "kind": KIND,
            "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
        });
        let call = Call {
            endpoint: &self.webhook.endpoint,
            review: review.to_string().into_bytes(),
            timeout: TIMEOUT,
            client,
        };
        let url = call.url();
        let failed = |why: &dyn std::fmt::Display| format!("Post {url:?}: {why}");
        let answer = match tokio::time::timeout(TIMEOUT, caller.call(call)).await {
            Ok(answer) => answer.map_err(|error| failed(&error))?,
            Err(_) => return Err(failed(&"context deadline exceeded")),
        };
        read(&answer, &version, uid)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    response: Option<Response>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    uid: String,
    converted_objects: Option<Vec<RawObject>>,
    #[serde(default)]
    result: Outcome,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    status: String,
    message: String,
}

/// What a webhook has answered to the question `uid`.
fn read(json: &[u8], version: &str, uid: &str) -> Result<Vec<RawObject>, String> {
    let review: Review = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if (&*review.api_version, &*review.kind) != (version, KIND) {
        return Err(format!(
            "expected webhook response of {version}, Kind={KIND}, got {}, Kind={}",
            review.api_version, review.kind
        ));
    }
    let response = review.response.ok_or("no response provided")?;
    if response.uid != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
    }
    match response.result {
        Outcome { status, .. } if status == "Success" => Ok(response.converted_objects.unwrap_or_default()),
        Outcome { message, .. } if !message.is_empty() => Err(message),
        Outcome { status, .. } => Err(format!("response.result.status was '{status}', not 'Success'")),
    }
}

/// Checks that an object is still the same, and gives it back its metadata: but for labels and annotations they are not the webhook's.
fn keep(old: &RawObject, new: &mut RawObject, api_version: &str) -> Result<(), String> {
    let got = text(new, "apiVersion");
    if got != api_version {
        return Err(format!("invalid apiVersion {got}, expected {api_version}"));
    }
    let same = |what: &str, old: &str, new: &str| match old == new {
        true => Ok(()),
        false => Err(format!("must have the same {what}: {old} != {new}")),
    };
    same("kind", text(old, "kind"), text(new, "kind"))?;
    let meta = |object: &RawObject| match object.get("metadata") {
        Some(Value::Object(meta)) => Ok(meta.clone()),
        Some(_) => Err("metadata: must be a map".to_owned()),
        None => Ok(RawObject::new()),
    };
    let (mut kept, given) = (meta(old)?, meta(new)?);
    for field in ["name", "namespace", "uid"] {
        same(field, text(&kept, field), text(&given, field))?;
    }
    for field in ["labels", "annotations"] {
        match given.get(field) {
            None | Some(Value::Null) => kept.remove(field),
            Some(value @ Value::Object(texts)) if texts.values().all(Value::is_string) => {
                kept.insert(field.to_owned(), value.clone())
            }
            Some(_) => return Err(format!("metadata.{field}: must be a map of texts")),
        };
    }
    new.insert("metadata".to_owned(), Value::Object(kept));
    Ok(())
}

fn text<'o>(object: &'o RawObject, field: &str) -> &'o str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
