//! Kinds of a user's own whose versions differ by what a webhook makes of them.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use common::Http;
use http::Request;
use http_body_util::{BodyExt, Full};
use orch_api::{ApiOptions, ApiService};
use orch_cluster::cluster::Cluster;
use orch_cluster::webhooks::{Call, CallError, Caller};
use orch_core::client::Target;
use orch_core::object::{ApiResource, ObjectKey, Scope};
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn at(version: &str, rest: &str) -> String {
    format!("/apis/example.com/{version}/namespaces/default/proxies{rest}")
}

/// Makes of `spec.address` the `spec.host` and `spec.port` that it was in v1, and the reverse.
#[derive(Clone, Default)]
struct Converter {
    is_down: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Caller for Converter {
    async fn call(&self, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(CallError::new("connection refused"));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let review: Value = serde_json::from_slice(&call.review).unwrap();
        let request = &review["request"];
        let wanted = request["desiredAPIVersion"].as_str().unwrap();
        let objects = request["objects"].as_array().unwrap();
        let mut converted = objects.iter().map(|object| convert(object.clone(), wanted));
        let result = match objects.iter().any(|object| object["spec"]["weight"] == 13) {
            true => json!({"status": "Failure", "message": "13 is unlucky"}),
            false => json!({"status": "Success"}),
        };
        let converted = match objects.iter().any(|object| object["spec"]["weight"] == 7) {
            true => json!([]),
            false => converted.by_ref().collect(),
        };
        let response = json!({"uid": request["uid"], "result": result, "convertedObjects": converted});
        let answer = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response,
        });
        Ok(answer.to_string().into_bytes())
    }
}

fn convert(mut object: Value, version: &str) -> Value {
    assert_ne!(
        object["apiVersion"], version,
        "it is asked for no more than it must"
    );
    object["apiVersion"] = json!(version);
    object["metadata"]["labels"]["converted"] = json!("yes");
    object["metadata"]["finalizers"] = json!(["example.com/not-its-own"]);
    let spec = object["spec"].as_object_mut().unwrap();
    if version == "example.com/v2" {
        let (host, port) = (spec.remove("host").unwrap(), spec.remove("port").unwrap());
        spec.insert(
            "address".to_owned(),
            json!(format!("{}:{port}", host.as_str().unwrap())),
        );
    } else {
        let address = spec.remove("address").unwrap();
        let (host, port) = address.as_str().unwrap().split_once(':').unwrap();
        spec.insert("host".to_owned(), json!(host));
        spec.insert("port".to_owned(), json!(port.parse::<u16>().unwrap()));
    }
    object
}

/// Proxies, stored in one of their versions.
fn definition(stored: &str) -> Value {
    let version = |name: &str, spec: Value, column: &str, replicas: &str| {
        let spec = json!({"type": "object", "properties": spec});
        let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        json!({
            "name": name, "served": true, "storage": name == stored,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": replicas, "statusReplicasPath": ".status.replicas",
            }},
            "additionalPrinterColumns": [{"name": "At", "type": "string", "jsonPath": column}],
        })
    };
    let weight = json!({"type": "integer", "default": 1});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "proxies.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "proxies", "kind": "Proxy"},
            "conversion": {"strategy": "Webhook", "webhook": {
                "clientConfig": {"url": "https://convert.example.com/proxies"}, "conversionReviewVersions": ["v1"],
            }},
            "versions": [
                version("v1", json!({"host": {"type": "string"}, "port": {"type": "integer"}, "weight": weight}), ".spec.host", ".spec.weight"),
                version("v2", json!({"address": {"type": "string"}, "weight": weight}), ".spec.address", ".spec.weight"),
            ],
        },
    })
}

fn proxy(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Proxy", "metadata": {"name": name},
        "spec": {"host": "web", "port": port},
    })
}

async fn defined() -> (Cluster, Http, Converter) {
    let converter = Converter::default();
    let builder = Cluster::builder(Arc::new(MemoryStore::new())).webhooks(converter.clone());
    let cluster = builder.start().await.unwrap();
    let api = Http(ApiService::new(cluster.client().clone(), ApiOptions::default()));
    let (code, made) = api.post(DEFINITIONS, &definition("v2")).await;
    assert_eq!(code, 201, "{made}");
    (cluster, api, converter)
}

