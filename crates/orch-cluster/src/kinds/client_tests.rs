//! The rules as every writer meets them: through a client.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use orch_core::client::{
    Api, ApiError, Client, ClientBuilder, DeleteParams, Deleted, ListParams, Part, Patch,
};
use orch_core::object::RawObject;
use orch_core::random::Random;
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

use super::kinds;

fn client() -> Client {
    let builder = Client::builder(Arc::new(MemoryStore::new()));
    kinds().fold(builder, ClientBuilder::kind).build()
}

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        "status": {"phase": "Running"},
    }))
    .unwrap()
}

async fn patch(pods: &Api<Pod>, part: Part<'_>, patch: Value) -> Result<RawObject, ApiError> {
    let written = pods.patch_part("web", part, &Patch::Merge(patch)).await?;
    Ok(written.document.to_raw().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_by_its_rules() {
    let client = client();
    let pods = client.api::<Pod>("default");
    let created = pods.create(&pod("web")).await.unwrap();
    let status = created.status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));

    let wrong = patch(&pods, Part::Whole, json!({"spec": {"nodeName": "n1"}}))
        .await
        .unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("pod updates may not change fields other than"),
        "{wrong}"
    );
    let bound = patch(
        &pods,
        Part::Subresource("binding"),
        json!({"spec": {"nodeName": "n1"}}),
    )
    .await;
    assert_eq!(bound.unwrap()["spec"]["nodeName"], "n1");

    let wrong = patch(&pods, Part::Status, json!({"status": {"phase": 1}}))
        .await
        .unwrap_err();
    assert!(matches!(wrong, ApiError::Invalid { .. }), "{wrong}");
    let running = patch(&pods, Part::Status, json!({"status": {"phase": "Running"}})).await;
    assert_eq!(running.unwrap()["status"]["phase"], "Running");

    pods.create(&pod("other")).await.unwrap();
    let params = ListParams::default().fields("spec.nodeName=n1,status.phase=Running".parse().unwrap());
    let list = pods.list(&params).await.unwrap();
    assert_eq!(list.items.len(), 1);

    let deleted = pods.delete("web", &DeleteParams::default()).await.unwrap();
    assert!(
        matches!(deleted, Deleted::Pending(_)),
        "its node has 30 seconds to end it"
    );
    let deleted = pods.delete("other", &DeleteParams::default()).await.unwrap();
    assert!(matches!(deleted, Deleted::Gone(_)), "no node runs it");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_it_is_finalized() {
    let client = client();
    let namespaces = client.all::<Namespace>();
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    namespaces.create(&namespace).await.unwrap();
    let deleted = namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    assert!(
        matches!(deleted, Deleted::Pending(_)),
        "what it contains must go first"
    );

    let patch = Patch::Merge(json!({"spec": {"finalizers": []}}));
    let part = Part::Subresource("finalize");
    namespaces.patch_part("shop", part, &patch).await.unwrap();
    assert!(matches!(namespaces.get("shop").await, Err(ApiError::NotFound(_))));
}

#[tokio::test]
async fn a_name_drawn_anew_is_the_one_that_a_namespace_is_labelled_with() {
    let client = || {
        let builder = Client::builder(Arc::new(MemoryStore::new())).random(Random::seeded(5));
        kinds().fold(builder, ClientBuilder::kind).build()
    };
    let drawn: Namespace = serde_json::from_value(json!({"metadata": {"generateName": "a-"}})).unwrap();
    let first = client().all::<Namespace>().create(&drawn).await.unwrap();

    let store = Arc::new(MemoryStore::new());
    let taken = Client::new(store.clone());
    taken
        .all::<Namespace>()
        .create(&first_again(&first))
        .await
        .unwrap();
    let builder = Client::builder(store).random(Random::seeded(5));
    let client = kinds().fold(builder, ClientBuilder::kind).build();
    let second = client.all::<Namespace>().create(&drawn).await.unwrap();
    assert_ne!(second.metadata.name, first.metadata.name);
    let labels = second.metadata.labels.unwrap_or_default();
    assert_eq!(
        labels.get("kubernetes.io/metadata.name"),
        second.metadata.name.as_ref()
    );
}

/// A namespace to be created under the name that another has elsewhere.
fn first_again(other: &Namespace) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": other.metadata.name}})).unwrap()
}

#[tokio::test]
async fn a_kind_that_nothing_acts_on_counts_once_it_is_used() {
    let store = Arc::new(MemoryStore::new());
    let client = || {
        let builder = Client::builder(store.clone());
        kinds().fold(builder, ClientBuilder::kind).build()
    };
    let counts = |client: &Client| {
        client
            .resources()
            .iter()
            .any(|kind| kind.kind == "ServiceAccount")
    };
    let (one, other) = (client(), client());
    assert!(!counts(&one), "nobody is to watch it in vain");
    assert!(one.resources().iter().any(|kind| kind.kind == "Pod"));
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "bot"}})).unwrap();
    one.api::<ServiceAccount>("default")
        .create(&account)
        .await
        .unwrap();
    assert!(counts(&one));

    // What another has stored is found by whoever empties a namespace.
    assert!(!counts(&other));
    other.backend().discover().await.unwrap();
    assert!(counts(&other));
    let wrong: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "Bot"}})).unwrap();
    let refused = other.api::<ServiceAccount>("default").create(&wrong).await;
    assert!(
        matches!(refused, Err(ApiError::Invalid { .. })),
        "its rules are the kind's still"
    );
}
