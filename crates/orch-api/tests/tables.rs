//! Tables over the wire, as `kubectl get` asks for them.

mod common;

use bytes::Bytes;
use common::{Http, MAPS, cluster, events, json as read, map};
use http::{Request, StatusCode};
use http_body_util::Full;
use kube::api::{Api, ListParams};
use orch_api::{ApiOptions, Body};
use serde_json::{Value, json};

/// What kubectl sends.
const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

async fn send(api: &Http, path: &str, accept: &str) -> http::Response<Body> {
    let request = Request::get(path).header("Accept", accept);
    api.send(request.body(Full::<Bytes>::default()).unwrap()).await
}

async fn get(api: &Http, path: &str, accept: &str) -> (StatusCode, Value) {
    let answer = send(api, path, accept).await;
    (answer.status(), read(answer).await)
}

fn columns(table: &Value) -> Vec<&str> {
    let all = table["columnDefinitions"].as_array().expect("columns");
    all.iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect()
}

fn cells(table: &Value) -> Vec<Value> {
    let rows = table["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["cells"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_a_table_for_who_asks_for_one() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, a) = api.post(MAPS, &map("a", "1")).await;
    api.post(MAPS, &map("b", "1")).await;
    tokio::time::advance(std::time::Duration::from_secs(90)).await;
    let path = format!("{MAPS}?labelSelector=app&limit=1");
    let (code, table) = get(&api, &path, KUBECTL).await;
    assert_eq!(
        (code, &table["kind"], &table["apiVersion"]),
        (StatusCode::OK, &json!("Table"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(columns(&table), ["Name", "Data", "Age"]);
    assert_eq!(cells(&table), [json!(["a", 1, "90s"])]);
    let object = &table["rows"][0]["object"];
    assert_eq!(
        (&object["kind"], &object["apiVersion"], &object["metadata"]),
        (
            &json!("PartialObjectMetadata"),
            &json!("meta.k8s.io/v1"),
            &a["metadata"]
        )
    );
    // The next page is one too, of the same version.
    let token = table["metadata"]["continue"].as_str().unwrap();
    let (_, next) = get(&api, &format!("{path}&continue={token}"), KUBECTL).await;
    assert_eq!(cells(&next), [json!(["b", 1, "90s"])]);
    assert_eq!(next["metadata"]["continue"], json!(null));
    assert_eq!(
        next["metadata"]["resourceVersion"],
        table["metadata"]["resourceVersion"]
    );
    let (_, none) = get(&api, &format!("{MAPS}?labelSelector=none"), KUBECTL).await;
    assert_eq!((columns(&none).len(), cells(&none)), (3, vec![]));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_object_is_a_table_too_and_brings_along_what_is_asked_for() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, a) = api.post(MAPS, &map("a", "1")).await;
    let metadata =
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": a["metadata"]});
    for (include, expected) in [
        ("", &metadata),
        ("Metadata", &metadata),
        ("Object", &a),
        ("None", &json!(null)),
    ] {
        let (_, table) = get(&api, &format!("{MAPS}/a?includeObject={include}"), KUBECTL).await;
        assert_eq!(
            table["metadata"]["resourceVersion"],
            a["metadata"]["resourceVersion"]
        );
        assert_eq!(cells(&table), [json!(["a", 1, "0s"])]);
        assert_eq!(&table["rows"][0]["object"], expected, "{include:?}");
    }
    let (code, status) = get(&api, &format!("{MAPS}?includeObject=All"), KUBECTL).await;
    let message = "includeObject: \"All\": must be None, Metadata or Object";
    assert_eq!(
        (code, &status["message"]),
        (StatusCode::BAD_REQUEST, &json!(message))
    );
    let (code, status) = get(&api, &format!("{MAPS}/none"), KUBECTL).await;
    assert_eq!((code, &status["kind"]), (StatusCode::NOT_FOUND, &json!("Status")));
    let (_, nodes) = get(&api, "/api/v1/nodes", KUBECTL).await;
    assert_eq!(
        columns(&nodes)[..5],
        ["Name", "Status", "Roles", "Age", "Version"]
    );
    assert_eq!(nodes["rows"][0]["cells"][0], "node-1");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_form_that_there_is_is_refused() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    api.post(MAPS, &map("a", "1")).await;
    let beta = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
    let list = format!("{MAPS}?labelSelector=app");
    let watch = format!("{MAPS}?watch=1");
    for accept in [beta, "application/yaml", "text/plain"] {
        for path in [&list, &format!("{MAPS}/a"), &watch] {
            let (code, status) = get(&api, path, accept).await;
            let message = "only the following media types are accepted: application/json";
            assert_eq!(
                (code, &status["reason"], &status["message"]),
                (
                    StatusCode::NOT_ACCEPTABLE,
                    &json!("NotAcceptable"),
                    &json!(message)
                ),
                "{accept} {path}"
            );
        }
    }
    for (accept, kind) in [
        ("*/*", "ConfigMapList"),
        ("application/json", "ConfigMapList"),
        (&format!("{beta},application/json"), "ConfigMapList"),
        (&format!("text/plain,{KUBECTL}"), "Table"),
    ] {
        let (code, answer) = get(&api, &list, accept).await;
        assert_eq!(
            (code, &answer["kind"]),
            (StatusCode::OK, &json!(kind)),
            "{accept}"
        );
    }
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_tables_of_one_row_and_the_columns_once() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    api.post(MAPS, &map("a", "1")).await;
    api.post(MAPS, &map("b", "1")).await;
    let path = format!("{MAPS}?watch=1&labelSelector=app&timeoutSeconds=90&allowWatchBookmarks=true");
    let answer = send(&api, &path, KUBECTL).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = answer.into_body();
    let first = events(&mut body, 2).await;
    api.ask("DELETE", &format!("{MAPS}/a"), None).await;
    let later = events(&mut body, 2).await;
    let all: Vec<_> = first.iter().chain(&later).collect();
    let types: Vec<_> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ADDED", "ADDED", "DELETED", "BOOKMARK"]);
    for (at, event) in all.iter().enumerate() {
        let table = &event["object"];
        assert_eq!(table["kind"], "Table");
        assert_eq!(cells(table).len(), 1, "{event}");
        assert_eq!(table["columnDefinitions"].is_array(), at == 0, "{event}");
        let row = &table["rows"][0]["object"]["metadata"];
        assert_eq!(
            table["metadata"]["resourceVersion"], row["resourceVersion"],
            "{event}"
        );
    }
    assert_eq!(cells(&all[2]["object"]), [json!(["a", 1, "0s"])]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn kube_reads_metadata_alone() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, made) = api.post(MAPS, &map("a", "1")).await;
    let form = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let (_, one) = get(&api, &format!("{MAPS}/a"), form).await;
    let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]});
    assert_eq!(one, expected);
    let client = kube::Client::new(api.0.clone(), "default");
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::default_namespaced(client);
    let one = maps.get_metadata("a").await.unwrap();
    assert_eq!(one.metadata.uid.as_deref(), made["metadata"]["uid"].as_str());
    let list = maps
        .list_metadata(&ListParams::default().labels("app"))
        .await
        .unwrap();
    assert_eq!(list.items.len(), 1);
    let mut watched = send(&api, &format!("{MAPS}?watch=1&labelSelector=app"), form)
        .await
        .into_body();
    let told = events(&mut watched, 1).await;
    assert_eq!(told[0], json!({"type": "ADDED", "object": expected}));
    cluster.stop().await;
}
