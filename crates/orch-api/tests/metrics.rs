//! What pods and nodes use.

mod common;

use std::time::Duration;

use common::Http;
use orch_cluster::cluster::Cluster;
use orch_core::testing::fake_runtime::{Behavior, Call, FakeRuntime, Fault, On, Usage};
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

/// A cluster of one node, on which the containers `web` and `side` use something.
async fn cluster() -> (Cluster, Http) {
    let runtime = FakeRuntime::new();
    for (name, cpu_millis, mebibytes) in [("web", 250, 64), ("side", 50, 16)] {
        let usage = Usage {
            cpu_millis,
            memory_bytes: mebibytes * 1024 * 1024,
        };
        runtime.on(On::container(name), Behavior::new().usage(usage));
    }
    common::reached(runtime).await
}

async fn run(api: &Http, name: &str, containers: &[&str]) {
    let containers: Vec<_> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "i"}))
        .collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": containers},
    });
    assert_eq!(api.post(PODS, &pod).await.0, 201);
    while api.get(&format!("{PODS}/{name}")).await.1["status"]["phase"] != "Running" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn pods_use_what_their_containers_use_and_nodes_what_their_pods_use() {
    let (_cluster, api) = cluster().await;
    run(&api, "a", &["web", "side"]).await;
    run(&api, "b", &["web"]).await;
    let own = format!("{METRICS}/namespaces/default/pods");
    let (code, of_a) = api.get(&format!("{own}/a")).await;
    assert_eq!(code, 200, "{of_a}");
    assert_eq!(
        of_a["containers"],
        json!([
            {"name": "web", "usage": {"cpu": "250000000n", "memory": "65536Ki"}},
            {"name": "side", "usage": {"cpu": "50000000n", "memory": "16384Ki"}},
        ])
    );
    assert_eq!(
        (&of_a["kind"], &of_a["window"]),
        (&json!("PodMetrics"), &json!("1.000s"))
    );
    assert_eq!(of_a["metadata"]["namespace"], "default");
    let (_, all) = api.get(&own).await;
    assert_eq!(
        (&all["kind"], names(&all)),
        (&json!("PodMetricsList"), vec!["a", "b"])
    );
    let (_, chosen) = api.get(&format!("{METRICS}/pods?labelSelector=app%3Db")).await;
    assert_eq!(names(&chosen), ["b"]);
    let (_, none) = api.get(&format!("{METRICS}/namespaces/other/pods")).await;
    assert_eq!(names(&none), [""; 0]);
    let (_, node) = api.get(&format!("{METRICS}/nodes/node-1")).await;
    assert_eq!(
        node["usage"],
        json!({"cpu": "550000000n", "memory": "147456Ki"}),
        "{node}"
    );
    let (_, nodes) = api.get(&format!("{METRICS}/nodes")).await;
    assert_eq!(
        (&nodes["kind"], names(&nodes)),
        (&json!("NodeMetricsList"), vec!["node-1"])
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_measured_is_not_found_and_nothing_can_be_written() {
    let (_cluster, api) = cluster().await;
    // It is on no node.
    let gated = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "gated"},
        "spec": {"containers": [{"name": "web", "image": "i"}], "schedulingGates": [{"name": "g"}]},
    });
    assert_eq!(api.post(PODS, &gated).await.0, 201);
    let own = format!("{METRICS}/namespaces/default/pods");
    for name in ["gated", "none"] {
        let (code, refused) = api.get(&format!("{own}/{name}")).await;
        let words = format!("podmetrics.metrics.k8s.io \"default/{name}\" not found");
        assert_eq!((code.as_u16(), &refused["message"]), (404, &json!(words)));
    }
    assert_eq!(names(&api.get(&own).await.1), [""; 0]);
    // A runtime that measures nothing says nothing of its node either.
    let runtime = FakeRuntime::new();
    runtime.inject(Call::Stats, Fault::Fails("no groups".to_owned()), 2);
    let (_cluster, unmeasured) = common::reached(runtime).await;
    run(&unmeasured, "a", &["web"]).await;
    assert_eq!(unmeasured.get(&format!("{METRICS}/nodes/node-1")).await.0, 404);
    let (code, _) = api.get(&format!("{METRICS}/nodes/none")).await;
    assert_eq!(code, 404);
    assert_eq!(api.post(&own, &gated).await.0, 405);
    assert_eq!(api.get(&format!("{own}?watch=true")).await.0, 405);
    let (_, kinds) = api.get(METRICS).await;
    assert_eq!(kinds["resources"][1]["verbs"], json!(["get", "list"]), "{kinds}");
}
