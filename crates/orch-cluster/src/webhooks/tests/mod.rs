//! Webhooks that answer in the process, asked by a client's writes.

mod answers;
mod changes;
mod conditions;
mod matching;

use std::sync::Arc;

use async_trait::async_trait;
use orch_core::client::{ApiError, Client, Collection, DeleteParams, Target, WriteParams, Written};
use orch_core::object::{ObjectKey, RawObject};
use orch_core::store::MemoryStore;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Call, CallError, Caller, Webhooks};
use crate::kinds::{find_kind, teach};

type Answers = Box<dyn Fn(&str, &Value) -> Option<Value> + Send + Sync>;

/// Answers with what a function makes of the webhook's URL and the request: a `response` without its uid, or none at all, ever.
struct Scripted {
    answers: Answers,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

#[async_trait]
impl Caller for Scripted {
    async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        let review: Value = serde_json::from_slice(&call.review).map_err(CallError::new)?;
        let request = &review["request"];
        let url = call.endpoint.url.clone().unwrap_or_default();
        let webhook = url.trim_start_matches("https://").to_owned();
        self.asked.lock().push((webhook.clone(), request.clone()));
        let Some(mut response) = (self.answers)(&webhook, request) else {
            std::future::pending::<()>().await;
            return Err(CallError::new("never"));
        };
        if let Some(broken) = response.get("broken") {
            return Err(CallError::new(broken));
        }
        response["uid"] = request["uid"].clone();
        let answer =
            json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response});
        Ok(answer.to_string().into_bytes())
    }
}

struct World {
    client: Client,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl World {
    fn new(answers: impl Fn(&str, &Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::default());
        let caller = Scripted {
            answers: Box::new(answers),
            asked: Arc::clone(&asked),
        };
        let builder = Client::builder(Arc::new(MemoryStore::new())).admission(Webhooks::new(caller));
        Self {
            client: teach(builder).build(),
            asked,
        }
    }

    async fn create(&self, object: Value) -> Result<Written, ApiError> {
        self.create_with(object, WriteParams::default()).await
    }

    async fn create_with(&self, object: Value, params: WriteParams) -> Result<Written, ApiError> {
        let of = |field: &str| object[field].as_str().unwrap().to_owned();
        let kind = find_kind(&of("apiVersion"), &of("kind")).unwrap();
        let collection = Collection {
            resource: Arc::new(kind.resource.clone()),
            namespace: kind.resource.is_namespaced().then(|| "default".to_owned()),
        };
        let backend = self.client.backend();
        backend.create(&collection, raw(object), &params).await
    }

    async fn delete(&self, kind: &str, name: &str) -> Result<(), ApiError> {
        let resource = &crate::kinds::find(kind).unwrap().resource;
        let target = Target {
            resource: Arc::new(resource.clone()),
            key: ObjectKey::new(resource.is_namespaced().then_some("default"), name),
        };
        let backend = self.client.backend();
        backend.delete(&target, &DeleteParams::default()).await.map(drop)
    }

    /// Which webhooks were asked since the last time.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().drain(..).map(|(webhook, _)| webhook).collect()
    }
}

fn raw(object: Value) -> RawObject {
    serde_json::from_value(object).unwrap()
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"seen": ""}})
}

fn webhook(name: &str) -> Value {
    json!({"name": format!("{name}.policy.example.com"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": format!("https://{name}")},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]})
}

fn configuration(kind: &str, name: &str, webhooks: &Value) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": webhooks})
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

fn patch(operations: &Value) -> Value {
    // What a webhook writes in Go as []byte.
    let patch = k8s_openapi::ByteString(operations.to_string().into_bytes());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": patch})
}

/// Adds its own name to those that have seen the object.
fn sees(webhook: &str, request: &Value) -> Value {
    let seen = request["object"]["data"]["seen"].as_str().unwrap_or_default();
    patch(&json!([{"op": "add", "path": "/data/seen", "value": format!("{seen}{webhook}")}]))
}
