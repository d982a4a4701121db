//! The whole control plane under virtual time: controllers, scheduling, and nodes that obey.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use orch_core::client::{ApiError, Client, DeleteParams, Patch, Propagation};
use orch_core::object::Object;
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

use super::deployment::{RollbackTo, rollback_to};
use super::testing::{FakeNode, client};
use super::*;
use crate::scheduling::Scheduling;

struct Cluster {
    client: Client,
    controllers: RunningControllers,
    nodes: BTreeMap<String, FakeNode>,
    scheduling: tokio::task::JoinHandle<()>,
}

impl Cluster {
    async fn start(nodes: usize) -> Self {
        let client = client(Arc::new(MemoryStore::new()));
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

#[tokio::test(start_paused = true)]
async fn a_deployment_comes_up_rolls_rolls_back_and_scales() {
    let cluster = Cluster::start(3).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    let status = cluster.deployment("web").await.status.unwrap();
    assert_eq!(
        (status.ready_replicas, status.available_replicas),
        (Some(4), Some(4))
    );
    assert_eq!(
        cluster.reason("web", "Progressing").await.as_deref(),
        Some("NewReplicaSetAvailable")
    );
    assert_eq!(
        cluster.reason("web", "Available").await.as_deref(),
        Some("MinimumReplicasAvailable")
    );

    let template = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.patch("web", template("v2")).await;
    seconds(10).await;
    assert_eq!(cluster.images().await, counts(&[("v2", 4)]));
    let sets: Vec<_> = cluster
        .all::<ReplicaSet>()
        .await
        .into_iter()
        .map(Arc::new)
        .collect();
    assert_eq!(sets.len(), 2);

    let old = rollback_to(&cluster.deployment("web").await, &sets, RollbackTo::Previous).unwrap();
    let patch = json!([{"op": "replace", "path": "/spec/template", "value": old}]);
    let patch = Patch::Json(serde_json::from_value(patch).unwrap());
    cluster
        .client
        .api::<Deployment>("default")
        .patch("web", &patch)
        .await
        .unwrap();
    seconds(10).await;
    assert_eq!(cluster.images().await, counts(&[("v1", 4)]));
    let annotations = cluster.deployment("web").await.metadata.annotations.unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");

    for replicas in [9, 2, 0, 3] {
        cluster
            .patch("web", json!({"spec": {"replicas": replicas}}))
            .await;
        seconds(5).await;
        let expected = if replicas == 0 {
            counts(&[])
        } else {
            counts(&[("v1", replicas)])
        };
        assert_eq!(cluster.images().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_pod_is_replaced_and_a_failed_one_too() {
    let cluster = Cluster::start(1).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    let pods = cluster.all::<Pod>().await;
    let name = |n: usize| pods[n].metadata.name.clone().unwrap();
    let api = cluster.client.api::<Pod>("default");
    api.delete(&name(0), &DeleteParams::default()).await.unwrap();
    api.patch_status(&name(1), &Patch::Merge(json!({"status": {"phase": "Failed"}})))
        .await
        .unwrap();
    seconds(2).await;
    let status = cluster.deployment("web").await.status.unwrap();
    assert_eq!(status.ready_replicas, Some(4));
    assert_eq!(
        cluster.images().await,
        counts(&[("v1", 5)]),
        "the failed pod stays for inspection"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bad_roll_stops_keeps_serving_and_times_out() {
    let cluster = Cluster::start(3).await;
    cluster
        .apply("web", "v1", json!({"progressDeadlineSeconds": 30}))
        .await;
    seconds(2).await;
    let broken =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "never-ready"}]}}}});
    cluster.patch("web", broken).await;
    seconds(20).await;
    assert_eq!(cluster.images().await, counts(&[("never-ready", 2), ("v1", 3)]));
    assert_eq!(
        cluster.reason("web", "Progressing").await.as_deref(),
        Some("ReplicaSetUpdated")
    );
    seconds(20).await;
    assert_eq!(
        cluster.reason("web", "Progressing").await.as_deref(),
        Some("ProgressDeadlineExceeded")
    );
    assert_eq!(
        cluster.reason("web", "Available").await.as_deref(),
        Some("MinimumReplicasAvailable")
    );
}

