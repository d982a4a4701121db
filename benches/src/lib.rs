//! Measurements; each file in `benches/` is one. What several share is here.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orch_cluster::controllers::{NamespaceLifecycle, ensure_namespaces};
use orch_cluster::kinds::kinds;
use orch_core::cache::Cache;
use orch_core::client::{Client, ClientBuilder, Patch};
use orch_core::object::{Object, ObjectMeta};
use orch_core::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A small kind of one's own.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
pub struct Counter {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: u64,
    /// What is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u64>,
}

impl Counter {
    /// The `n`th.
    pub fn new(n: u64) -> Self {
        Self {
            metadata: ObjectMeta::named(format!("counter-{n:07}")),
            spec: n,
            status: None,
        }
    }
}

/// Creates so many [`Counter`]s.
///
/// # Panics
///
/// If the store refuses a write.
pub async fn fill(client: &Client, objects: usize) {
    let api = client.api::<Counter>("default");
    for n in 0..objects as u64 {
        api.create(&Counter::new(n)).await.expect("created");
    }
}

/// The time in the middle.
///
/// # Panics
///
/// If there is none.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A time in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A size in KiB that the kernel states of a process (`VmRSS`, `VmHWM`, ...).
///
/// # Panics
///
/// If there is no such process, or no such size.
pub fn status_of(pid: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    size.expect("a size in KiB")
}

/// A client with every rule that a cluster has, and `nodes` nodes of 8 processors, 16 GiB and 110 pods.
///
/// # Panics
///
/// If the store refuses a write.
pub async fn cluster(store: Arc<dyn Store>, nodes: usize) -> Client {
    let builder = Client::builder(store).admission(NamespaceLifecycle);
    let client = kinds().fold(builder, ClientBuilder::kind).build();
    ensure_namespaces(&client).await.expect("namespaces");
    for n in 0..nodes {
        let name = format!("node-{n:05}");
        let node: Node = serde_json::from_value(json!({"metadata": {"name": name}})).expect("a node");
        client.all::<Node>().create(&node).await.expect("a node");
        let status = json!({"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}]});
        client
            .all::<Node>()
            .put_status(&name, None, &status)
            .await
            .expect("a node's status");
    }
    client
}

/// The pods of all nodes become Running and Ready as soon as they are bound: every status is written through the
/// client, as the agents of real nodes would. Works until dropped.
pub async fn fake_nodes(client: Client) {
    let (bound, mut pods) = tokio::sync::mpsc::unbounded_channel();
    let view = Cache::projected(&client, Pod::resource(), |pod| {
        let is_bound = pod
            .field("spec")
            .is_some_and(|spec| spec.contains("\"nodeName\""));
        let is_new = !pod
            .field("status")
            .is_some_and(|status| status.contains("Running"));
        Ok(is_bound && is_new)
    })
    .start();
    let _watching = view.on_change(move |change| {
        if change.new.is_some_and(|to_run| **to_run) {
            let _ = bound.send(change.key.clone());
        }
    });
    while let Some(key) = pods.recv().await {
        let now = orch_core::time::now().to_string();
        let status = json!({"status": {"phase": "Running", "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": now},
            {"type": "Ready", "status": "True", "lastTransitionTime": now}]}});
        let api = client.api::<Pod>(key.namespace().unwrap_or_default());
        let part = orch_core::client::Part::Status;
        // A pod that is gone by now is nobody's loss.
        let _ = api.patch_part(key.name(), part, &Patch::Merge(status)).await;
    }
}
