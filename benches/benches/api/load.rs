//! Creates from many at once, and reads of one and of many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use orch_benches::median;
use serde_json::json;
use tokio::task::JoinSet;

use crate::served::Served;
use crate::{print, print_time};

pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

const CONNECTIONS: usize = 64;
const WARM: Duration = Duration::from_millis(500);
const COUNTED: Duration = Duration::from_secs(3);
const LISTED: usize = 10_000;

/// A small map of 0.3 KB.
pub(crate) fn map(name: &str, tier: &str) -> String {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "web", "tier": tier}},
        "data": {"value": "1", "log.level": "info", "endpoint": "http://api.default.svc:8080"}})
    .to_string()
}

/// A pod of one container.
fn pod(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1.27",
            "ports": [{"containerPort": 80}], "env": [{"name": "LEVEL", "value": "info"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}})
    .to_string()
}

/// How many of 64 callers, each after its last answer, are served in a second.
async fn rate(path: &'static str, object: fn(&str) -> String, over_http: bool) -> f64 {
    let served = Arc::new(Served::start(1).await);
    let made = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..CONNECTIONS {
        let (served, made) = (served.clone(), made.clone());
        callers.spawn(async move {
            let mut connection = match over_http {
                true => Some(served.connect(0).await),
                false => None,
            };
            for n in 0_u64.. {
                let object = object(&format!("made-{caller}-{n}"));
                let (code, _) = match &mut connection {
                    Some(connection) => {
                        let request = served.request("POST", path, "", &object);
                        connection.ask(&request).await
                    }
                    None => served.call("POST", path, object).await,
                };
                assert_eq!(code, 201, "it is made");
                made.fetch_add(1, Relaxed);
            }
        });
    }
    tokio::time::sleep(WARM).await;
    let (before, began) = (made.load(Relaxed), Instant::now());
    tokio::time::sleep(COUNTED).await;
    let rate = (made.load(Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    assert!(callers.try_join_next().is_none(), "nobody gave up");
    rate
}

/// Creates: parsed, filled in, checked, with `managedFields`, and on disk before the answer.
pub(crate) async fn creates() {
    let http = rate(MAPS, |name| map(name, "front"), true).await;
    print(
        "config maps created a second, 64 connections over TLS",
        http,
        ">= 8,000",
    );
    let process = rate(MAPS, |name| map(name, "front"), false).await;
    print("  in the process, 64 tasks", process, "");
    let pods = rate(PODS, pod, true).await;
    print("pods created a second, 64 connections over TLS", pods, "");
    let process = rate(PODS, pod, false).await;
    print("  in the process, 64 tasks", process, "");
}

/// One object, and ten thousand.
pub(crate) async fn reads() {
    let served = Served::start(1).await;
    for n in 0..LISTED {
        let (code, _) = served.call("POST", PODS, pod(&format!("pod-{n:05}"))).await;
        assert_eq!(code, 201);
    }
    let mut connection = served.connect(0).await;
    for (what, path, rounds, bound) in [
        ("a pod read, p50", format!("{PODS}/pod-00042"), 5_000, "<= 0.150"),
        ("10,000 pods listed, median", PODS.to_owned(), 15, "<= 120"),
    ] {
        let request = served.request("GET", &path, "", "");
        let (mut http, mut process, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let began = Instant::now();
            let (code, length) = connection.ask(&request).await;
            http.push(began.elapsed());
            assert_eq!(code, 200);
            bytes = length;
        }
        for _ in 0..rounds {
            let began = Instant::now();
            let (code, _) = served.call("GET", &path, String::new()).await;
            process.push(began.elapsed());
            assert_eq!(code, 200);
        }
        print_time(&format!("{what} ({bytes} bytes)"), median(http), bound);
        print_time("  in the process", median(process), "");
    }
}