#[tokio::test(start_paused = true)]
async fn recreate_and_pause() {
    let cluster = Cluster::start(2).await;
    cluster
        .apply(
            "web",
            "v1",
            json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}),
        )
        .await;
    seconds(2).await;
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.patch("web", image("v2")).await;
    seconds(5).await;
    assert_eq!(cluster.images().await, counts(&[("v2", 4)]));
    cluster.patch("web", json!({"spec": {"paused": true}})).await;
    cluster.patch("web", image("v3")).await;
    cluster.patch("web", json!({"spec": {"replicas": 6}})).await;
    seconds(5).await;
    assert_eq!(cluster.images().await, counts(&[("v2", 6)]));
    cluster.patch("web", json!({"spec": {"paused": null}})).await;
    seconds(5).await;
    assert_eq!(cluster.images().await, counts(&[("v3", 6)]));
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_lost_node_move_and_those_of_a_deleted_one_too() {
    let mut cluster = Cluster::start(2).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    cluster.nodes.remove("n1").unwrap().die();
    seconds(45).await;
    let node = cluster.client.all::<Node>().get("n1").await.unwrap();
    let taints = node.spec.unwrap().taints.unwrap();
    assert!(
        taints
            .iter()
            .all(|taint| taint.key == "node.kubernetes.io/unreachable"),
        "{taints:?}"
    );
    assert_eq!(taints.len(), 2);
    let ready = cluster.deployment("web").await.status.unwrap().ready_replicas;
    assert_eq!(
        ready,
        Some(2),
        "its pods count as not ready, and stay while they are tolerated"
    );
    seconds(70).await;
    assert_eq!(
        cluster.deployment("web").await.status.unwrap().ready_replicas,
        Some(4)
    );
    let pods = cluster.all::<Pod>().await;
    assert_eq!(pods.len(), 6, "nobody can end those on the lost node");
    cluster
        .client
        .all::<Node>()
        .delete("n1", &DeleteParams::default())
        .await
        .unwrap();
    seconds(90).await;
    let pods = cluster.all::<Pod>().await;
    assert_eq!(pods.len(), 4);
    assert!(
        pods.iter()
            .all(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("n2"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_is_freed_of_its_taints() {
    let mut cluster = Cluster::start(2).await;
    seconds(1).await;
    cluster.nodes.remove("n1").unwrap().die();
    seconds(45).await;
    let taints = async |cluster: &Cluster| {
        let node = cluster.client.all::<Node>().get("n1").await.unwrap();
        node.spec.unwrap().taints.unwrap_or_default().len()
    };
    assert_eq!(taints(&cluster).await, 2);
    cluster.add_node("n1").await;
    seconds(5).await;
    assert_eq!(taints(&cluster).await, 0);
}

#[tokio::test(start_paused = true)]
async fn deletion_takes_dependents_along_before_it_or_not_at_all() {
    let cluster = Cluster::start(1).await;
    let api = cluster.client.api::<Deployment>("default");
    for (propagation, sets, pods) in [
        (Propagation::Background, 0, 0),
        (Propagation::Foreground, 0, 0),
        (Propagation::Orphan, 1, 4),
    ] {
        cluster.apply("web", "v1", json!({})).await;
        seconds(2).await;
        api.delete("web", &DeleteParams::default().propagation(propagation))
            .await
            .unwrap();
        seconds(5).await;
        assert!(
            matches!(api.get("web").await, Err(ApiError::NotFound(_))),
            "{propagation:?}"
        );
        let left = (
            cluster.all::<ReplicaSet>().await.len(),
            cluster.all::<Pod>().await.len(),
        );
        assert_eq!(left, (sets, pods), "{propagation:?}");
    }
    // What was orphaned is taken over by the next Deployment of its kind.
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    assert_eq!(
        (
            cluster.all::<ReplicaSet>().await.len(),
            cluster.all::<Pod>().await.len()
        ),
        (1, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_all_that_is_in_it() {
    let cluster = Cluster::start(1).await;
    let namespaces = cluster.client.all::<Namespace>();
    let mut team = Namespace::default();
    team.metadata.name = Some("team".to_owned());
    namespaces.create(&team).await.unwrap();
    let mut map = ConfigMap::default();
    map.metadata.name = Some("settings".to_owned());
    map.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    cluster.client.api("team").create(&map).await.unwrap();
    cluster.client.api("default").create(&map).await.unwrap();
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    seconds(2).await;
    let held = namespaces.get("team").await.unwrap().status.unwrap();
    assert_eq!(held.phase.as_deref(), Some("Terminating"));
    let refused = cluster.client.api("team").create(&map).await;
    assert!(matches!(refused, Err(ApiError::Forbidden { .. })), "{refused:?}");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    cluster
        .client
        .api::<ConfigMap>("team")
        .patch("settings", &free)
        .await
        .unwrap();
    seconds(15).await;
    assert!(namespaces.get_opt("team").await.unwrap().is_none());
    assert_eq!(cluster.all::<ConfigMap>().await.len(), 1);
    assert!(
        namespaces
            .delete("default", &DeleteParams::default())
            .await
            .is_err()
    );
}

/// Controllers and scheduling are killed again and again, at whatever they are doing: nothing is doubled.
#[tokio::test(start_paused = true)]
async fn killed_in_the_middle_nothing_is_doubled_or_lost() {
    let mut cluster = Cluster::start(3).await;
    cluster.apply("web", "v1", json!({"replicas": 40})).await;
    let template = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    for round in 0..60u64 {
        tokio::time::sleep(Duration::from_micros(137 * (round % 7))).await;
        for _ in 0..(round * 5) % 97 {
            tokio::task::yield_now().await;
        }
        cluster.restart().await;
        if round == 30 {
            cluster.patch("web", template("v2")).await;
        }
        let pods: usize = cluster.images().await.values().sum();
        assert!(pods <= 41, "{pods} pods in round {round}");
    }
    seconds(30).await;
    assert_eq!(cluster.images().await, counts(&[("v2", 40)]));
    assert_eq!(
        cluster.reason("web", "Progressing").await.as_deref(),
        Some("NewReplicaSetAvailable")
    );
}
