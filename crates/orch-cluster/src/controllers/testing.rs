//! A client with the rules that tests of controllers need, and nodes that run what they are told.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::cache::Cache;
use orch_core::client::{ApiError, Client, ClientBuilder, DeleteParams, Patch};
use orch_core::object::{Document, Object};
use orch_core::store::Store;
use serde_json::json;
use tokio::task::JoinHandle;

use super::NamespaceLifecycle;

/// A client over `store` with the rules of the built-in kinds.
pub(crate) fn client(store: Arc<dyn Store>) -> Client {
    let builder = Client::builder(store)
        .random(orch_core::random::Random::seeded(1))
        .admission(NamespaceLifecycle);
    crate::kinds::kinds().fold(builder, ClientBuilder::kind).build()
}

/// A node whose pods run and are ready a moment after they are bound, and end a moment after they are to.
/// Those of the image `never-ready` never are.
pub(crate) struct FakeNode(JoinHandle<()>);

impl FakeNode {
    pub(crate) async fn start(client: &Client, name: &str) -> Self {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        match client.all::<Node>().create(&node).await {
            Ok(_) | Err(ApiError::AlreadyExists(_)) => {}
            Err(error) => panic!("{error}"),
        }
        Self(tokio::spawn(run_node(client.clone(), name.to_owned())))
    }

    /// Nothing is heard of it any more.
    pub(crate) fn die(self) {}
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run_node(client: Client, name: String) {
    let own = name.clone();
    let pods = Cache::projected(&client, Pod::resource(), move |pod| {
        let ours = pod.lookup("spec.nodeName") == Some(own.as_str().into());
        Ok(ours.then(|| pod.clone()))
    })
    .start();
    let (woken, mut wake) = tokio::sync::mpsc::unbounded_channel();
    pods.on_change(move |change| {
        if let Some(pod) = change.new.and_then(|pod| pod.as_ref().clone()) {
            let _ = woken.send(pod);
        }
    });
    let mut beat = tokio::time::interval(Duration::from_secs(10));
    loop {
        tokio::select! {
            _ = beat.tick() => heartbeat(&client, &name).await,
            Some(pod) = wake.recv() => run_pod(&client, &pod).await,
        }
    }
}

async fn heartbeat(client: &Client, name: &str) {
    let now = orch_core::time::now().to_string();
    let status = json!({
        "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "1000"},
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}]});
    client
        .all::<Node>()
        .put_status(name, None, &status)
        .await
        .unwrap();
}

async fn run_pod(client: &Client, pod: &Document) {
    let (meta, now) = (pod.meta(), orch_core::time::now().to_string());
    let api = client.api::<Pod>(meta.namespace.as_deref().unwrap());
    if meta.is_deleting() {
        let _ = api
            .delete(&meta.name, &DeleteParams::now().uid(meta.uid.as_str()))
            .await;
    } else if pod.lookup("status.phase") == Some("Pending".into()) {
        let ready = if pod.field("spec").unwrap().contains("never-ready") {
            "False"
        } else {
            "True"
        };
        let status = json!({"metadata": {"uid": meta.uid}, "status": {"phase": "Running", "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": ready, "lastTransitionTime": now}]}});
        let _ = api.patch_status(&meta.name, &Patch::Merge(status)).await;
    }
}
