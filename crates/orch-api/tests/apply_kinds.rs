//! Server-side apply of what kinds have: lists, a status, fields of which nothing is known.

mod common;

use std::sync::Arc;

use common::apply::{DEPLOYMENTS, apply, deployment, owners};
use common::cluster;
use http::StatusCode;
use orch_api::ApiOptions;
use orch_core::client::{Collection, WriteParams};
use orch_core::object::{ApiResource, Scope};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn lists_are_owned_by_item_or_as_a_whole() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{DEPLOYMENTS}/web");
    let web = json!({ "name": "web", "image": "web", "args": ["a", "b"] });
    let (code, made) = apply(
        &api,
        &one,
        "alice",
        &deployment(&json!({ "app": "web" }), json!([web])),
    )
    .await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let sidecar = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
        { "name": "sidecar", "image": "sidecar" },
    ] } } } });
    let (code, now) = apply(&api, &one, "bob", &sidecar).await;
    assert_eq!(code, StatusCode::OK, "{now}");
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array();
        let names = containers.into_iter().flatten();
        names
            .map(|container| container["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names(&now).len(), 2, "{now}");
    assert_eq!(
        owners(&now)[1],
        "bob Apply: {f:spec:{f:template:{f:spec:{f:containers:{k:{name:sidecar}:{.,f:image,f:name}}}}}}"
    );
    // Arguments are one thing: to say others is to change them all.
    let args = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
        { "name": "web", "args": ["c"] },
    ] } } } });
    let (_, refused) = apply(&api, &one, "carol", &args).await;
    assert_eq!(
        refused["details"]["causes"][0]["field"],
        ".spec.template.spec.containers[name=\"web\"].args"
    );
    let (_, now) = apply(&api, &one, "carol&force=true", &args).await;
    let containers = now["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let web = containers
        .iter()
        .find(|container| container["name"] == "web")
        .unwrap();
    assert_eq!(web["args"], json!(["c"]));
    // Whose item it is may leave it out.
    let nothing = json!({ "apiVersion": "apps/v1", "kind": "Deployment" });
    let (code, now) = apply(&api, &one, "bob", &nothing).await;
    assert_eq!(
        (code, names(&now)),
        (StatusCode::OK, vec!["web".to_owned()]),
        "{now}"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_has_owners_of_its_own() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let one = format!("{DEPLOYMENTS}/web");
    let status = format!("{one}/status");
    let condition = |kind: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "labels": { "not": "written" } },
            "status": { "conditions": [{ "type": kind, "status": "True" }] } })
    };
    // Through a subresource nothing is made.
    assert_eq!(
        apply(&api, &status, "alice", &condition("Mine")).await.0,
        StatusCode::NOT_FOUND
    );
    let web = json!([{ "name": "web", "image": "web" }]);
    let (_, made) = apply(&api, &one, "alice", &deployment(&json!({ "app": "web" }), web)).await;
    assert!(!owners(&made)[0].contains("f:status"));
    let (code, now) = apply(&api, &status, "bob", &condition("Mine")).await;
    assert_eq!(code, StatusCode::OK, "{now}");
    assert_eq!(now["metadata"]["labels"], json!({ "app": "web" }));
    let expected =
        "bob Apply of status: {f:status:{f:conditions:{k:{type:Mine}:{.,f:status,f:type}}}}".to_owned();
    assert!(owners(&now).contains(&expected), "{:?}", owners(&now));
    let conditions = |object: &Value| -> Vec<Value> {
        let all = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        all.into_iter()
            .map(|condition| condition["type"].clone())
            .collect()
    };
    assert!(conditions(&now).contains(&json!("Mine")));
    // What is applied to the object says nothing of its status.
    let mut both = deployment(
        &json!({ "app": "web" }),
        json!([{ "name": "web", "image": "web" }]),
    );
    both["status"] = json!({ "replicas": 7 });
    let (_, now) = apply(&api, &one, "alice", &both).await;
    assert!(now["status"]["replicas"] != 7 && conditions(&now).contains(&json!("Mine")));
    assert!(
        owners(&now)
            .iter()
            .all(|line| !line.contains("f:replicas") || !line.contains("f:status"))
    );
    let changed = json!({ "status": { "observedGeneration": 9 } }).to_string();
    let merge = "application/merge-patch+json";
    let (_, now) = api
        .ask(
            "PATCH",
            &format!("{status}?fieldManager=carol"),
            Some((merge, &changed)),
        )
        .await;
    let expected = "carol Update of status: {f:status:{f:observedGeneration}}".to_owned();
    assert!(owners(&now).contains(&expected), "{:?}", owners(&now));
    let (_, now) = apply(&api, &status, "bob", &condition("Other")).await;
    assert!(!conditions(&now).contains(&json!("Mine")) && conditions(&now).contains(&json!("Other")));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn kinds_of_ones_own_are_applied_field_by_field() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let resource = ApiResource::new("example.com", "v1", "Cat", "cats", Scope::Namespaced);
    let cats = Collection {
        resource: Arc::new(resource),
        namespace: Some("default".to_owned()),
    };
    let first = json!({ "metadata": { "name": "tom" }, "spec": { "lives": 9, "toys": ["ball"] } });
    let first = first.as_object().unwrap().clone();
    let backend = cluster.client().backend();
    backend
        .create(&cats, first, &WriteParams::default())
        .await
        .unwrap();
    let one = "/apis/example.com/v1/namespaces/default/cats/tom";
    let cat = |spec: Value, status: Value| json!({ "apiVersion": "example.com/v1", "kind": "Cat", "spec": spec, "status": status });
    let (_, refused) = apply(&api, one, "alice", &cat(json!({ "toys": [] }), json!({}))).await;
    assert_eq!(
        refused["message"],
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using example.com/v1: .spec.toys"
    );
    let (code, now) = apply(
        &api,
        one,
        "alice",
        &cat(json!({ "colour": "grey" }), json!({ "asleep": true })),
    )
    .await;
    assert_eq!(
        (code, &now["spec"]),
        (
            StatusCode::OK,
            &json!({ "lives": 9, "toys": ["ball"], "colour": "grey" })
        )
    );
    assert_eq!(now.get("status"), None);
    let status = format!("{one}/status");
    let (code, now) = apply(
        &api,
        &status,
        "alice",
        &cat(json!({ "lives": 1 }), json!({ "asleep": true })),
    )
    .await;
    assert_eq!(
        (code, &now["status"], &now["spec"]["lives"]),
        (StatusCode::OK, &json!({ "asleep": true }), &json!(9))
    );
    let mut found = owners(&now);
    found.sort();
    assert_eq!(
        found,
        [
            "alice Apply of status: {f:status:{.,f:asleep}}",
            "alice Apply: {f:spec:{.,f:colour}}",
            "before-first-apply Update: {f:spec:{.,f:lives,f:toys}}",
        ]
    );
    cluster.stop().await;
}
