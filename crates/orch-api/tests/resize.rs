//! What a pod's containers may use, changed while they run.

mod common;

use orch_api::ApiOptions;
use orch_core::testing::FakeRuntime;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const RESIZE: &str = "/api/v1/namespaces/default/pods/web/resize";

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}}]},
    })
}

fn wanting(cpu: &str) -> String {
    json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}).to_string()
}

#[tokio::test(start_paused = true)]
async fn it_is_read_and_written_and_comes_to_be() {
    let (_cluster, api) = common::reached(FakeRuntime::new()).await;
    assert_eq!(api.post(PODS, &pod("web")).await.0, 201);
    let resources =
        |pod: &Value| pod["status"]["containerStatuses"][0]["resources"]["requests"]["cpu"].clone();
    let until = async |wanted: &str| {
        loop {
            let (_, pod) = api.get(RESIZE).await;
            if resources(&pod) == wanted {
                return pod;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    until("100m").await;
    let strategic = "application/strategic-merge-patch+json";
    let (code, resized) = api
        .ask("PATCH", RESIZE, Some((strategic, &wanting("200m"))))
        .await;
    assert_eq!(code, 200, "{resized}");
    let pod = until("200m").await;
    assert_eq!(pod["metadata"]["generation"], 2, "{pod:#}");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    let mut wanted = pod.clone();
    wanted["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("300m");
    // Nothing else of what is sent is written.
    wanted["spec"]["containers"][0]["image"] = json!("another");
    let (code, _) = api
        .ask("PUT", RESIZE, Some(("application/json", &wanted.to_string())))
        .await;
    assert_eq!(code, 200);
    let pod = until("300m").await;
    assert_eq!(pod["spec"]["containers"][0]["image"], "i");

    let (code, refused) = api.ask("PATCH", RESIZE, Some((strategic, &wanting("2")))).await;
    assert_eq!(code, 422, "{refused}");
    let said = refused["message"].as_str().unwrap();
    assert!(
        said.contains("must be less than or equal to cpu limit of 1"),
        "{said}"
    );
    // As a whole a pod cannot be changed so.
    let whole = format!("{PODS}/web");
    let (code, _) = api
        .ask("PATCH", &whole, Some((strategic, &wanting("500m"))))
        .await;
    assert_eq!(code, 422);
}

#[tokio::test(start_paused = true)]
async fn discovery_knows_it() {
    let (_cluster, api) = common::cluster(ApiOptions::default()).await;
    let (_, list) = api.get("/api/v1").await;
    let all = list["resources"].as_array().unwrap();
    let resize = all.iter().find(|one| one["name"] == "pods/resize").unwrap();
    assert_eq!(
        (&resize["kind"], &resize["verbs"]),
        (&json!("Pod"), &json!(["get", "patch", "update"]))
    );
    let (_, paths) = api.get("/openapi/v3/api/v1").await;
    assert!(paths["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/resize"]["patch"].is_object());
}
