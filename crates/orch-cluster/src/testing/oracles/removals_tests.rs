//! Pods that a ReplicaSet's controller takes from it although it has none to spare are told of.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{DeleteParams, Patch, Propagation};
use orch_core::testing::simulation::{Life, Oracle, Setup, World};
use serde_json::json;

use super::Removals;
use super::tests::failure;

/// What happens before its controller deletes pods of a set that asks for two and has three.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Nothing,
    /// A user deletes one, which the controller may not have seen.
    OneIsDeleted,
    /// One fails, which the controller may not have seen.
    OneFails,
    /// Those that are to go are to be evicted.
    Evictions,
    TheSetIsDeleted,
    /// The set asks for fewer, and then for two again, which the controller has not seen.
    FewerWereWanted,
    /// As before, and the controller has seen it.
    FewerWereWantedAndItKnows,
    /// The controller made one more.
    OneMoreIsMade,
}

async fn made(life: &Life, set: &ReplicaSet, name: &str) {
    let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": set.metadata.uid,
        "controller": true}]);
    let pod = json!({"metadata": {"name": name, "ownerReferences": owner},
        "spec": {"containers": [{"name": "c", "image": "c"}]}});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    life.client().api::<Pod>("default").create(&pod).await.unwrap();
}

/// Acts for a controller of ReplicaSets, and deletes so many pods.
async fn controller(life: Life, before: Before, deletes: usize) {
    let client = life.client();
    let (sets, pods) = (client.api::<ReplicaSet>("default"), client.api::<Pod>("default"));
    let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "c"}]}}}});
    let set: ReplicaSet = sets.create(&serde_json::from_value(set).unwrap()).await.unwrap();
    for name in ["a", "b", "c"] {
        made(&life, &set, name).await;
    }
    let users = life.world().client();
    let says = |status| {
        let (pods, patch) = (pods.clone(), Patch::Merge(json!({ "status": status })));
        async move { drop(pods.patch_status("a", &patch).await.unwrap()) }
    };
    match before {
        Before::Nothing => {}
        Before::OneIsDeleted => {
            let pods = users.api::<Pod>("default");
            pods.delete("c", &DeleteParams::default()).await.unwrap();
        }
        Before::OneFails => says(json!({"phase": "Failed"})).await,
        Before::Evictions => {
            let why =
                json!([{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]);
            says(json!({ "conditions": why })).await;
        }
        Before::TheSetIsDeleted => {
            let params = DeleteParams::default().propagation(Propagation::Foreground);
            sets.delete("web", &params).await.unwrap();
        }
        Before::FewerWereWanted | Before::FewerWereWantedAndItKnows => {
            let mut generation = 1;
            for replicas in [1, 2] {
                let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
                let set = sets.patch("web", &patch).await.unwrap();
                generation = set.metadata.generation.unwrap();
            }
            if before == Before::FewerWereWantedAndItKnows {
                let status = json!({"status": {"replicas": 3, "observedGeneration": generation}});
                sets.patch_status("web", &Patch::Merge(status)).await.unwrap();
            }
        }
        Before::OneMoreIsMade => made(&life, &set, "d").await,
    }
    for name in ["a", "b"].iter().take(deletes) {
        pods.delete(name, &DeleteParams::default()).await.unwrap();
    }
    std::future::pending::<()>().await;
}

async fn idle(_: World) -> Result<(), String> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    Ok(())
}

#[test]
fn no_more_pods_may_be_deleted_than_are_above_what_is_asked_for() {
    let table = [
        (Before::Nothing, 1, false),
        (Before::Nothing, 2, true),
        (Before::OneIsDeleted, 1, false),
        (Before::OneIsDeleted, 2, true),
        (Before::OneFails, 2, false),
        (Before::Evictions, 2, false),
        (Before::TheSetIsDeleted, 2, false),
        (Before::FewerWereWanted, 2, false),
        (Before::FewerWereWantedAndItKnows, 2, true),
        (Before::OneMoreIsMade, 2, false),
    ];
    let mut wrong = Vec::new();
    for (before, deletes, is_told) in table {
        let oracle = || -> Box<dyn Oracle> { Box::new(Removals::default()) };
        let add = move |run: &mut Setup| {
            run.component("controllers", move |life| controller(life, before, deletes));
        };
        let why = failure(oracle, add, idle);
        let refused = "default/b is deleted by controllers: its set asked for 2 pods and is left 1 at most";
        match &why {
            None if !is_told => {}
            Some(why) if is_told && why.contains(refused) => {}
            _ => wrong.push(format!("{before:?}, {deletes} deleted: {why:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
