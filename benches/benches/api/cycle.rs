//! An operator of kube-rs in the process: created, reconciled, status written and seen, under paused time.

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, TryStreamExt};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::{WatchStreamExt, watcher};
use orch_api::ServeApi;
use orch_benches::{Counter, median};
use orch_cluster::cluster::Cluster;
use orch_core::client::ListParams;
use orch_core::store::MemoryStore;
use serde_json::json;

use crate::print_time;

const TURNS: usize = 2_000;

/// Writes into the status what the spec says.
async fn copies(
    counter: Arc<DynamicObject>,
    counters: Arc<Api<DynamicObject>>,
) -> Result<Action, kube::Error> {
    let spec = &counter.data["spec"];
    if counter.data["status"] != *spec {
        let name = counter.metadata.name.as_deref().unwrap_or_default();
        let status = Patch::Merge(json!({ "status": spec }));
        counters
            .patch_status(name, &PatchParams::default(), &status)
            .await?;
    }
    Ok(Action::await_change())
}

async fn turns() {
    let cluster = Cluster::builder(Arc::new(MemoryStore::new())).start().await;
    let cluster = cluster.expect("a cluster");
    // A kind is served once it is used.
    let own = cluster.client().api::<Counter>("default");
    own.list(&ListParams::default()).await.expect("a list");
    let client = kube::Client::new(cluster.api(), "default");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Counter"));
    let counters: Api<DynamicObject> = Api::default_namespaced_with(client, &kind);
    let controller = Controller::new_with(counters.clone(), watcher::Config::default(), kind.clone());
    let running = controller.run(
        copies,
        |_, _, _| Action::await_change(),
        Arc::new(counters.clone()),
    );
    let running = tokio::spawn(running.for_each(|_| std::future::ready(())));
    let seen = watcher(counters.clone(), watcher::Config::default()).applied_objects();
    let mut seen = std::pin::pin!(seen);
    let mut took = Vec::new();
    for n in 0..TURNS {
        let mut counter = DynamicObject::new(&format!("counter-{n}"), &kind);
        counter.data = json!({ "spec": n });
        let began = Instant::now();
        counters
            .create(&PostParams::default(), &counter)
            .await
            .expect("created");
        loop {
            let counter = seen.try_next().await.expect("it goes on").expect("it goes on");
            if counter.data["status"] == json!(n) {
                break;
            }
        }
        took.push(began.elapsed());
    }
    running.abort();
    cluster.stop().await;
    print_time(
        "kube-rs: created, reconciled, status seen, median",
        median(took),
        "<= 0.100",
    );
}

pub(crate) fn cycle() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(turns());
}
