//! The OpenAPI documents of what is served.

mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use common::Http;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use orch_api::{ApiOptions, Body};
use serde_json::{Value, json};

async fn ask(api: &Http, path: &str, headers: &[(http::HeaderName, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    api.send(request.body(Empty::<Bytes>::new()).unwrap()).await
}

/// Where the index says that the document of a version is.
async fn place(api: &Http, version: &str) -> String {
    let (code, index) = api.get("/openapi/v3").await;
    assert_eq!(code, 200);
    let url = &index["paths"][version]["serverRelativeURL"];
    url.as_str()
        .unwrap_or_else(|| panic!("{version}: {index}"))
        .to_owned()
}

async fn document(api: &Http, version: &str) -> Value {
    let (code, document) = api.get(&place(api, version).await).await;
    assert_eq!(code, 200);
    document
}

/// All that a document refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                assert_eq!(
                    map.len(),
                    1,
                    "what stands beside a reference is not read: {value}"
                );
                found.insert(to.to_owned());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_version_that_is_discovered_has_a_document_that_stands_alone() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (_, index) = api.get("/openapi/v3").await;
    let indexed: BTreeSet<_> = index["paths"].as_object().unwrap().keys().cloned().collect();
    let (_, groups) = api.get("/apis").await;
    let groups = groups["groups"].as_array().unwrap().clone();
    let versions = groups
        .iter()
        .flat_map(|group| group["versions"].as_array().unwrap());
    let mut discovered: BTreeSet<_> = versions
        .map(|version| format!("apis/{}", version["groupVersion"].as_str().unwrap()))
        .collect();
    discovered.insert("api/v1".to_owned());
    assert_eq!(indexed, discovered);
    for version in indexed {
        let document = document(&api, &version).await;
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(!found.is_empty(), "{version}");
        for to in found {
            let there = document.pointer(to.trim_start_matches('#'));
            assert!(there.is_some_and(Value::is_object), "{version}: {to}");
        }
        let (_, resources) = api.get(&format!("/{version}")).await;
        for resource in resources["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            let (plural, part) = name.split_once('/').unwrap_or((name, ""));
            let inside = if resource["namespaced"] == true {
                "namespaces/{namespace}/"
            } else {
                ""
            };
            let part = if part.is_empty() {
                String::new()
            } else {
                format!("/{part}")
            };
            // Of what is only made and not kept there is none with a name.
            let name = if resource["verbs"] == json!(["create"]) && part.is_empty() {
                ""
            } else {
                "/{name}"
            };
            let path = format!("/{version}/{inside}{plural}{name}{part}");
            assert!(document["paths"][&path].is_object(), "{path}");
        }
        let mut names = BTreeSet::new();
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods
                .as_object()
                .unwrap()
                .values()
                .filter(|one| one.is_object())
            {
                let name = operation["operationId"].as_str().unwrap();
                assert!(names.insert(name.to_owned()), "{name} is twice");
            }
        }
    }
}

#[tokio::test]
async fn a_document_says_what_kinds_are_and_how_their_lists_merge() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let core = document(&api, "api/v1").await;
    let pod = json!({"group": "", "kind": "Pod", "version": "v1"});
    let types = &core["components"]["schemas"];
    assert_eq!(
        types["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"],
        json!([pod])
    );
    let containers = &types["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    let said = containers["description"].as_str().unwrap();
    assert!(
        said.starts_with("List of containers belonging to the pod."),
        "{said}"
    );
    let of_one = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
    let patch = &of_one["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"], pod);
    let taken = patch["parameters"].as_array().unwrap();
    for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
        assert!(
            taken
                .iter()
                .any(|one| one["name"] == name && one["in"] == "query"),
            "{name}"
        );
    }
    assert!(patch["requestBody"]["content"]["application/apply-patch+yaml"].is_object());
    let collection = &core["paths"]["/api/v1/namespaces/{namespace}/pods"];
    let actions = [("get", "list"), ("post", "post"), ("delete", "deletecollection")];
    for (method, action) in actions {
        assert_eq!(collection[method]["x-kubernetes-action"], action);
    }
}

#[tokio::test]
async fn who_has_a_document_need_not_read_it_again() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let url = place(&api, "apis/apps/v1").await;
    let first = ask(&api, &url, &[]).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()[CACHE_CONTROL], "public, immutable");
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    let again = ask(&api, &url, &[(IF_NONE_MATCH, &tag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let other = ask(&api, &url, &[(IF_NONE_MATCH, "\"other\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
    let older = ask(&api, "/openapi/v3/apis/apps/v1?hash=older", &[]).await;
    assert_eq!(older.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(older.headers()[LOCATION], url);
    let plain = ask(&api, "/openapi/v3/apis/apps/v1", &[]).await;
    assert_eq!(plain.headers()[CACHE_CONTROL], "no-cache, private");
}

#[tokio::test]
async fn older_kubectls_have_one_document_of_all_versions() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (code, document) = api.get("/openapi/v2").await;
    assert_eq!((code.as_u16(), &document["swagger"]), (200, &json!("2.0")));
    for version in ["v1", "apps/v1"] {
        let path = if version == "v1" {
            "/api/v1/namespaces/{namespace}/pods/{name}"
        } else {
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        };
        let patch = &document["paths"][path]["patch"];
        let parameters = patch["parameters"].as_array().unwrap();
        let of = |name: &str| parameters.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(of("fieldValidation")["type"], "string");
        assert_eq!(of("body")["in"], "body");
        assert!(
            patch["consumes"]
                .as_array()
                .unwrap()
                .contains(&json!("application/strategic-merge-patch+json"))
        );
        assert_eq!(
            patch["responses"]["200"]["schema"]["$ref"]
                .as_str()
                .map(|to| to.starts_with("#/definitions/io.k8s.api.")),
            Some(true)
        );
    }
    let mut found = Vec::new();
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    collect(&document, &mut found);
    assert!(found.len() > 500, "{}", found.len());
    for to in found {
        let there = to
            .strip_prefix("#/definitions/")
            .and_then(|name| document["definitions"].get(name));
        assert!(there.is_some(), "{to}");
    }
    let once = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let now = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    for (accept, form) in [
        (once, now),
        (&format!("{once}, application/json;q=0.5"), now),
        (&format!("application/json, {once}"), "application/json"),
        ("*/*", "application/json"),
    ] {
        let answer = ask(&api, "/openapi/v2", &[(ACCEPT, accept)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], form, "{accept}");
    }
    assert_eq!(
        ask(&api, "/openapi/v2", &[(ACCEPT, "text/html")]).await.status(),
        StatusCode::NOT_ACCEPTABLE
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    for path in [
        "/openapi",
        "/openapi/v4",
        "/openapi/v3/api/v2",
        "/openapi/v3/apis/none/v1",
        "/openapi/v3/api/v1/pods",
    ] {
        assert_eq!(api.get(path).await.0, 404, "{path}");
    }
    assert_eq!(api.ask("POST", "/openapi/v3", None).await.0, 405);
    let protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let refused = ask(&api, "/openapi/v3/api/v1", &[(ACCEPT, protobuf)]).await;
    assert_eq!(refused.status(), StatusCode::NOT_ACCEPTABLE);
}
