//! Watches over the wire.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{MAPS, cluster, events, json as read, map};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use orch_api::{ApiOptions, Body};
use serde_json::{Value, json};

async fn watch(api: &common::Http, query: &str) -> Body {
    let request = Request::get(format!("{MAPS}?watch=1&{query}")).body(Full::<Bytes>::default());
    let answer = api.send(request.unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.into_body()
}

/// What happened, and to which object.
fn told(events: &[Value]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|event| {
            let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
            (event["type"].as_str().unwrap(), name)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_there_is_and_what_happens_to_it() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    api.post(MAPS, &map("a", "1")).await;
    api.post(MAPS, &map("b", "1")).await;
    let mut all = watch(&api, "labelSelector=app").await;
    let mut one = watch(&api, "fieldSelector=metadata.name%3Db").await;
    assert_eq!(told(&events(&mut all, 2).await), [("ADDED", "a"), ("ADDED", "b")]);
    assert_eq!(told(&events(&mut one, 1).await), [("ADDED", "b")]);
    let form = "application/merge-patch+json";
    let change = r#"{"data":{"key":"2"}}"#;
    let (_, changed) = api.ask("PATCH", &format!("{MAPS}/a"), Some((form, change))).await;
    api.ask("DELETE", &format!("{MAPS}/b"), None).await;
    let later = events(&mut all, 2).await;
    assert_eq!(told(&later), [("MODIFIED", "a"), ("DELETED", "b")]);
    assert_eq!(later[0]["object"], changed, "as who changed it was told");
    assert_eq!(told(&events(&mut one, 1).await), [("DELETED", "b")]);
    // After the version of a list, or of an event, nothing is missed and nothing told again.
    let version = changed["metadata"]["resourceVersion"].as_str().unwrap();
    let mut resumed = watch(&api, &format!("labelSelector=app&resourceVersion={version}")).await;
    assert_eq!(told(&events(&mut resumed, 1).await), [("DELETED", "b")]);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_over_and_says_how_far_it_came() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    let (_, made) = api.post(MAPS, &map("a", "1")).await;
    let begin = tokio::time::Instant::now();
    let mut body = watch(
        &api,
        "labelSelector=app&timeoutSeconds=90&allowWatchBookmarks=true",
    )
    .await;
    let told = events(&mut body, 3).await;
    assert_eq!(told[0]["type"], "ADDED");
    for bookmark in &told[1..] {
        assert_eq!(
            (&bookmark["type"], &bookmark["object"]["kind"]),
            (&json!("BOOKMARK"), &json!("ConfigMap"))
        );
        let version = bookmark["object"]["metadata"]["resourceVersion"]
            .as_str()
            .unwrap();
        let least = made["metadata"]["resourceVersion"].as_str().unwrap();
        assert!(
            version.parse::<u64>().unwrap() >= least.parse().unwrap(),
            "{version}"
        );
    }
    assert!(body.frame().await.is_none());
    assert_eq!(begin.elapsed().as_secs(), 90);
    // Who asks for no bookmarks gets none, and no watch lasts longer than the longest.
    let (other, api) = common::cluster(ApiOptions::default().watch_timeout(Duration::from_secs(100))).await;
    let begin = tokio::time::Instant::now();
    let mut body = watch(&api, "labelSelector=app&timeoutSeconds=900").await;
    assert!(body.frame().await.is_none());
    assert_eq!(begin.elapsed().as_secs(), 100);
    other.stop().await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_marks_the_end_of_what_there_was() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    api.post(MAPS, &map("a", "1")).await;
    let query =
        "labelSelector=app&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut body = watch(&api, query).await;
    let initial = events(&mut body, 2).await;
    assert_eq!(told(&initial), [("ADDED", "a"), ("BOOKMARK", "")]);
    let annotations = &initial[1]["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    api.post(MAPS, &map("b", "1")).await;
    assert_eq!(told(&events(&mut body, 1).await), [("ADDED", "b")]);
    let path = format!("{MAPS}?watch=1&sendInitialEvents=true");
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let answer = api.send(request).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let status = read(answer).await;
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .starts_with("resourceVersionMatch: must be NotOlderThan")
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_version_that_never_was_says_to_list_again() {
    let (cluster, api) = cluster(ApiOptions::default()).await;
    // Also while others watch.
    let _other = watch(&api, "labelSelector=app").await;
    let mut body = watch(&api, "labelSelector=app&resourceVersion=1000000").await;
    let event = events(&mut body, 1).await.remove(0);
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(event["object"]["reason"], "Expired");
    assert!(body.frame().await.is_none());
    cluster.stop().await;
}
