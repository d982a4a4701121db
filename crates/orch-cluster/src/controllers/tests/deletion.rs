//! Objects go with what they own, and namespaces with what is in them.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use orch_core::client::{
    Admission, AdmissionRequest, ApiError, DeleteParams, Operation, Patch, Propagation, Refusal,
};
use orch_core::object::{ApiResource, Object, ObjectMeta, OwnerReference};
use orch_core::store::MemoryStore;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Cluster, seconds};
use crate::controllers::ensure_namespaces;
use crate::controllers::testing::client_with;

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

/// A kind that nobody has registered.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Backup {
    metadata: ObjectMeta,
}

#[tokio::test(start_paused = true)]
async fn what_is_orphaned_is_kept_also_of_a_kind_the_collector_has_not_seen() {
    for (propagation, block) in [(Propagation::Orphan, false), (Propagation::Foreground, true)] {
        let cluster = Cluster::start(0).await;
        seconds(1).await;
        let maps = cluster.client.api::<ConfigMap>("default");
        let mut map = ConfigMap::default();
        map.metadata.name = Some("owner".to_owned());
        let owner = maps.create(&map).await.unwrap();
        let backups = cluster.client.api::<Backup>("default");
        let mut metadata = ObjectMeta::named("nightly");
        metadata.owner_references = vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            name: "owner".to_owned(),
            uid: owner.metadata.uid.unwrap(),
            block_owner_deletion: block,
            ..OwnerReference::default()
        }];
        metadata.finalizers = vec!["example.com/hold".to_owned()];
        backups.create(&Backup { metadata }).await.unwrap();
        let params = DeleteParams::default().propagation(propagation);
        maps.delete("owner", &params).await.unwrap();
        seconds(30).await;
        let backup = backups.get("nightly").await.unwrap().metadata;
        let is_there = maps.get_opt("owner").await.unwrap().is_some();
        if propagation == Propagation::Orphan {
            assert!(
                !is_there && !backup.is_deleting() && backup.owner_references.is_empty(),
                "{backup:?}"
            );
            backups.delete("nightly", &DeleteParams::default()).await.unwrap();
        } else {
            assert!(is_there && backup.is_deleting(), "the owner waits: {backup:?}");
        }
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        backups.patch("nightly", &free).await.unwrap();
        seconds(15).await;
        assert!(maps.get_opt("owner").await.unwrap().is_none());
        assert!(backups.get_opt("nightly").await.unwrap().is_none());
    }
}

/// Lets nobody delete what is called `kept`.
struct Keep;

#[async_trait]
impl Admission for Keep {
    fn name(&self) -> &str {
        "Keep"
    }

    fn handles(&self, _: &ApiResource, operation: Operation) -> bool {
        operation == Operation::Delete
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        match request.key.name() {
            "kept" => Err(Refusal::Forbidden("it is kept".to_owned())),
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_object_that_cannot_be_deleted_holds_up_no_other() {
    let client = client_with(Arc::new(MemoryStore::new()), |builder| builder.admission(Keep));
    let cluster = Cluster::over(client, 0).await;
    let namespaces = cluster.client.all::<Namespace>();
    let mut team = Namespace::default();
    team.metadata.name = Some("team".to_owned());
    namespaces.create(&team).await.unwrap();
    let maps = cluster.client.api::<ConfigMap>("team");
    let others: Vec<String> = (0..600).map(|n| format!("m{n}")).collect();
    for name in others.iter().map(String::as_str).chain(["kept"]) {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        maps.create(&map).await.unwrap();
    }
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    seconds(2).await;
    let left = maps.list(&Default::default()).await.unwrap().items;
    let left: Vec<_> = left.into_iter().map(|map| map.metadata.name.unwrap()).collect();
    assert_eq!(left, ["kept"]);
    let conditions = namespaces
        .get("team")
        .await
        .unwrap()
        .status
        .unwrap()
        .conditions
        .unwrap();
    let message = |type_: &str| {
        let mut conditions = conditions.iter();
        let found = conditions.find(|condition| condition.type_ == type_ && condition.status == "True");
        found
            .and_then(|condition| condition.message.clone())
            .unwrap_or_default()
    };
    let failure = message("NamespaceDeletionContentFailure");
    assert!(
        failure.contains("configmaps: ") && failure.contains("it is kept"),
        "{failure}"
    );
    assert!(message("NamespaceContentRemaining").contains("configmaps has 1 resource instances"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_only_the_store_knows_is_collected_and_goes_with_its_namespace() {
    let store = Arc::new(MemoryStore::new());
    let before = client_with(store.clone(), |builder| builder);
    ensure_namespaces(&before).await.unwrap();
    let mut team = Namespace::default();
    team.metadata.name = Some("team".to_owned());
    before.all::<Namespace>().create(&team).await.unwrap();
    let mut map = ConfigMap::default();
    map.metadata.name = Some("owner".to_owned());
    let owner = before.api::<ConfigMap>("default").create(&map).await.unwrap();
    let mut metadata = ObjectMeta::named("nightly");
    before
        .api::<Backup>("team")
        .create(&Backup {
            metadata: metadata.clone(),
        })
        .await
        .unwrap();
    metadata.owner_references = vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: "owner".to_owned(),
        uid: owner.metadata.uid.unwrap(),
        ..OwnerReference::default()
    }];
    before
        .api::<Backup>("default")
        .create(&Backup { metadata })
        .await
        .unwrap();

    // Another process over the same store, in which nobody speaks of backups.
    let cluster = Cluster::over(client_with(store, |builder| builder), 0).await;
    let params = DeleteParams::default();
    cluster
        .client
        .all::<Namespace>()
        .delete("team", &params)
        .await
        .unwrap();
    cluster
        .client
        .api::<ConfigMap>("default")
        .delete("owner", &params)
        .await
        .unwrap();
    seconds(15).await;
    let left = before
        .all::<Backup>()
        .list(&Default::default())
        .await
        .unwrap()
        .items;
    assert!(left.is_empty(), "{left:?}");
    assert!(before.all::<Namespace>().get_opt("team").await.unwrap().is_none());
}
