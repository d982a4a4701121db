//! What a pod's containers wrote.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::Http;
use futures::FutureExt;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use orch_cluster::cluster::Cluster;
use orch_core::testing::fake_runtime::{Behavior, FakeRuntime, On};
use orch_core::testing::runtime::Program;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";

/// A cluster of one node, whose container `web` says two lines, and ten seconds later a third, and ends.
async fn cluster() -> (Cluster, Http) {
    let runtime = FakeRuntime::new();
    let program = Program::new()
        .out("one\n")
        .err("two\n")
        .sleep(Duration::from_secs(10))
        .out("three\n")
        .exit(3);
    runtime.on(On::container("web"), Behavior::new().run(program));
    common::reached(runtime).await
}

fn pod(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<_> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "i"}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": containers, "initContainers": [], "terminationGracePeriodSeconds": 0},
    })
}

/// Waits until something of a pod's first container is there.
async fn until(api: &Http, pod: &str, path: &str) {
    while api.get(&format!("{PODS}/{pod}")).await.1["status"]["containerStatuses"][0]
        .pointer(path)
        .is_none_or(Value::is_null)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn log(api: &Http, rest: &str) -> (StatusCode, String) {
    let request = Request::get(format!("{PODS}/{rest}"));
    let answer = api.send(request.body(Empty::<Bytes>::new()).unwrap()).await;
    let code = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_shown_as_it_is_asked_for() {
    let (_cluster, api) = cluster().await;
    assert_eq!(api.post(PODS, &pod("a", &["web"])).await.0, 201);
    until(&api, "a", "/state/running").await;
    for (query, wanted) in [
        ("", "one\ntwo\n"),
        ("?container=web", "one\ntwo\n"),
        ("?tailLines=1", "two\n"),
        ("?tailLines=0", ""),
        ("?limitBytes=6", "one\ntw"),
        ("?limitBytes=1&tailLines=1", "t"),
        ("?stream=Stderr", "two\n"),
        ("?stream=All", "one\ntwo\n"),
        ("?sinceSeconds=3600", "one\ntwo\n"),
        ("?sinceTime=2130-01-01T00:00:00Z", ""),
    ] {
        let found = log(&api, &format!("a/log{query}")).await;
        assert_eq!(found, (StatusCode::OK, wanted.to_owned()), "{query}");
    }
    let (_, stamped) = log(&api, "a/log?timestamps=true&tailLines=1").await;
    let (time, line) = stamped.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{stamped}");
    assert_eq!(line, "two\n");
}

#[tokio::test(start_paused = true)]
async fn what_is_being_written_is_followed_to_its_end_and_kept_for_the_next_container() {
    let (_cluster, api) = cluster().await;
    assert_eq!(api.post(PODS, &pod("a", &["web"])).await.0, 201);
    until(&api, "a", "/state/running").await;
    let none = log(&api, "a/log?previous=true").await;
    assert_eq!(none.0, StatusCode::BAD_REQUEST);
    assert!(
        none.1
            .contains(r#"previous terminated container \"web\" in pod \"a\" not found"#),
        "{}",
        none.1
    );
    let request = Request::get(format!("{PODS}/a/log?follow=true"));
    let answer = api.send(request.body(Empty::<Bytes>::new()).unwrap()).await;
    let mut body = answer.into_body();
    let mut said = String::new();
    while said != "one\ntwo\n" {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        said += std::str::from_utf8(&frame).unwrap();
    }
    assert!(body.frame().now_or_never().is_none(), "it goes on");
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(&rest[..], b"three\n");

    until(&api, "a", "/lastState/terminated").await;
    until(&api, "a", "/state/running").await;
    let previous = log(&api, "a/log?previous=true").await;
    assert_eq!(previous, (StatusCode::OK, "one\ntwo\nthree\n".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_refused_in_kubernetes_words() {
    let (_cluster, api) = cluster().await;
    assert_eq!(api.post(PODS, &pod("two", &["web", "side"])).await.0, 201);
    let mut elsewhere = pod("elsewhere", &["web"]);
    elsewhere["spec"]["nodeName"] = json!("other");
    assert_eq!(api.post(PODS, &elsewhere).await.0, 201);
    let mut nowhere = pod("nowhere", &["web"]);
    nowhere["spec"]["nodeSelector"] = json!({"disk": "fast"});
    assert_eq!(api.post(PODS, &nowhere).await.0, 201);
    let mut broken = pod("broken", &["web"]);
    broken["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "a"}}}]);
    assert_eq!(api.post(PODS, &broken).await.0, 201);
    until(&api, "broken", "/state/waiting").await;
    for (rest, code, wanted) in [
        ("none/log", 404, r#"pods \"none\" not found"#),
        (
            "two/log",
            400,
            "a container name must be specified for pod two, choose one of: [web side]",
        ),
        ("two/log?container=c", 400, "container c is not valid for pod two"),
        (
            "elsewhere/log",
            503,
            r#"is on node \"other\", whose containers cannot be reached"#,
        ),
        ("nowhere/log", 200, ""),
        (
            "broken/log",
            400,
            r#"container \"web\" in pod \"broken\" is waiting to start: CreateContainerConfigError"#,
        ),
        (
            "two/log?tailLines=-1",
            400,
            "tailLines: \\\"-1\\\": must be a number of lines",
        ),
        (
            "two/log?limitBytes=0",
            400,
            "limitBytes: \\\"0\\\": must be greater than 0",
        ),
        (
            "two/log?sinceSeconds=0",
            400,
            "sinceSeconds: \\\"0\\\": must be greater than 0",
        ),
        (
            "two/log?sinceSeconds=1&sinceTime=2030-01-01T00:00:00Z",
            400,
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("two/log?stream=stderr", 400, "must be All, Stdout or Stderr"),
    ] {
        let (found, said) = log(&api, rest).await;
        assert_eq!(found.as_u16(), code, "{rest}: {said}");
        assert!(said.contains(wanted), "{rest}: {said}");
    }
    let (code, _) = api.ask("POST", &format!("{PODS}/two/log"), None).await;
    assert_eq!(code, 405);
    let (code, _) = api.get("/api/v1/namespaces/default/configmaps/a/log").await;
    assert_eq!(code, 404);
}
