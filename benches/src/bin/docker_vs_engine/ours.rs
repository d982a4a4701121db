//! The Deployment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_core::cache::Cache;
use orch_core::client::{DeleteParams, ListParams, Propagation};
use orch_core::object::Object;
use orch_core::runtime::{ContainerFilter, Runtime, SandboxFilter};
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use orch_store::RedbStore;
use serde_json::json;
use tokio::sync::watch;

use crate::raw::Settings;
use crate::{COMMAND, IMAGE, PARALLELISM, REPLICAS};

/// How long from apply to all Ready, how long killed containers took to be Ready again, and what a pod's containers
/// are like.
pub(crate) async fn measure(docker: &Docker) -> (Duration, Vec<Duration>, Settings) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = RedbStore::open(directory.path().join("state.redb")).expect("a store");
    let options = DockerOptions::default().scope("bench").parallelism(PARALLELISM);
    let runtime = Arc::new(DockerRuntime::new(options).expect("an engine"));
    let cluster = Cluster::builder(Arc::new(store))
        .node_with(AgentConfig::new("local").capacity("pods", "500"), runtime.clone())
        .start();
    let cluster = cluster.await.expect("a cluster");
    let client = cluster.client().clone();
    let deployments: Cache<Deployment> = Cache::builder(&client).start();
    let pods: Cache<Pod> = Cache::builder(&client).start();
    deployments.synced().await;
    pods.synced().await;
    let (ready, mut is_ready) = watch::channel(0);
    let _watching = deployments.on_change(move |change| {
        let status = change.new.and_then(|deployment| deployment.status.as_ref());
        ready.send_replace(status.and_then(|status| status.ready_replicas).unwrap_or(0));
    });
    cluster.agents()[0].ready().await;

    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "bench"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "bench"}},
            "template": {"metadata": {"labels": {"app": "bench"}}, "spec": {"terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": COMMAND}]}}}}))
    .expect("a deployment");
    let began = Instant::now();
    let api = client.api::<Deployment>("default");
    api.create(&deployment).await.expect("created");
    is_ready
        .wait_for(|ready| *ready as usize == REPLICAS)
        .await
        .expect("watched");
    let took = began.elapsed();

    let list = client.all::<Pod>().list(&ListParams::default()).await;
    let listed = list.expect("pods").items;
    let uid = listed[0].metadata.uid.as_deref().expect("a uid");
    let settings = Settings::of_pod(docker, uid).await;
    let mut healed = Vec::new();
    for pod in listed.iter().take(5) {
        healed.push(kill(&*runtime, &pods, pod).await);
    }
    let params = DeleteParams::default().propagation(Propagation::Foreground);
    api.delete("bench", &params).await.expect("deleted");
    let (left, mut all_left) = watch::channel(());
    let _watching = pods.on_change(move |_| left.send_replace(()));
    while !pods.is_empty() {
        all_left.changed().await.expect("watched");
    }
    // What a deleted pod leaves is removed after it: none of that may be in the next measurement.
    while !runtime
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("sandboxes")
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.stop().await;
    (took, healed, settings)
}

/// Kills the pod's container behind the cluster's back; how long until it is Ready again.
async fn kill(runtime: &dyn Runtime, pods: &Cache<Pod>, pod: &Pod) -> Duration {
    let filter = ContainerFilter {
        pod_uid: pod.metadata.uid.clone(),
        ..ContainerFilter::default()
    };
    let containers = runtime.containers(&filter).await.expect("containers");
    let container = containers
        .iter()
        .find(|container| container.state.is_running())
        .expect("it runs");
    let (restarted, mut is_back) = watch::channel(false);
    let key = pod.key();
    let _watching = pods.on_change(move |change| {
        let Some(pod) = change.new.filter(|_| *change.key == key) else {
            return;
        };
        let statuses = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        for status in statuses {
            if status.restart_count == 1 && status.ready {
                restarted.send_replace(true);
            }
        }
    });
    let began = Instant::now();
    runtime
        .stop_container(&container.id, Duration::ZERO)
        .await
        .expect("killed");
    is_back.wait_for(|back| *back).await.expect("watched");
    began.elapsed()
}
