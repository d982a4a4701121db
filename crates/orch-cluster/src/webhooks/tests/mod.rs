//! Webhooks that answer in the process, asked by a client's writes.

mod conditions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_core::client::{
    ApiError, Client, Collection, DeleteParams, Operation, Target, WriteParams, Written,
};
use orch_core::object::{ObjectKey, RawObject};
use orch_core::store::MemoryStore;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::webhook::Webhook;
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

#[tokio::test]
async fn mutating_webhooks_are_asked_by_name_and_once_more_if_a_later_one_changed_the_object() {
    let world = World::new(|webhook, request| match webhook {
        "c" => Some(json!({"allowed": true})),
        webhook => Some(sees(webhook, request)),
    });
    let again = |name: &str| {
        let mut webhook = webhook(name);
        webhook["reinvocationPolicy"] = json!("IfNeeded");
        webhook
    };
    // "c" is last and changes nothing, so that nobody is asked again for its sake, nor it for that of those before it.
    world
        .create(configuration(MUTATING, "z", &json!([again("c")])))
        .await
        .unwrap();
    world
        .create(configuration(MUTATING, "y", &json!([again("a"), webhook("b")])))
        .await
        .unwrap();
    let made = world.create(map("one")).await.unwrap();
    assert_eq!(made.document.lookup("data.seen"), Some(json!("aba")));
    // What "a" changes when it is asked again has "c" asked again, which comes after it.
    assert_eq!(world.asked(), ["a", "b", "c", "a", "c"]);
}

