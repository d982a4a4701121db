//! One runtime with a cluster around it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::is_ready;
use orch_core::cache::{Cache, Subscription};
use orch_core::client::DeleteParams;
use orch_core::runtime::{Runtime, SandboxFilter};
use orch_core::store::MemoryStore;
use serde_json::json;
use tokio::sync::watch;

use crate::IMAGE;

pub(crate) struct Side {
    cluster: Cluster,
    runtime: Arc<dyn Runtime>,
    seen: watch::Receiver<HashMap<String, Seen>>,
    /// Nothing is seen without it.
    _pods: Cache<Pod>,
    _watching: Subscription,
}

/// When something was first seen of a pod.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    bound: Option<Instant>,
    ready: Option<Instant>,
}

/// How long it took until all pods were Ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// Since the first of them was bound to its node.
    pub(crate) bound: Duration,
    /// Since the first of them was about to be created.
    pub(crate) created: Duration,
}

impl Side {
    pub(crate) async fn start(runtime: Arc<dyn Runtime>) -> Self {
        let cluster = Cluster::builder(Arc::new(MemoryStore::new()))
            .node_with(AgentConfig::new("local"), runtime.clone())
            .start();
        let cluster = cluster.await.expect("a cluster");
        let pods: Cache<Pod> = Cache::builder(cluster.client()).start();
        pods.synced().await;
        let (sender, seen) = watch::channel(HashMap::new());
        let watching = pods.on_change(move |change| {
            let (now, name) = (Instant::now(), change.key.name().to_owned());
            sender.send_modify(|all: &mut HashMap<String, Seen>| {
                let Some(pod) = change.new else {
                    all.remove(&name);
                    return;
                };
                let seen = all.entry(name).or_default();
                if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
                    seen.bound.get_or_insert(now);
                }
                if is_ready(pod) {
                    seen.ready.get_or_insert(now);
                }
            });
        });
        cluster.agents()[0].ready().await;
        Self {
            cluster,
            runtime,
            seen,
            _pods: pods,
            _watching: watching,
        }
    }

    /// Creates so many pods at once, waits until all are Ready, and removes them.
    pub(crate) async fn run(&self, name: &str, pods: usize) -> Taken {
        let api = self.cluster.client().api::<Pod>("default");
        let made: Vec<Pod> = (0..pods).map(|nth| pod(&format!("{name}-{nth}"))).collect();
        let mut seen = self.seen.clone();
        let began = Instant::now();
        for created in join_all(made.iter().map(|pod| api.create(pod))).await {
            created.expect("created");
        }
        let are_ready =
            |all: &HashMap<String, Seen>| all.len() == pods && all.values().all(|seen| seen.ready.is_some());
        let all = seen.wait_for(are_ready).await.expect("watched").clone();
        let first = all.values().filter_map(|seen| seen.bound).min().expect("bound");
        let last = all.values().filter_map(|seen| seen.ready).max().expect("ready");
        let params = DeleteParams::default();
        for pod in &made {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            api.delete(name, &params).await.expect("deleted");
        }
        seen.wait_for(HashMap::is_empty).await.expect("watched");
        self.cleared().await;
        Taken {
            bound: last - first,
            created: last - began,
        }
    }

    /// What a deleted pod leaves is removed after it: none of that may be in the next measurement.
    async fn cleared(&self) {
        while !self.sandboxes().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn sandboxes(&self) -> Vec<orch_core::runtime::Sandbox> {
        let all = self.runtime.sandboxes(&SandboxFilter::default()).await;
        all.expect("sandboxes")
    }

    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
    }
}

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}]}}))
    .expect("a pod")
}
