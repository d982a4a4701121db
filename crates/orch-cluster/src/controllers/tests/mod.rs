//! The whole control plane under virtual time: controllers, scheduling, and nodes that obey.

mod budgets;
mod deletion;
mod doubt;
mod failing;
mod killed;
mod nodes;
mod rollout;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{Client, Patch};
use orch_core::object::Object;
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

use super::testing::{FakeNode, client};
use super::{Controllers, RunningControllers, ensure_namespaces};
use crate::scheduling::Scheduling;

struct Cluster {
    client: Client,
    controllers: RunningControllers,
    nodes: BTreeMap<String, FakeNode>,
    scheduling: tokio::task::JoinHandle<()>,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        Self::over(client(Arc::new(MemoryStore::new())), nodes).await
    }

    async fn over(client: Client, nodes: usize) -> Self {
        ensure_namespaces(&client).await.unwrap();
        let mut cluster = Self {
            controllers: Controllers::new(&client).start(),
            scheduling: tokio::spawn(Scheduling::new(client.clone()).run()),
            nodes: BTreeMap::new(),
            client,
        };
        for n in 1..=nodes {
            cluster.add_node(&format!("n{n}")).await;
        }
        cluster
    }

    async fn add_node(&mut self, name: &str) {
        self.nodes
            .insert(name.to_owned(), FakeNode::start(&self.client, name).await);
    }

    /// As if the process had been replaced.
    async fn restart(&mut self) {
        self.scheduling.abort();
        self.controllers = Controllers::new(&self.client).start();
        self.scheduling = tokio::spawn(Scheduling::new(self.client.clone()).run());
    }

    async fn apply(&self, name: &str, image: &str, patch: Value) {
        let mut spec = json!({"replicas": 4, "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image}],
                    "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists",
                        "effect": "NoExecute", "tolerationSeconds": 60}]}}});
        json_patch_merge(&mut spec, patch);
        let deployment = json!({"metadata": {"name": name}, "spec": spec});
        let deployment: Deployment = serde_json::from_value(deployment).unwrap();
        self.client.api("default").create(&deployment).await.unwrap();
    }

    async fn patch(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.client
            .api::<Deployment>("default")
            .patch(name, &patch)
            .await
            .unwrap();
    }

    async fn deployment(&self, name: &str) -> Deployment {
        self.client.api("default").get(name).await.unwrap()
    }

    async fn all<K: Object>(&self) -> Vec<K> {
        self.client
            .all::<K>()
            .list(&Default::default())
            .await
            .unwrap()
            .items
    }

    /// How many pods there are of each image; those on their way out do not count.
    async fn images(&self) -> BTreeMap<String, usize> {
        let mut images = BTreeMap::new();
        for pod in self.all::<Pod>().await {
            if pod.metadata.deletion_timestamp.is_none() {
                let image = pod.spec.unwrap().containers[0].image.clone().unwrap();
                *images.entry(image).or_default() += 1;
            }
        }
        images
    }

    async fn reason(&self, name: &str, type_: &str) -> Option<String> {
        let status = self.deployment(name).await.status?;
        let mut conditions = status.conditions?.into_iter();
        conditions
            .find(|condition| condition.type_.as_deref() == Some(type_))?
            .reason
    }
}

fn json_patch_merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            for (key, value) in fields {
                json_patch_merge(&mut target[key], value);
            }
        }
        value => *target = value,
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|(image, count)| ((*image).to_owned(), *count))
        .collect()
}

/// A patch that sets the image.
fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}
