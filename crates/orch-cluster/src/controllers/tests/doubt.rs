//! What controllers see is of the past, and what they wrote they do not know.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::ReplicaSet;
use orch_core::client::DeleteParams;
use orch_core::testing::Fault;

use super::*;
use crate::controllers::distant::{Distant, Mishap};

/// A store, as it is near by and as controllers see it, who hear of pods late.
struct Far {
    near: Client,
    store: Arc<Distant>,
    client: Client,
}

impl Far {
    async fn new() -> Self {
        let memory = Arc::new(MemoryStore::new());
        let near = client(memory.clone());
        ensure_namespaces(&near).await.unwrap();
        let store = Distant::new(memory, "pods");
        let client = client(store.clone());
        Self { near, store, client }
    }

    async fn set(&self, replicas: usize) -> ReplicaSet {
        let set = json!({"metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web"}]}}}});
        let set = serde_json::from_value(set).unwrap();
        self.near.api("default").create(&set).await.unwrap()
    }

    /// Makes a pod with this label `app`, which the set with this uid controls, if any does.
    async fn pod(&self, name: &str, app: &str, set: Option<&str>) {
        let owner = |uid| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true});
        let owners: Vec<_> = set.map(owner).into_iter().collect();
        let pod = json!({"metadata": {"name": name, "labels": {"app": app}, "ownerReferences": owners},
            "spec": {"containers": [{"name": "c", "image": "web"}]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.near.api("default").create(&pod).await.unwrap();
    }

    async fn delete(&self, pod: &str) {
        let pods = self.near.api::<Pod>("default");
        pods.delete(pod, &DeleteParams::now()).await.unwrap();
    }

    async fn pods(&self) -> BTreeSet<String> {
        let pods = self.near.all::<Pod>().list(&Default::default()).await.unwrap();
        let names = pods.items.into_iter().filter_map(|pod| pod.metadata.name);
        names.collect()
    }

    async fn status(&self) -> i32 {
        let set: ReplicaSet = self.near.api("default").get("web").await.unwrap();
        set.status.unwrap().replicas
    }
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_creation_was_not_answered_is_not_made_again_before_the_view_shows_it() {
    let far = Far::new().await;
    let _controllers = Controllers::new(&far.client).start();
    seconds(1).await;
    far.store.set_lag(Duration::from_secs(60));
    far.store.spoil_next([Mishap::Meets(Fault::AppliedUnanswered); 3]);
    far.set(3).await;
    for _ in 0..50 {
        seconds(1).await;
        assert_eq!(far.pods().await.len(), 3, "while the view shows none");
    }
    seconds(600).await;
    assert_eq!((far.pods().await.len(), far.status().await), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_life_before_deleted_is_not_deleted_from_those_that_are_left() {
    let far = Far::new().await;
    let set = far.set(2).await;
    let uid = set.metadata.uid.as_deref();
    for name in ["a", "b", "c"] {
        far.pod(name, "web", uid).await;
    }
    // Newer than all that is left in the end.
    let past = far
        .near
        .all::<Pod>()
        .list(&Default::default())
        .await
        .unwrap()
        .revision;
    far.delete("a").await;

    far.store.set_past(past);
    far.store.set_lag(Duration::from_secs(60));
    let _controllers = Controllers::new(&far.client).start();
    for _ in 0..120 {
        seconds(1).await;
        assert_eq!(far.pods().await, names(&["b", "c"]));
    }
    assert_eq!(far.status().await, 2);
}

#[tokio::test(start_paused = true)]
async fn pods_are_read_once_in_a_life_and_only_if_something_is_to_be_written() {
    let far = Far::new().await;
    let first = Controllers::new(&far.client).start();
    far.set(2).await;
    seconds(30).await;
    drop(first);
    let before = far.store.reads();

    let _second = Controllers::new(&far.client).start();
    seconds(30).await;
    assert_eq!(far.store.reads() - before, 0, "all is as it is to be");
    for replicas in [3, 1, 2] {
        let scaled = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let sets = far.near.api::<ReplicaSet>("default");
        sets.patch("web", &scaled).await.unwrap();
        seconds(30).await;
        assert_eq!((far.status().await, far.store.reads() - before), (replicas, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_that_is_gone_does_not_count_among_those_that_are_too_many() {
    let far = Far::new().await;
    let _controllers = Controllers::new(&far.client).start();
    far.set(2).await;
    seconds(1).await;
    let own = far.pods().await;
    assert_eq!(own.len(), 2);
    far.pod("orphan", "another", None).await;
    let pods = far.near.api::<Pod>("default");
    // It is the last that one would do without.
    let runs = Patch::Merge(json!({"status": {"phase": "Running"}}));
    pods.patch_status("orphan", &runs).await.unwrap();
    seconds(1).await;

    far.store.set_lag(Duration::from_secs(10));
    let relabelled = Patch::Merge(json!({"metadata": {"labels": {"app": "web"}}}));
    pods.patch("orphan", &relabelled).await.unwrap();
    seconds(1).await;
    far.delete("orphan").await;
    for _ in 0..60 {
        seconds(1).await;
        assert_eq!(far.pods().await, own);
    }
    assert_eq!(far.status().await, 2);
}
