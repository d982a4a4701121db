//! What is made too often, goes too early, or goes in the wrong order is told of.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use orch_core::client::{DeleteParams, Patch, Propagation};
use orch_core::object::Object;
use orch_core::testing::simulation::{Life, Oracle, World};
use serde_json::{Value, json};

use super::tests::failure;
use super::{Creations, Deletions, Evictions, Replicas};
use crate::testing::apply;

async fn idle(_: World) -> Result<(), String> {
    tokio::time::sleep(Duration::from_secs(300)).await;
    Ok(())
}

/// How a run fails in which one component does that.
fn told<F>(
    oracle: fn() -> Box<dyn Oracle>,
    does: impl Fn(Life) -> F + Copy + Send + Sync + 'static,
) -> Option<String>
where
    F: Future<Output = ()> + Send + 'static,
{
    let does = move |life: Life| async move {
        does(life).await;
        std::future::pending::<()>().await;
    };
    failure(oracle, move |run| run.component("controllers", does), idle)
}

async fn put<K: Object>(life: &Life, namespace: &str, object: Value) -> K {
    let api = life.client().api::<K>(namespace);
    api.create(&serde_json::from_value(object).unwrap())
        .await
        .unwrap()
}

fn owner(of: &(String, String, String), blocks: bool) -> Value {
    json!([{"apiVersion": of.0, "kind": of.1, "name": "owner", "uid": of.2, "controller": true, "blockOwnerDeletion": blocks}])
}

fn pod(name: &str, owners: Value) -> Value {
    json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": {"containers": [{"name": "c", "image": "c"}]}})
}

