//! The whole path of scheduling: from a pod created in the store to the pod bound in the store.
//!
//! Each pod is created through the client (defaulted, validated, admitted), seen by the scheduling loop's watch, placed,
//! and bound by a write of its own. The clock runs from the first create to the last binding seen by a watch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::Pod;
use orch_benches::cluster;
use orch_cluster::scheduling::Scheduling;
use orch_core::client::{Collection, DocumentWatch, WatchEvent, WatchParams, WriteParams};
use orch_core::object::{Document, Object, RawObject};
use orch_core::store::MemoryStore;
use serde_json::json;
use tokio::task::JoinSet;

const PODS: usize = 20_000;
const NODES: usize = 1_000;
const WRITERS: usize = 4;

async fn created_to_bound() -> Duration {
    let client = cluster(Arc::new(MemoryStore::new()), NODES).await;
    let scheduling = tokio::spawn(Scheduling::new(client.clone()).run());
    let collection = Collection {
        resource: Arc::new(Pod::resource()),
        namespace: Some("default".to_owned()),
    };
    let mut watch = client
        .backend()
        .watch(&collection, &WatchParams::default())
        .await
        .expect("a watch");
    tokio::time::sleep(Duration::from_millis(300)).await;

    let pod: RawObject = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}}))
    .expect("a pod");
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (client, collection, pod) = (client.clone(), collection.clone(), pod.clone());
        writers.spawn(async move {
            for _ in 0..PODS / WRITERS {
                let params = WriteParams::default();
                client
                    .backend()
                    .create(&collection, pod.clone(), &params)
                    .await
                    .expect("created");
            }
        });
    }
    tokio::join!(writers.join_all(), all_bound(&mut watch));
    let took = began.elapsed();
    scheduling.abort();
    took
}

/// Until each pod was seen bound.
async fn all_bound(watch: &mut DocumentWatch) {
    let mut bound = 0;
    while bound < PODS {
        let batch = watch.next().await.expect("it goes on").expect("history is held");
        // A binding is the one change there is to a pod here.
        let is_binding = |event: &&WatchEvent<Document>| matches!(event, WatchEvent::Modified(_));
        bound += batch.events.iter().filter(is_binding).count();
    }
}

fn binding(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut group = criterion.benchmark_group("binding");
    group.sample_size(10);
    group.throughput(Throughput::Elements(PODS as u64));
    group.bench_function("pods created to bound, memory store", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| runtime.block_on(created_to_bound())).sum());
    });
    group.finish();
}

criterion_group!(benches, binding);
criterion_main!(benches);