#[tokio::test(start_paused = true)]
async fn objects_are_written_and_read_in_either_version() {
    let (_cluster, api, converter) = defined().await;
    let (code, made) = api.post(&at("v1", ""), &proxy("a", 80)).await;
    assert_eq!(code, 201, "{made}");
    let spec = json!({"host": "web", "port": 80, "weight": 1});
    assert_eq!(
        (&made["apiVersion"], &made["spec"]),
        (&json!("example.com/v1"), &spec)
    );
    assert_eq!(made["metadata"]["finalizers"], Value::Null);
    let (_, stored) = api.get(&at("v2", "/a")).await;
    assert_eq!(stored["spec"], json!({"address": "web:80", "weight": 1}));
    assert_eq!(stored["metadata"]["labels"], json!({"converted": "yes"}));

    let (code, patched) = api
        .ask(
            "PATCH",
            &at("v1", "/a"),
            Some((MERGE, r#"{"spec": {"port": 81}}"#)),
        )
        .await;
    assert_eq!(
        (code.as_u16(), &patched["spec"]["port"]),
        (200, &json!(81)),
        "{patched}"
    );
    let (_, stored) = api.get(&at("v2", "/a")).await;
    assert_eq!(stored["spec"]["address"], "web:81");

    let mut new = patched;
    new["spec"]["host"] = json!("web-2");
    new["spec"]["colour"] = json!("red");
    let (code, said) = api
        .ask(
            "PUT",
            &at("v1", "/a?fieldValidation=Strict"),
            Some((JSON, &new.to_string())),
        )
        .await;
    assert_eq!(code, 400, "{said}");
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("unknown field \"spec.colour\""),
        "{said}"
    );
    let (code, put) = api
        .ask("PUT", &at("v1", "/a"), Some((JSON, &new.to_string())))
        .await;
    assert_eq!(
        (code.as_u16(), &put["spec"]["host"]),
        (200, &json!("web-2")),
        "{put}"
    );
    let (_, stored) = api.get(&at("v2", "/a")).await;
    assert_eq!(stored["spec"]["address"], "web-2:81");

    let status = json!({"status": {"replicas": 3}}).to_string();
    let (code, said) = api
        .ask("PATCH", &at("v1", "/a/status"), Some((MERGE, &status)))
        .await;
    assert_eq!(
        (code.as_u16(), &said["status"]["replicas"]),
        (200, &json!(3)),
        "{said}"
    );
    let (_, scale) = api.get(&at("v1", "/a/scale")).await;
    assert_eq!(
        (&scale["spec"]["replicas"], &scale["status"]["replicas"]),
        (&json!(1), &json!(3))
    );
    let to = r#"{"spec": {"replicas": 5}}"#;
    let (code, said) = api.ask("PATCH", &at("v1", "/a/scale"), Some((MERGE, to))).await;
    assert_eq!(
        (code.as_u16(), &said["spec"]["replicas"]),
        (200, &json!(5)),
        "{said}"
    );
    let (_, stored) = api.get(&at("v2", "/a")).await;
    assert_eq!(stored["spec"], json!({"address": "web-2:81", "weight": 5}));

    // All of a list at once.
    for (name, port) in [("b", 1), ("c", 2)] {
        api.post(&at("v1", ""), &proxy(name, port)).await;
    }
    let before = converter.asked.load(Ordering::Relaxed);
    let (_, list) = api.get(&at("v1", "")).await;
    let ports: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["spec"]["port"])
        .collect();
    assert_eq!(ports, [81, 1, 2]);
    assert_eq!(converter.asked.load(Ordering::Relaxed), before + 1);
    let table = Request::get(at("v1", ""))
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Full::default())
        .unwrap();
    let table = common::json(api.send(table).await).await;
    assert_eq!(table["rows"][0]["cells"], json!(["a", "web-2"]));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_in_its_version() {
    let (_cluster, api, _) = defined().await;
    api.post(&at("v1", ""), &proxy("a", 80)).await;
    let request = Request::get(at("v1", "?watch=true"))
        .body(Full::default())
        .unwrap();
    let mut body = api.send(request).await.into_body();
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        serde_json::from_slice::<Value>(&frame).unwrap()
    };
    assert_eq!(next().await["object"]["spec"]["port"], 80);
    let to = json!({"spec": {"address": "web:90"}}).to_string();
    api.ask("PATCH", &at("v2", "/a"), Some((MERGE, &to))).await;
    let event = next().await;
    assert_eq!(
        (&event["type"], &event["object"]["spec"]["port"]),
        (&json!("MODIFIED"), &json!(90))
    );
    // What cannot be told ends it.
    let to = json!({"spec": {"weight": 13}}).to_string();
    api.ask("PATCH", &at("v2", "/a"), Some((MERGE, &to))).await;
    let event = next().await;
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(500))
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_says_why_and_writes_nothing() {
    let (_cluster, api, converter) = defined().await;
    api.post(&at("v1", ""), &proxy("a", 80)).await;
    for (weight, why) in [
        (13, "failed: 13 is unlucky"),
        (7, "returned 0 objects, expected 1"),
    ] {
        let mut wrong = proxy("b", 80);
        wrong["spec"]["weight"] = json!(weight);
        let (code, said) = api.post(&at("v1", ""), &wrong).await;
        let message =
            format!("Internal error occurred: conversion webhook for example.com/v1, Kind=Proxy {why}");
        assert_eq!(
            (code.as_u16(), &said["message"]),
            (500, &json!(message)),
            "{said}"
        );
        assert_eq!(api.get(&at("v2", "/b")).await.0, 404);
    }
    let apply = json!({"apiVersion": "example.com/v1", "kind": "Proxy", "spec": {"port": 1}}).to_string();
    let (code, said) = api
        .ask("PATCH", &at("v1", "/a?fieldManager=me"), Some((APPLY, &apply)))
        .await;
    assert_eq!(code, 400, "{said}");
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("apply them as example.com/v2"),
        "{said}"
    );

    converter.is_down.store(true, Ordering::Relaxed);
    let (code, said) = api.get(&at("v1", "/a")).await;
    let why = "conversion webhook for example.com/v2, Kind=Proxy failed: Post \
               \"https://convert.example.com/proxies?timeout=30s\": connection refused";
    assert_eq!(
        (code.as_u16(), said["message"].as_str().unwrap()),
        (500, &*format!("Internal error occurred: {why}"))
    );
    assert_eq!(api.get(&at("v2", "/a")).await.0, 200, "it need not be asked");
    assert_eq!(
        api.ask("DELETE", &at("v1", "/a"), None).await.0,
        200,
        "what goes need not be converted"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_in_an_older_version_is_changed_in_the_newer() {
    let (cluster, api, _) = defined().await;
    let (_, made) = api.post(&at("v1", ""), &proxy("a", 80)).await;
    api.post(&at("v1", ""), &proxy("b", 1)).await;
    let (_, mut new) = api.get(&format!("{DEFINITIONS}/proxies.example.com")).await;
    new["spec"]["versions"] = definition("v1")["spec"]["versions"].clone();
    let (code, said) = api
        .ask(
            "PUT",
            &format!("{DEFINITIONS}/proxies.example.com"),
            Some((JSON, &new.to_string())),
        )
        .await;
    assert_eq!(code, 200, "{said}");
    let status = json!({"status": {"replicas": 2}}).to_string();
    let (code, said) = api
        .ask("PATCH", &at("v2", "/a/status"), Some((MERGE, &status)))
        .await;
    assert_eq!(
        (code.as_u16(), &said["spec"]["address"]),
        (200, &json!("web:80")),
        "{said}"
    );
    let (_, read) = api.get(&at("v1", "/a")).await;
    assert_eq!(read["spec"], made["spec"]);
    assert_eq!(read["status"], json!({"replicas": 2}));
    // Written as it is, it is stored in the newer version from then on, as migrations have it.
    let stored_as = async || {
        let target = Target {
            resource: Arc::new(ApiResource::new(
                "example.com",
                "v1",
                "Proxy",
                "proxies",
                Scope::Namespaced,
            )),
            key: ObjectKey::new(Some("default"), "b"),
        };
        let document = cluster.client().backend().get(&target).await.unwrap();
        document.api_version().to_owned()
    };
    assert_eq!(stored_as().await, "example.com/v2");
    let (_, as_it_is) = api.get(&at("v1", "/b")).await;
    api.ask("PUT", &at("v1", "/b"), Some((JSON, &as_it_is.to_string())))
        .await;
    assert_eq!(stored_as().await, "example.com/v1");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_webhooks_is_told() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let made = Request::post(DEFINITIONS)
        .header("Content-Type", JSON)
        .body(Full::from(definition("v2").to_string()))
        .unwrap();
    let made = api.send(made).await;
    let warning =
        "299 - \"CustomResourceDefinition is stored, but its webhooks are not asked in this cluster\"";
    assert_eq!(made.headers()["Warning"], warning);
    let (code, said) = api.post(&at("v1", ""), &proxy("a", 80)).await;
    assert_eq!(code, 500, "{said}");
    let said = said["message"].as_str().unwrap();
    assert!(
        said.contains("whoever starts it gives ClusterBuilder::webhooks a caller"),
        "{said}"
    );
}
