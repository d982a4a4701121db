//! Budgets keep workloads from losing too many pods at once.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use orch_core::client::DeleteParams;
use orch_core::object::{Object, ObjectKey};
use serde_json::{Value, json};

use super::{Cluster, image, seconds};
use crate::disruption::budget::Counts;
use crate::disruption::{EvictError, evict};

impl Cluster {
    async fn budget(&self, spec: Value) {
        let budget = json!({"metadata": {"name": "web"}, "spec": spec});
        let budget: PodDisruptionBudget = serde_json::from_value(budget).unwrap();
        self.client.api("default").create(&budget).await.unwrap();
    }

    async fn counts(&self) -> Counts {
        let budgets = self.client.api::<PodDisruptionBudget>("default");
        Counts::from(&budgets.get("web").await.unwrap().status.unwrap())
    }

    async fn evict(&self, pod: &Pod) -> Result<(), EvictError> {
        let params = DeleteParams::default();
        evict(&self.client, &pod.key(), &params).await.map(drop)
    }

    async fn remaining(&self) -> Vec<Pod> {
        let mut pods = self.all::<Pod>().await;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }
}

fn of(selected: Value) -> Value {
    let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}});
    super::json_patch_merge(&mut spec, selected);
    spec
}

fn counts(expected: i32, desired: i32, current: i32, allowed: i32) -> Counts {
    Counts {
        expected,
        desired,
        current,
        allowed,
    }
}

#[tokio::test(start_paused = true)]
async fn one_pod_after_the_other_goes_as_each_is_replaced() {
    let cluster = Cluster::start(2).await;
    cluster.budget(of(json!({"maxUnavailable": 1}))).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    assert_eq!(cluster.counts().await, counts(4, 3, 4, 1));
    let first = cluster.remaining().await;
    for pod in &first {
        cluster.evict(pod).await.unwrap();
        let next = cluster.remaining().await;
        let refused = cluster.evict(&next[0]).await;
        assert!(
            matches!(refused, Err(EvictError::Exhausted { .. })),
            "{refused:?}"
        );
        // Until the next runs.
        seconds(2).await;
        assert_eq!(cluster.counts().await, counts(4, 3, 4, 1));
    }
    let left = cluster.remaining().await;
    assert!(
        left.iter()
            .all(|pod| !first.iter().any(|old| old.metadata.uid == pod.metadata.uid))
    );
    assert_eq!(left.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_budget_goes_by_the_size_that_the_deployment_has_now() {
    let cluster = Cluster::start(2).await;
    cluster.budget(of(json!({"minAvailable": "50%"}))).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    assert_eq!(cluster.counts().await, counts(4, 2, 4, 2));
    cluster.patch("web", json!({"spec": {"replicas": 6}})).await;
    seconds(2).await;
    assert_eq!(cluster.counts().await, counts(6, 3, 6, 3));
    // A roll has two sets, and what is wanted is one Deployment.
    cluster.patch("web", image("never-ready")).await;
    seconds(5).await;
    assert_eq!(cluster.counts().await, counts(6, 3, 5, 2));
    cluster.patch("web", json!({"spec": {"replicas": 0}})).await;
    seconds(5).await;
    assert_eq!(cluster.counts().await, counts(0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn pods_of_nobody_are_counted_where_a_number_is_asked_for() {
    let mut cluster = Cluster::start(1).await;
    for name in ["a", "b"] {
        let pod = json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        cluster.client.api("default").create(&pod).await.unwrap();
    }
    cluster.budget(of(json!({"minAvailable": 1}))).await;
    seconds(2).await;
    assert_eq!(cluster.counts().await, counts(2, 1, 2, 1));
    cluster.restart().await;
    let a = ObjectKey::new(Some("default"), "a");
    evict(&cluster.client, &a, &DeleteParams::default())
        .await
        .unwrap();
    seconds(2).await;
    assert_eq!(cluster.counts().await, counts(1, 1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_came_to_nothing_is_forgotten() {
    let cluster = Cluster::start(1).await;
    cluster.budget(of(json!({"maxUnavailable": 1}))).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    // As if the one who evicts had been killed before the pod was deleted.
    let budgets = cluster.client.api::<PodDisruptionBudget>("default");
    let mut budget = budgets.get("web").await.unwrap();
    let pod = cluster.remaining().await.remove(0);
    let disrupted = json!({pod.metadata.name.unwrap(): orch_core::time::now().to_string()});
    budget.status.as_mut().unwrap().disrupted_pods = serde_json::from_value(disrupted).unwrap();
    budgets.update_status(&budget).await.unwrap();
    seconds(1).await;
    assert_eq!(cluster.counts().await, counts(4, 3, 3, 0));
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert_eq!(cluster.counts().await, counts(4, 3, 4, 1));
    let status = budgets.get("web").await.unwrap().status.unwrap();
    assert_eq!(status.disrupted_pods, None);
}
