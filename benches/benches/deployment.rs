//! A Deployment of 1,000 replicas on 1,000 nodes, from apply until its status says that all are Ready.
//!
//! Everything is the real thing but the containers: client with defaulting, validation and admission, controllers,
//! scheduling, and nodes that report each pod's status through the client as soon as it is bound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use k8s_openapi::api::apps::v1::Deployment;
use orch_benches::{cluster, fake_nodes};
use orch_cluster::controllers::Controllers;
use orch_cluster::scheduling::Scheduling;
use orch_core::cache::Cache;
use orch_core::store::{MemoryStore, Store};
use orch_store::RedbStore;
use serde_json::json;

const REPLICAS: i32 = 1_000;

async fn apply_to_ready(store: Arc<dyn Store>) -> Duration {
    let client = cluster(store, 1_000).await;
    let controllers = Controllers::new(&client).start();
    let scheduling = tokio::spawn(Scheduling::new(client.clone()).run());
    let nodes = tokio::spawn(fake_nodes(client.clone()));
    let deployments: Cache<Deployment> = Cache::builder(&client).start();
    deployments.synced().await;
    let (ready, mut is_ready) = tokio::sync::watch::channel(0);
    let _watching = deployments.on_change(move |change| {
        let status = change.new.and_then(|deployment| deployment.status.as_ref());
        ready.send_replace(status.and_then(|status| status.ready_replicas).unwrap_or(0));
    });
    // Everything has listed what there is before the clock starts.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}}}}))
    .expect("a deployment");
    let began = Instant::now();
    client.api("default").create(&deployment).await.expect("created");
    is_ready
        .wait_for(|ready| *ready == REPLICAS)
        .await
        .expect("watched");
    let took = began.elapsed();
    for task in [scheduling, nodes] {
        task.abort();
    }
    controllers.stop().await;
    took
}

fn deployment(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("deployment");
    group.sample_size(10);
    group.bench_function("1000 replicas ready, memory store", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| runtime.block_on(apply_to_ready(Arc::new(MemoryStore::new()))))
                .sum()
        });
    });
    group.bench_function("1000 replicas ready, redb store", |bencher| {
        bencher.iter_custom(|rounds| {
            let durable = |_| {
                let directory = tempfile::tempdir().expect("a directory");
                let store = RedbStore::open(directory.path().join("state.redb")).expect("a store");
                runtime.block_on(apply_to_ready(Arc::new(store)))
            };
            (0..rounds).map(durable).sum()
        });
    });
    group.finish();
}

criterion_group!(benches, deployment);
criterion_main!(benches);