#[tokio::test]
async fn what_a_webhook_adds_is_filled_in_before_the_next_sees_it() {
    let world = World::new(|webhook, request| {
        let name = request["object"]["metadata"]["name"].as_str();
        Some(match (webhook, name) {
            // Nothing to change is no change, also of what is deleted.
            (_, None) => patch(&json!([])),
            ("a", _) => patch(
                &json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "i"}}]),
            ),
            _ => patch(&json!([
                {"op": "test", "path": "/spec/containers/1/terminationMessagePath", "value": "/dev/termination-log"},
            ])),
        })
    });
    let of = |name: &str| {
        let mut webhook = webhook(name);
        webhook["rules"][0]["resources"] = json!(["pods"]);
        webhook
    };
    world
        .create(configuration(MUTATING, "a", &json!([of("a"), of("b")])))
        .await
        .unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    world.create(pod).await.unwrap();
    world.delete("pod", "one").await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_webhook() {
    for (status, code, reason, expected) in [
        (json!({"message": "no"}), 400, "", " denied the request: no"),
        (
            json!({"reason": "Forbidden", "code": 403}),
            403,
            "Forbidden",
            " denied the request: Forbidden",
        ),
        (
            json!({"code": 200}),
            400,
            "",
            " denied the request without explanation",
        ),
        (
            json!({"code": 70_000}),
            400,
            "",
            " denied the request without explanation",
        ),
        (Value::Null, 400, "", " denied the request without explanation"),
    ] {
        // Who does not say that it is allowed has denied it.
        let answer = json!({"status": status});
        let world = World::new(move |_, _| Some(answer.clone()));
        let mut lenient = webhook("a");
        lenient["failurePolicy"] = json!("Ignore");
        world
            .create(configuration(VALIDATING, "a", &json!([lenient])))
            .await
            .unwrap();
        let refused = world.create(map("one")).await.unwrap_err();
        let ApiError::Denied {
            code: got,
            reason: said,
            message,
        } = refused
        else {
            panic!("{refused}");
        };
        assert_eq!((got, said.as_str()), (code, reason), "{status}");
        assert_eq!(
            message,
            format!("admission webhook \"a.policy.example.com\"{expected}")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_does_not_answer_refuses_unless_it_is_to_be_ignored() {
    let silent: fn(&str, &Value) -> Option<Value> = |_, _| None;
    let broken: fn(&str, &Value) -> Option<Value> = |_, _| Some(json!({"broken": 1}));
    let strange: fn(&str, &Value) -> Option<Value> =
        |_, _| Some(json!({"allowed": true, "patchType": "JSONPatch"}));
    for (answers, expected) in [
        (
            silent,
            "failed to call webhook: Post \"https://a?timeout=3s\": context deadline exceeded",
        ),
        (broken, "failed to call webhook: Post \"https://a?timeout=3s\": 1"),
        (
            strange,
            "received invalid webhook response: webhook returned response.patchType but not response.patch",
        ),
    ] {
        for kind in [MUTATING, VALIDATING] {
            let expected = match kind {
                VALIDATING => expected.replace(
                    "webhook returned response.patchType but not response.patch",
                    "validating webhook may not return response.patchType",
                ),
                _ => expected.to_owned(),
            };
            let world = World::new(answers);
            let mut hook = webhook("a");
            hook["timeoutSeconds"] = json!(3);
            world
                .create(configuration(kind, "a", &json!([hook])))
                .await
                .unwrap();
            let began = tokio::time::Instant::now();
            let refused = world.create(map("one")).await.unwrap_err().to_string();
            assert_eq!(
                refused,
                format!(
                    "Internal error occurred: failed calling webhook \"a.policy.example.com\": {expected}"
                )
            );
            assert!(began.elapsed() <= Duration::from_secs(3));
            world.delete(kind, "a").await.unwrap();
            hook["failurePolicy"] = json!("Ignore");
            world
                .create(configuration(kind, "a", &json!([hook])))
                .await
                .unwrap();
            world.create(map("one")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_configuration_counts_from_the_write_that_makes_it_until_it_is_gone() {
    let world = World::new(|_, _| Some(json!({"allowed": false})));
    world.create(map("before")).await.unwrap();
    // It asks about everything, but is never asked about configurations itself.
    let mut all = webhook("a");
    all["rules"] =
        json!([{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]);
    world
        .create(configuration(VALIDATING, "a", &json!([all])))
        .await
        .unwrap();
    world.create(map("one")).await.unwrap_err();
    world.delete("configmap", "before").await.unwrap_err();
    assert_eq!(world.asked(), ["a", "a"]);
    world.delete(VALIDATING, "a").await.unwrap();
    world.create(map("one")).await.unwrap();
    world.delete("configmap", "before").await.unwrap();
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn selectors_choose_what_a_webhook_is_asked_about() {
    let world = World::new(|_, _| Some(json!({"allowed": false})));
    for (name, labels) in [("default", json!({"env": "prod"})), ("dev", json!({}))] {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        world.create(namespace).await.unwrap();
    }
    let (mut by_namespace, mut by_object) = (webhook("namespace"), webhook("object"));
    by_namespace["namespaceSelector"] = json!({"matchLabels": {"env": "dev"}});
    by_object["objectSelector"] = json!({"matchLabels": {"watched": "yes"}});
    world
        .create(configuration(VALIDATING, "a", &json!([by_namespace, by_object])))
        .await
        .unwrap();
    world.create(map("plain")).await.unwrap();
    let mut watched = map("watched");
    watched["metadata"]["labels"] = json!({"watched": "yes"});
    world.create(watched).await.unwrap_err();
    assert_eq!(world.asked(), ["object"]);

    by_namespace["namespaceSelector"] = json!({"matchLabels": {"env": "prod"}});
    world
        .create(configuration(VALIDATING, "b", &json!([by_namespace])))
        .await
        .unwrap();
    world.create(map("other")).await.unwrap_err();
    assert_eq!(world.asked(), ["namespace"]);
}

#[tokio::test]
async fn a_webhook_is_told_of_the_write_and_may_warn() {
    let world = World::new(|_, _| Some(json!({"allowed": true, "warnings": ["mind the gap"]})));
    world
        .create(configuration(MUTATING, "a", &json!([webhook("a")])))
        .await
        .unwrap();
    world
        .create(configuration(VALIDATING, "a", &json!([webhook("b")])))
        .await
        .unwrap();
    let made = world
        .create_with(map("one"), WriteParams::default().dry_run(true))
        .await
        .unwrap();
    assert_eq!(made.warnings, ["mind the gap", "mind the gap"]);
    world.create(map("one")).await.unwrap();
    world.delete("configmap", "one").await.unwrap();
    let asked: Vec<_> = world.asked.lock().drain(..).map(|(_, request)| request).collect();
    let kind = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    let resource = json!({"group": "", "version": "v1", "resource": "configmaps"});
    for (place, (operation, options, dry_run)) in [
        ("CREATE", "CreateOptions", true),
        ("CREATE", "CreateOptions", true),
        ("CREATE", "CreateOptions", false),
        ("CREATE", "CreateOptions", false),
        ("DELETE", "DeleteOptions", false),
        ("DELETE", "DeleteOptions", false),
    ]
    .into_iter()
    .enumerate()
    {
        let request = &asked[place];
        let (is_there, is_not) = match operation {
            "DELETE" => ("oldObject", "object"),
            _ => ("object", "oldObject"),
        };
        assert_eq!(request["operation"], operation);
        assert_eq!(request["options"]["kind"], options);
        assert_eq!(request["dryRun"], dry_run);
        assert_eq!((&request["kind"], &request["requestKind"]), (&kind, &kind));
        assert_eq!(
            (&request["resource"], &request["requestResource"]),
            (&resource, &resource)
        );
        assert_eq!(
            (&request["namespace"], &request["name"]),
            (&json!("default"), &json!("one"))
        );
        assert_eq!(request[is_there]["data"]["seen"], "", "{request}");
        assert_eq!(request[is_not], Value::Null);
    }
    assert_eq!(asked.len(), 6);
}

#[tokio::test]
async fn a_patch_changes_neither_which_object_it_is_nor_what_is_not_its_own() {
    let world = World::new(|_, request| {
        let name = request["object"]["metadata"]["name"].as_str().unwrap_or_default();
        let value = match name {
            "renamed" => json!([{"op": "replace", "path": "/metadata/name", "value": "other"}]),
            "broken" => json!([{"op": "remove", "path": "/spec"}]),
            _ => json!([{"op": "replace", "path": "/metadata/uid", "value": "mine"}]),
        };
        Some(patch(&value))
    });
    world
        .create(configuration(MUTATING, "a", &json!([webhook("a")])))
        .await
        .unwrap();
    for (name, expected) in [
        (
            "renamed",
            "attempted to change /metadata/name, which says which object it is",
        ),
        ("broken", "JSON patch: "),
    ] {
        let refused = world.create(map(name)).await.unwrap_err().to_string();
        assert!(refused.starts_with("Internal error occurred: "), "{refused}");
        assert!(
            refused.contains("admission webhook \"a.policy.example.com\""),
            "{refused}"
        );
        assert!(refused.contains(expected), "{refused}");
    }
    let made = world.create(map("kept")).await.unwrap();
    assert_ne!(made.document.meta().uid, "mine");
    let refused = world.delete("configmap", "kept").await.unwrap_err().to_string();
    assert!(
        refused.ends_with("attempted to modify the object, which is not supported for this operation"),
        "{refused}"
    );
}

#[test]
fn rules_say_which_writes_a_webhook_is_asked_about() {
    let rule = json!({"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]});
    for (field, value, kind, is_asked) in [
        ("scope", json!("*"), "deployment", true),
        ("scope", json!("*"), "replicaset", false),
        ("operations", json!(["*"]), "deployment", true),
        (
            "operations",
            json!(["UPDATE", "DELETE", "CONNECT"]),
            "deployment",
            false,
        ),
        ("apiGroups", json!([""]), "deployment", false),
        ("apiGroups", json!(["*"]), "deployment", true),
        ("apiVersions", json!(["v1beta1"]), "deployment", false),
        ("apiVersions", json!(["*"]), "deployment", true),
        ("resources", json!(["*"]), "replicaset", true),
        ("resources", json!(["*/*"]), "replicaset", true),
        ("resources", json!(["deployments/*"]), "deployment", true),
        ("resources", json!(["deployments/status"]), "deployment", false),
        ("resources", json!(["*/status"]), "deployment", false),
        ("scope", json!("Cluster"), "deployment", false),
        ("scope", json!("Namespaced"), "deployment", true),
    ] {
        let mut spec = webhook("a");
        spec["rules"] = json!([rule]);
        spec["rules"][0][field] = value.clone();
        let webhook = Webhook::new(serde_json::from_value(spec).unwrap()).unwrap();
        let resource = &crate::kinds::find(kind).unwrap().resource;
        assert_eq!(
            webhook.has_rule_for(resource, Operation::Create),
            is_asked,
            "{field} {value} {kind}"
        );
    }
}