#[test]
fn a_set_that_has_more_made_than_it_asks_for_is_told_of() {
    async fn makes(life: Life, pods: usize, deleted: bool) {
        let set = json!({"metadata": {"name": "owner"}, "spec": {"replicas": 2,
            "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "c"}]}}}});
        let set: ReplicaSet = put(&life, "default", set).await;
        let of = (
            "apps/v1".to_owned(),
            "ReplicaSet".to_owned(),
            set.metadata.uid.unwrap(),
        );
        for number in 0..pods {
            put::<Pod>(&life, "default", pod(&format!("web-{number}"), owner(&of, true))).await;
            if deleted {
                let api = life.client().api::<Pod>("default");
                let name = format!("web-{number}");
                api.delete(&name, &DeleteParams::now()).await.unwrap();
            }
        }
    }
    let oracle = || -> Box<dyn Oracle> { Box::new(Creations::default()) };
    assert_eq!(told(oracle, |life| makes(life, 2, false)), None);
    assert_eq!(told(oracle, |life| makes(life, 4, true)), None);
    let why = told(oracle, |life| makes(life, 3, false)).expect("too many");
    assert!(why.contains("there are 3, and its set asks for 2"), "{why}");
}

#[test]
fn an_owner_that_goes_before_what_it_waits_for_is_told_of() {
    async fn deletes(life: Life, way: Propagation, blocks: bool) {
        let of: ConfigMap = put(&life, "default", json!({"metadata": {"name": "owner"}})).await;
        let of = ("v1".to_owned(), "ConfigMap".to_owned(), of.metadata.uid.unwrap());
        let owned = json!({"metadata": {"name": "owned", "ownerReferences": owner(&of, blocks)}});
        put::<ConfigMap>(&life, "default", owned).await;
        let api = life.client().api::<ConfigMap>("default");
        api.delete("owner", &DeleteParams::default().propagation(way))
            .await
            .unwrap();
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        drop(api.patch("owner", &free).await);
    }
    let oracle = || -> Box<dyn Oracle> { Box::new(Deletions::default()) };
    assert_eq!(
        told(oracle, |life| deletes(life, Propagation::Background, true)),
        None
    );
    assert_eq!(
        told(oracle, |life| deletes(life, Propagation::Foreground, false)),
        None
    );
    for (way, blocks) in [(Propagation::Foreground, true), (Propagation::Orphan, false)] {
        let why = told(oracle, move |life| deletes(life, way, blocks)).expect("too early");
        assert!(why.contains("owner goes before ConfigMap default/owned"), "{why}");
    }
}

#[test]
fn a_namespace_that_goes_before_what_is_in_it_is_told_of() {
    async fn deletes(life: Life, emptied: bool) {
        let namespaces = life.client().all::<Namespace>();
        let shop = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
        namespaces.create(&shop).await.unwrap();
        let inside = json!({"metadata": {"name": "inside"}});
        put::<ConfigMap>(&life, "shop", inside.clone()).await;
        // What is older counts, whatever the clock says.
        life.world().jump_clock(jiff::SignedDuration::from_secs(-3600));
        namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
        if emptied {
            let maps = life.client().api::<ConfigMap>("shop");
            maps.delete("inside", &DeleteParams::default()).await.unwrap();
            put::<ConfigMap>(&life, "shop", inside).await;
        }
        let target = orch_core::client::Target {
            resource: std::sync::Arc::new(Namespace::resource()),
            key: orch_core::object::ObjectKey::new(None, "shop"),
        };
        let free = Patch::Merge(json!({"spec": {"finalizers": []}}));
        let part = orch_core::client::Part::Subresource("finalize");
        let client = life.client();
        let backend = client.backend();
        backend
            .patch(&target, part, &free, &Default::default())
            .await
            .unwrap();
    }
    let oracle = || -> Box<dyn Oracle> { Box::new(Deletions::default()) };
    assert_eq!(told(oracle, |life| deletes(life, true)), None);
    let why = told(oracle, |life| deletes(life, false)).expect("too early");
    assert!(
        why.contains("namespace shop goes before ConfigMap shop/inside"),
        "{why}"
    );
}

#[test]
fn an_eviction_before_its_time_is_told_of() {
    async fn evicts(life: Life, effect: &str, after: u64, jump: i64) {
        let taints = json!([{"key": "k", "effect": effect, "timeAdded": orch_core::time::now().to_string()}]);
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"taints": taints}});
        apply(life.world(), &node.to_string()).await.unwrap();
        let mut web = pod("web", json!([]));
        web["spec"]["nodeName"] = "n".into();
        web["spec"]["tolerations"] =
            json!([{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}]);
        put::<Pod>(&life, "default", web).await;
        tokio::time::sleep(Duration::from_secs(after)).await;
        if jump != 0 {
            life.world().jump_clock(jiff::SignedDuration::from_secs(jump));
        }
        let pods = life.client().api::<Pod>("default");
        let why = json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]);
        let told = Patch::Merge(json!({"status": {"conditions": why}}));
        pods.patch_status("web", &told).await.unwrap();
        pods.delete("web", &DeleteParams::default()).await.unwrap();
    }
    let oracle = || -> Box<dyn Oracle> { Box::new(Evictions::default()) };
    let evicted = |effect, after, jump| told(oracle, move |life| evicts(life, effect, after, jump));
    assert_eq!(evicted("NoExecute", 60, 0), None);
    assert_eq!(
        evicted("NoExecute", 20, -3600),
        None,
        "nobody knows what time it is"
    );
    let why = evicted("NoExecute", 20, 0).expect("too early");
    assert!(
        why.contains("default/web is evicted 40s before its time"),
        "{why}"
    );
    let why = evicted("NoSchedule", 60, 0).expect("for no reason");
    assert!(
        why.contains("default/web is evicted, and nothing drives it from its node"),
        "{why}"
    );
}

#[test]
fn what_has_lost_all_its_owners_is_told_of() {
    async fn leaves(life: Life, both: bool) {
        let mut owners = Vec::new();
        for name in ["owner", "another"] {
            let of: ConfigMap = put(&life, "default", json!({"metadata": {"name": name}})).await;
            owners
                .push(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": of.metadata.uid}));
        }
        let owned = json!({"metadata": {"name": "owned", "ownerReferences": owners}});
        put::<ConfigMap>(&life, "default", owned).await;
        let api = life.client().api::<ConfigMap>("default");
        api.delete("owner", &DeleteParams::default()).await.unwrap();
        if both {
            api.delete("another", &DeleteParams::default()).await.unwrap();
        }
    }
    let oracle = || -> Box<dyn Oracle> { Box::new(Replicas) };
    assert_eq!(told(oracle, |life| leaves(life, false)), None);
    let why = told(oracle, |life| leaves(life, true)).expect("an orphan");
    assert!(
        why.contains("ConfigMap default/owned: its owner owner is gone"),
        "{why}"
    );
}
