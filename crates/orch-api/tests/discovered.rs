//! What the API says of itself.

mod common;

use bytes::Bytes;
use common::{cluster, json as read};
use http::{Request, StatusCode};
use http_body_util::Full;
use orch_api::ApiOptions;
use serde_json::{Value, json};

fn named<'v>(list: &'v Value, field: &str, name: &str) -> &'v Value {
    let mut items = list.as_array().expect("a list").iter();
    items
        .find(|item| item[field] == name)
        .unwrap_or_else(|| panic!("no {name} in {list}"))
}

#[tokio::test(start_paused = true)]
async fn each_version_of_a_group_lists_its_kinds() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, versions) = api.get("/api").await;
    assert_eq!(
        (&versions["kind"], &versions["versions"]),
        (&json!("APIVersions"), &json!(["v1"]))
    );
    let (_, groups) = api.get("/apis").await;
    let apps = named(&groups["groups"], "name", "apps");
    assert_eq!(
        apps["preferredVersion"],
        json!({"groupVersion": "apps/v1", "version": "v1"})
    );
    let (_, apps) = api.get("/apis/apps").await;
    assert_eq!(
        (&apps["kind"], &apps["name"]),
        (&json!("APIGroup"), &json!("apps"))
    );
    let (_, core) = api.get("/api/v1").await;
    assert_eq!(
        (&core["kind"], &core["groupVersion"]),
        (&json!("APIResourceList"), &json!("v1"))
    );
    let pods = named(&core["resources"], "name", "pods");
    let expected = json!({
        "name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "shortNames": ["po"], "categories": ["all"],
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    assert_eq!(pods, &expected);
    let binding = named(&core["resources"], "name", "pods/binding");
    assert_eq!(
        (&binding["kind"], &binding["verbs"]),
        (&json!("Binding"), &json!(["create"]))
    );
    for path in ["/apis/none", "/apis/apps/v2", "/api/v2"] {
        assert_eq!(api.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(api.get("/version").await.1["major"], "1");
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_aggregated_discovery_gets_it_in_the_version_that_it_takes() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let form = |version: &str| {
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
    };
    for (accept, version) in [
        (
            format!("{},{},application/json", form("v2"), form("v2beta1")),
            "v2",
        ),
        (format!("{},application/json", form("v2beta1")), "v2beta1"),
    ] {
        for (path, group, plural) in [("/api", None, "pods"), ("/apis", Some("apps"), "deployments")] {
            let request = Request::get(path).header("Accept", &accept);
            let answer = api.send(request.body(Full::<Bytes>::default()).unwrap()).await;
            assert_eq!(answer.headers()["content-type"], form(version).as_str());
            let list = read(answer).await;
            assert_eq!(list["apiVersion"], format!("apidiscovery.k8s.io/{version}"));
            let items = list["items"].as_array().unwrap();
            let found = items
                .iter()
                .find(|item| item["metadata"]["name"].as_str() == group)
                .unwrap();
            let one = named(&found["versions"][0]["resources"], "resource", plural);
            assert_eq!(
                (&one["scope"], &one["responseKind"]["version"]),
                (&json!("Namespaced"), &json!("v1"))
            );
            assert_eq!(
                named(&one["subresources"], "subresource", "status")["verbs"],
                json!(["get", "patch", "update"])
            );
        }
    }
    cluster.stop().await;
}
