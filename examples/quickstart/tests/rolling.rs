//! How a roll ends that may have no room.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::client::Patch;
use orch_core::testing::FakeRuntime;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::super::steps;
use super::super::surge::STUCK;
use super::super::watch::Views;
use super::{memory, seconds, start};

/// A Deployment of one pod, which takes a port of the node.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: i, PORTS}]}
";

const PORT: &str = "ports: [{containerPort: 80, hostPort: 80}]";

/// Rolls it while something else happens; returns whether it was rolled, and how long all that took.
async fn rolled(ports: &str, meanwhile: impl AsyncFnOnce(&Cluster)) -> (bool, Duration) {
    let cluster = start(&memory(), &FakeRuntime::new()).await;
    let text = WEB.replace("PORTS", ports);
    let manifest = Manifest::read("web.yaml", &text, &ManifestKinds::builtin()).unwrap();
    let views = Views::open(&cluster, &manifest).await;
    let applied = steps::apply(&cluster, &manifest).await.unwrap();
    let ready = steps::ready(&cluster, &views, &applied, steps::Until::Ended, seconds(90));
    ready.await.unwrap();
    let began = Instant::now();
    let key = &applied.deployments[0];
    let roll = steps::roll(&cluster, &views, key, seconds(90));
    let (took, ()) = tokio::join!(roll, meanwhile(&cluster));
    let (took, all) = (took.unwrap(), began.elapsed());
    if took.is_none() {
        steps::roll_back(&cluster, &views, key, seconds(90))
            .await
            .unwrap();
    }
    assert!(views.complete(std::slice::from_ref(key)));
    drop(views);
    cluster.stop().await;
    (took.is_some(), all)
}

async fn patch_node(cluster: &Cluster, spec: Value) {
    let nodes = cluster.client().all::<Node>();
    nodes
        .patch("local", &Patch::Merge(json!({"spec": spec})))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_roll_is_taken_back_only_if_it_has_stood_still_for_a_while() {
    let (is_rolled, took) = rolled(PORT, async |_| {}).await;
    assert!(!is_rolled && took >= STUCK, "{took:?}");

    // What is in the way goes away before that.
    let (is_rolled, took) = rolled(PORT, async |cluster| {
        sleep(STUCK - Duration::from_secs(1)).await;
        let strategy = json!({"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}});
        let deployments = cluster.client().api::<Deployment>("default");
        deployments.patch("web", &Patch::Merge(strategy)).await.unwrap();
    })
    .await;
    assert!(is_rolled && took >= STUCK, "{took:?}");
    let (is_rolled, took) = rolled("", async |cluster| {
        patch_node(cluster, json!({"unschedulable": true})).await;
        sleep(STUCK - Duration::from_secs(1)).await;
        patch_node(cluster, json!({"unschedulable": null})).await;
    })
    .await;
    assert!(is_rolled, "{took:?}");
    assert!(took >= STUCK && took < STUCK * 2, "{took:?}");
}
