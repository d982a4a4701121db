//! Bindings that the store does not answer.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use orch_core::client::{Client, DeleteParams};
use orch_core::object::{Object, ObjectKey};
use orch_core::store::{MemoryStore, Store};
use orch_core::testing::{Fault, FaultyStore};
use serde_json::json;

use super::Scheduling;
use super::bind::{bind, bind_for_sure};
use super::tests::{add_node, bound_to, kube_node, kube_pod, pod};
use crate::controllers::distant::{Distant, Mishap};
use crate::controllers::ensure_namespaces;
use crate::controllers::testing::client;

/// A client over it in which a pod of this name waits; its uid.
async fn waiting(store: Arc<dyn Store>, name: &str) -> (Client, String) {
    let client = client(store);
    ensure_namespaces(&client).await.unwrap();
    let pods = client.api::<Pod>("default");
    let made = pods.create(&kube_pod(name, json!({}))).await.unwrap();
    (client, made.metadata.uid.unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_was_not_answered_is_asked_until_it_is() {
    use Fault::{AppliedUnanswered, LostUnanswered, Unavailable};
    type Faults = &'static [Fault];
    // What befalls the bindings, and whether the pod is bound in the end.
    let table: [(Faults, bool); 6] = [
        (&[], true),
        (&[AppliedUnanswered], true),
        (&[LostUnanswered], true),
        (
            &[LostUnanswered, LostUnanswered, Unavailable, LostUnanswered],
            true,
        ),
        (&[LostUnanswered, Unavailable, AppliedUnanswered], true),
        // Nothing was written, and nothing is under way: let others have the place meanwhile.
        (&[Unavailable], false),
    ];
    for (faults, is_bound) in table {
        let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
        let (client, uid) = waiting(store.clone(), "a").await;
        let (pods, key) = (Arc::new(Pod::resource()), ObjectKey::new(Some("default"), "a"));
        store.spoil_next(faults.iter().copied());
        let outcome = bind_for_sure(&client, &pods, &key, &uid, "n1").await;
        let found = pod(&client, "a").await;
        assert_eq!(
            (outcome.is_ok(), bound_to(&found)),
            (is_bound, is_bound.then_some("n1")),
            "{faults:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_gone_or_another_meanwhile_is_not_bound() {
    for is_made_again in [false, true] {
        let memory = Arc::new(MemoryStore::new());
        let (near, uid) = waiting(memory.clone(), "a").await;
        let store = Arc::new(FaultyStore::new(memory));
        store.spoil_next([Fault::LostUnanswered]);
        let client = client(store);
        let binding = tokio::spawn(async move {
            let (pods, key) = (Arc::new(Pod::resource()), ObjectKey::new(Some("default"), "a"));
            bind_for_sure(&client, &pods, &key, &uid, "n1").await
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let pods = near.api::<Pod>("default");
        pods.delete("a", &DeleteParams::now()).await.unwrap();
        if is_made_again {
            pods.create(&kube_pod("a", json!({}))).await.unwrap();
        }
        let error = binding.await.unwrap().unwrap_err();
        assert_eq!(
            (error.is_not_found(), error.is_conflict()),
            (!is_made_again, is_made_again),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_arrives_late_finds_its_place_still_kept() {
    let memory = Arc::new(MemoryStore::new());
    let (near, _) = waiting(memory.clone(), "a").await;
    let store = Distant::new(memory, "pods");
    add_node(&near, &kube_node("n1", 1)).await;
    store.spoil_next([Mishap::Late(Duration::from_secs(1))]);
    let scheduling = tokio::spawn(Scheduling::new(client(store)).run());
    tokio::time::sleep(Duration::from_millis(10)).await;
    let pods = near.api::<Pod>("default");
    pods.create(&kube_pod("b", json!({}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (first, second) = (pod(&near, "a").await, pod(&near, "b").await);
    assert_eq!(
        (bound_to(&first), bound_to(&second)),
        (Some("n1"), None),
        "there is room for one"
    );
    scheduling.abort();
}

#[tokio::test(start_paused = true)]
async fn started_anew_it_counts_what_was_bound_though_views_begin_in_the_past() {
    let memory = Arc::new(MemoryStore::new());
    let (near, _) = waiting(memory.clone(), "b").await;
    add_node(&near, &kube_node("n1", 1)).await;
    let before = memory.revision().await.unwrap();
    let made = near.api::<Pod>("default").create(&kube_pod("a", json!({}))).await;
    let uid = made.unwrap().metadata.uid.unwrap();
    let (resource, key) = (Arc::new(Pod::resource()), ObjectKey::new(Some("default"), "a"));
    bind(&near, &resource, &key, &uid, "n1").await.unwrap();

    let store = Distant::new(memory, "pods");
    store.set_past(before);
    store.set_lag(Duration::from_secs(60));
    let scheduling = tokio::spawn(Scheduling::new(client(store)).run());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bound_to(&pod(&near, "b").await), None, "there is room for one");
    scheduling.abort();
}
