//! Pods that fail as soon as they run.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::ReplicaSet;
use orch_core::client::DeleteParams;

use super::*;

impl Cluster {
    /// How many pods have failed, and how many have not.
    async fn failed(&self) -> (usize, usize) {
        let pods = self.all::<Pod>().await;
        let is_failed = |pod: &&Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Failed");
        let failed = pods.iter().filter(is_failed).count();
        (failed, pods.len() - failed)
    }

    /// Creates a ReplicaSet of its own of pods with this image.
    async fn replica_set(&self, image: &str, replicas: usize) {
        let set: ReplicaSet = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}}))
        .unwrap();
        self.client.api("default").create(&set).await.unwrap();
    }

    async fn fail_one_ready(&self) {
        let pods = self.all::<Pod>().await;
        let running = |pod: &&Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Running");
        let pod = pods.iter().find(running).unwrap();
        let patch = Patch::Merge(json!({"status": {"phase": "Failed", "reason": "Evicted"}}));
        let name = pod.metadata.name.as_deref().unwrap();
        self.client
            .api::<Pod>("default")
            .patch_status(name, &patch)
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_fail_at_once_are_replaced_ever_more_slowly() {
    let cluster = Cluster::start(1).await;
    cluster.replica_set("refused", 3).await;
    // A first time at once, then after 1, 2, 4 and 8 seconds: 3 pods each time.
    seconds(16).await;
    assert_eq!(cluster.failed().await, (18, 0));
    seconds(3600).await;
    let (after_an_hour, _) = cluster.failed().await;
    assert!((18..90).contains(&after_an_hour), "{after_an_hour}");
    seconds(3600).await;
    let (after_two, _) = cluster.failed().await;
    assert!(
        (30..=39).contains(&(after_two - after_an_hour)),
        "every five minutes: {after_two}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fails_after_it_was_available_is_replaced_at_once_time_and_again() {
    let cluster = Cluster::start(1).await;
    cluster.replica_set("web:1", 3).await;
    for failures in 1..=5 {
        seconds(10).await;
        assert_eq!(cluster.failed().await, (failures - 1, 3));
        cluster.fail_one_ready().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(cluster.failed().await, (failures, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn while_failed_pods_wait_to_be_replaced_those_that_were_deleted_do_not() {
    let mut cluster = Cluster::start(1).await;
    cluster.replica_set("web:1", 3).await;
    seconds(10).await;
    // From now on no node runs pods: who is replaced stays pending, and fails below.
    cluster.nodes.clear();
    for _ in 0..8 {
        for pod in cluster.all::<Pod>().await {
            let phase = pod.status.as_ref().unwrap().phase.as_deref();
            if phase == Some("Pending") {
                let patch = Patch::Merge(json!({"status": {"phase": "Failed"}}));
                let name = pod.metadata.name.as_deref().unwrap();
                cluster
                    .client
                    .api::<Pod>("default")
                    .patch_status(name, &patch)
                    .await
                    .unwrap();
            }
        }
        if cluster.failed().await.0 == 0 {
            cluster.fail_one_ready().await;
        }
        seconds(1).await;
    }
    let (failed, live) = cluster.failed().await;
    assert_eq!(live, 2, "the third waits: {failed} have failed");
    let running = cluster.all::<Pod>().await.into_iter();
    let running: BTreeSet<_> = running
        .filter(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Running"))
        .map(|pod| pod.metadata.name.unwrap())
        .collect();
    let pods = cluster.client.api::<Pod>("default");
    pods.delete(running.first().unwrap(), &DeleteParams::now())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(cluster.failed().await, (failed, 2));
}
