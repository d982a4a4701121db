//! Pods that are evicted, over the API.

mod common;

use bytes::Bytes;
use common::{Http, cluster, json as read};
use http::{Request, StatusCode};
use http_body_util::Full;
use orch_api::ApiOptions;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const MERGE: &str = "application/merge-patch+json";

async fn running(api: &Http, name: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        // Of a node that nobody has, so that nobody but this test says how it is.
        "spec": {"nodeName": "elsewhere", "containers": [{"name": "c", "image": "i"}]},
    });
    let (code, made) = api.post(PODS, &pod).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let path = format!("{PODS}/{name}/status");
    let (code, said) = api.ask("PATCH", &path, Some((MERGE, &status.to_string()))).await;
    assert_eq!(code, StatusCode::OK, "{said}");
}

async fn budget(api: &Http, name: &str, least: i32) {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}},
    });
    let (code, made) = api.post(BUDGETS, &budget).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
}

/// Waits until the budget's status is reckoned of so many pods.
async fn reckoned(api: &Http, name: &str, pods: i64) {
    let known = async {
        loop {
            let (_, budget) = api.get(&format!("{BUDGETS}/{name}")).await;
            if budget["status"]["currentHealthy"] == pods {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, known)
        .await
        .expect("the controller reckons");
}

async fn evict(api: &Http, name: &str, options: &Value) -> (StatusCode, Value) {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options,
    });
    api.post(&format!("{PODS}/{name}/eviction"), &eviction).await
}

#[tokio::test(start_paused = true)]
async fn many_pods_of_one_budget_are_evicted_at_once() {
    let (_cluster, api) = cluster(ApiOptions::default()).await;
    const PODS: i64 = 60;
    for number in 0..PODS {
        running(&api, &format!("web-{number}")).await;
    }
    budget(&api, "web", 0).await;
    reckoned(&api, "web", PODS).await;
    let names: Vec<_> = (0..PODS).map(|number| format!("web-{number}")).collect();
    let options = json!({});
    let evictions = names.iter().map(|name| evict(&api, name, &options));
    for (code, said) in futures::future::join_all(evictions).await {
        assert_eq!(code, StatusCode::CREATED, "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_found_where_kubectl_looks_for_it() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, core) = api.get("/api/v1").await;
    let all = core["resources"].as_array().unwrap();
    let eviction = all.iter().find(|one| one["name"] == "pods/eviction").unwrap();
    let expected = json!({
        "name": "pods/eviction", "singularName": "", "namespaced": true,
        "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"],
    });
    assert_eq!(eviction, &expected);
    assert_eq!(
        api.get(&format!("{PODS}/a/eviction")).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_lets_as_many_go_as_it_can_spare() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    for name in ["a", "b"] {
        running(&api, name).await;
    }
    budget(&api, "web", 1).await;
    reckoned(&api, "web", 2).await;
    let (code, said) = evict(&api, "a", &json!({"dryRun": ["All"]})).await;
    assert_eq!((code, &said["status"]), (StatusCode::CREATED, &json!("Success")));
    assert_eq!(
        api.get(&format!("{PODS}/a")).await.1["metadata"].get("deletionTimestamp"),
        None
    );

    let (code, said) = evict(&api, "a", &json!({"gracePeriodSeconds": 3})).await;
    assert_eq!(code, StatusCode::CREATED, "{said}");
    let (_, gone) = api.get(&format!("{PODS}/a")).await;
    assert_eq!(gone["metadata"]["deletionGracePeriodSeconds"], 3);
    reckoned(&api, "web", 1).await;
    let (code, said) = evict(&api, "b", &json!({})).await;
    let expected = json!({
        "causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 1 currently"}],
    });
    assert_eq!(
        (code, &said["reason"], &said["message"], &said["details"]),
        (
            StatusCode::TOO_MANY_REQUESTS,
            &json!("TooManyRequests"),
            &json!("Cannot evict pod as it would violate the pod's disruption budget."),
            &expected
        )
    );

    budget(&api, "other", 0).await;
    let (code, said) = evict(&api, "b", &json!({})).await;
    let several =
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    assert_eq!(
        (code, said["message"].as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, Some(several))
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_not_reckoned_yet_is_asked_again_soon() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    running(&api, "a").await;
    budget(&api, "web", 0).await;
    reckoned(&api, "web", 1).await;
    // As if it had been changed this moment.
    let behind = json!({"status": {"observedGeneration": 0}}).to_string();
    let path = format!("{BUDGETS}/web/status");
    let request = Request::post(format!("{PODS}/a/eviction")).header("Content-Type", "application/json");
    let body = json!({"metadata": {"name": "a"}}).to_string();
    let request = request.body(Full::<Bytes>::from(body)).unwrap();
    let (code, said) = api.ask("PATCH", &path, Some((MERGE, &behind))).await;
    assert_eq!(code, StatusCode::OK, "{said}");
    let answer = api.send(request).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "10");
    let said = read(answer).await;
    let cause = "The disruption budget web is still being processed by the server.";
    assert_eq!(said["details"]["causes"][0]["message"], cause);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_eviction_of_the_pod_is_refused() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    running(&api, "a").await;
    for (eviction, expected) in [
        (
            json!({"metadata": {"name": "b"}}),
            "name in URL does not match name in Eviction object",
        ),
        (
            json!({"kind": "Pod", "metadata": {"name": "a"}}),
            "kind: \"Pod\": must be Eviction",
        ),
        (
            json!({"apiVersion": "v1", "metadata": {"name": "a"}}),
            "apiVersion: \"v1\": must be policy/v1",
        ),
        (
            json!({"metadata": {"name": "a"}, "deleteOptions": {"gracePeriodSeconds": -1}}),
            "gracePeriodSeconds: -1: must be 0 or more",
        ),
    ] {
        let (code, said) = api.post(&format!("{PODS}/a/eviction"), &eviction).await;
        assert_eq!(
            (code, said["message"].as_str()),
            (StatusCode::BAD_REQUEST, Some(expected))
        );
    }
    let (code, said) = evict(&api, "none", &json!({})).await;
    assert_eq!(
        (code, &said["message"]),
        (StatusCode::NOT_FOUND, &json!("pods \"none\" not found"))
    );
    cluster.stop().await;
}
