//! Deployments come up, roll, and stop rolling.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{DeleteParams, Patch};
use serde_json::json;

use super::{Cluster, counts, image, seconds};
use crate::controllers::testing::PodWatch;
use crate::controllers::{RollbackTo, rollback_to};

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

    cluster.patch("web", image("v2")).await;
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
async fn recreate_waits_until_the_last_of_the_old_pods_has_ended() {
    let cluster = Cluster::start(2).await;
    let strategy = json!({"strategy": {"type": "Recreate", "rollingUpdate": null}});
    cluster.apply("web", "v1", strategy).await;
    seconds(2).await;
    let pods = PodWatch::start(&cluster.client).await;
    cluster.patch("web", image("v2")).await;
    seconds(5).await;
    let history = pods.history();
    for pods in &history {
        let old = pods.iter().filter(|pod| pod.image == "v1").count();
        assert!(old == 0 || old == pods.len(), "{pods:?}");
    }
    assert!(
        history
            .iter()
            .any(|pods| pods.iter().all(|pod| pod.is_deleting) && !pods.is_empty())
    );
    assert_eq!(cluster.images().await, counts(&[("v2", 4)]));
}

#[tokio::test(start_paused = true)]
async fn a_roll_keeps_its_bounds_while_old_pods_take_their_time_to_end() {
    let cluster = Cluster::start(3).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    let pods = PodWatch::start(&cluster.client).await;
    cluster.patch("web", image("v2")).await;
    seconds(10).await;
    let history = pods.history();
    for pods in &history {
        let live = || pods.iter().filter(|pod| !pod.is_deleting);
        assert!(live().count() <= 5, "{pods:?}");
        assert!(live().filter(|pod| pod.is_ready).count() >= 3, "{pods:?}");
    }
    // What ends counts no more: the roll does not wait for it.
    assert!(history.iter().any(|pods| pods.len() > 5), "{history:?}");
    assert_eq!(cluster.images().await, counts(&[("v2", 4)]));
    assert_eq!(history.last().unwrap().len(), 4);
}
