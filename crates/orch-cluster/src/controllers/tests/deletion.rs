//! Objects go with what they own, and namespaces with what is in them.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use orch_core::client::{ApiError, DeleteParams, Patch, Propagation};
use serde_json::json;

use super::{Cluster, seconds};

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
