//! A client with the rules that tests of controllers need, and nodes that run what they are told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::cache::Cache;
use orch_core::client::{ApiError, Client, ClientBuilder, DeleteParams, Patch};
use orch_core::object::{Document, Object, ObjectKey};
use orch_core::store::Store;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};

use super::NamespaceLifecycle;

/// A client over `store` with the rules of the built-in kinds.
pub(crate) fn client(store: Arc<dyn Store>) -> Client {
    client_with(store, |builder| builder)
}

/// The same, with something added.
pub(crate) fn client_with(store: Arc<dyn Store>, add: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder = Client::builder(store)
        .random(orch_core::random::Random::seeded(1))
        .admission(NamespaceLifecycle);
    add(crate::kinds::teach(builder)).build()
}

/// How long the pods of a [`FakeNode`] take to end.
pub(crate) const ENDS: Duration = Duration::from_secs(1);

/// A node whose pods run and are ready a moment after they are bound, and end [`ENDS`] after they are to.
/// Those of the image `never-ready` never are, and those of `refused` fail at once.
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
    let _wakes = pods.on_change(move |change| {
        if let Some(pod) = change.new.and_then(|pod| pod.as_ref().clone()) {
            let _ = woken.send(pod);
        }
    });
    let mut beat = tokio::time::interval(Duration::from_secs(10));
    let (mut ending, mut ends) = (HashSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            biased;
            _ = beat.tick() => heartbeat(&client, &name).await,
            Some(pod) = wake.recv() => {
                if !pod.meta().is_deleting() {
                    run_pod(&client, &pod).await;
                } else if ending.insert(pod.meta().uid.clone()) {
                    ends.spawn(end_pod(client.clone(), pod));
                }
            }
        }
    }
}

async fn end_pod(client: Client, pod: Document) {
    tokio::time::sleep(ENDS).await;
    let meta = pod.meta();
    let api = client.api::<Pod>(meta.namespace.as_deref().unwrap());
    let params = DeleteParams::now().uid(meta.uid.as_str());
    let _ = api.delete(&meta.name, &params).await;
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
    if pod.lookup("status.phase") == Some("Pending".into()) {
        if pod.field("spec").unwrap().contains("refused") {
            let status =
                json!({"metadata": {"uid": meta.uid}, "status": {"phase": "Failed", "reason": "Evicted"}});
            let _ = api.patch_status(&meta.name, &Patch::Merge(status)).await;
            return;
        }
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

/// A pod as a test sees it.
#[derive(Clone, Debug)]
pub(crate) struct SeenPod {
    pub(crate) image: String,
    pub(crate) is_ready: bool,
    pub(crate) is_deleting: bool,
}

type History = Arc<Mutex<Vec<Vec<SeenPod>>>>;

/// Remembers all pods as they were after every single change to one of them.
pub(crate) struct PodWatch {
    _cache: Cache<SeenPod>,
    history: History,
}

impl PodWatch {
    pub(crate) async fn start(client: &Client) -> Self {
        let cache = Cache::projected(client, Pod::resource(), |pod| {
            let typed = pod.typed::<Pod>()?;
            let conditions = typed.status.as_ref().and_then(|status| status.conditions.clone());
            Ok(SeenPod {
                image: typed.spec.as_ref().unwrap().containers[0].image.clone().unwrap(),
                is_ready: conditions
                    .iter()
                    .flatten()
                    .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
                is_deleting: pod.meta().is_deleting(),
            })
        })
        .start();
        cache.synced().await;
        let history = History::default();
        let (told, pods) = (
            Arc::clone(&history),
            Mutex::<BTreeMap<ObjectKey, SeenPod>>::default(),
        );
        let watching = cache.on_change(move |change| {
            let mut pods = pods.lock();
            match change.new {
                Some(pod) => drop(pods.insert(change.key.clone(), SeenPod::clone(pod))),
                None => drop(pods.remove(change.key)),
            }
            told.lock().push(pods.values().cloned().collect());
        });
        watching.keep();
        // Those there were already came one by one.
        let last = history.lock().pop();
        *history.lock() = last.into_iter().collect();
        Self {
            _cache: cache,
            history,
        }
    }

    pub(crate) fn history(&self) -> Vec<Vec<SeenPod>> {
        self.history.lock().clone()
    }
}
