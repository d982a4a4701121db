//! What a manifest named is gone, and nothing else is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use orch_core::client::{Admission, AdmissionRequest, ListParams, Operation, Propagation, Refusal};
use orch_core::object::ApiResource;
use orch_core::store::MemoryStore;
use orch_core::testing::FakeRuntime;

use super::tests::{WEB, read};
use super::*;

/// Forbids to delete what is named `held`.
struct Hold;

#[async_trait]
impl Admission for Hold {
    fn name(&self) -> &str {
        "Hold"
    }

    fn handles(&self, _: &ApiResource, operation: Operation) -> bool {
        operation == Operation::Delete
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        match request.key.name() {
            "held" => Err(Refusal::Forbidden("it is held".to_owned())),
            _ => Ok(()),
        }
    }
}

async fn start(runtime: &Arc<FakeRuntime>) -> Cluster {
    let builder = Cluster::builder(Arc::new(MemoryStore::new())).admission(Hold);
    builder.node("node-1", runtime.clone()).start().await.unwrap()
}

/// Kind, name and what became of it, in the order of deletion.
fn told(removed: &[Removed]) -> Vec<(&str, &str, Removal)> {
    let told = removed.iter().map(|one| {
        let target = &one.target;
        (&*target.resource.kind, target.key.name(), one.removal)
    });
    told.collect()
}

async fn counts(cluster: &Cluster) -> [usize; 3] {
    let (client, all) = (cluster.client(), ListParams::default());
    [
        client.all::<Deployment>().list(&all).await.unwrap().items.len(),
        client.all::<ReplicaSet>().list(&all).await.unwrap().items.len(),
        client.all::<Pod>().list(&all).await.unwrap().items.len(),
    ]
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_an_object_goes_after_all_that_it_owns() {
    let runtime = Arc::new(FakeRuntime::new());
    let cluster = start(&runtime).await;
    let manifest = read(WEB);
    cluster.apply(&manifest).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(counts(&cluster).await, [1, 1, 3]);

    let removed = cluster.delete(&manifest, Propagation::Foreground).await.unwrap();
    let expected = [
        ("Deployment", "web", Removal::Deleting),
        ("ConfigMap", "web", Removal::Deleting),
    ];
    assert_eq!(told(&removed), expected);
    assert!(removed.iter().all(|one| one.document.is_some()));
    cluster.gone(&removed).await.unwrap();
    assert_eq!(counts(&cluster).await, [0, 0, 0]);
    assert_eq!(runtime.leaks(), [] as [String; 0]);

    let again = cluster.delete(&manifest, Propagation::Foreground).await.unwrap();
    let all_gone = again.iter().all(|one| one.removal == Removal::NotFound);
    assert!(all_gone && again.len() == 2, "{again:?}");
    cluster.gone(&again).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_the_background_an_object_goes_first_and_as_an_orphan_its_own_stay() {
    // (policy, what is there at once, what is there in the end)
    let cases = [
        (Propagation::Background, Removal::Deleted, [0, 0, 0]),
        (Propagation::Orphan, Removal::Deleting, [0, 1, 3]),
    ];
    for (propagation, removal, left) in cases {
        let runtime = Arc::new(FakeRuntime::new());
        let cluster = start(&runtime).await;
        let manifest = read(WEB);
        cluster.apply(&manifest).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        let removed = cluster.delete(&manifest, propagation).await.unwrap();
        assert_eq!(told(&removed)[0], ("Deployment", "web", removal));
        cluster.gone(&removed).await.unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(counts(&cluster).await, left, "{propagation:?}");
    }
}

fn named(kind: &str, place: &str) -> String {
    format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {place}\n")
}

#[tokio::test(start_paused = true)]
async fn namespaces_go_last_and_those_of_every_cluster_stay() {
    let cluster = start(&Arc::new(FakeRuntime::new())).await;
    let manifest = named("ConfigMap", "{name: b, namespace: shop}")
        + &named("Namespace", "{name: shop}")
        + &named("Namespace", "{name: default}")
        + &named("ConfigMap", "{name: a}");
    let manifest = read(&manifest);
    cluster.apply(&manifest).await.unwrap();
    let removed = cluster.delete(&manifest, Propagation::Background).await.unwrap();
    let expected = [
        ("ConfigMap", "a", Removal::Deleted),
        ("ConfigMap", "b", Removal::Deleted),
        ("Namespace", "default", Removal::Kept),
        ("Namespace", "shop", Removal::Deleting),
    ];
    assert_eq!(told(&removed), expected);
    cluster.gone(&removed).await.unwrap();
    let namespaces = cluster.client().all::<Namespace>();
    assert!(namespaces.get_opt("shop").await.unwrap().is_none());
    assert!(namespaces.get_opt("default").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_deleted_is_told_with_its_place_and_the_rest_is_deleted() {
    let cluster = start(&Arc::new(FakeRuntime::new())).await;
    let [a, held, b] = ["a", "held", "b"].map(|name| named("ConfigMap", &format!("{{name: {name}}}")));
    let manifest = a + &held + &b;
    cluster.apply(&read(&manifest)).await.unwrap();
    let error = cluster
        .delete(&read(&manifest), Propagation::Background)
        .await
        .unwrap_err();
    let said = error.to_string();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "web.yaml:6 (document 2, ConfigMap default/held): configmaps \"held\" in namespace \"default\" is \
             forbidden: Hold: it is held",
        ]
    );
    assert_eq!(
        told(&error.removed),
        [
            ("ConfigMap", "b", Removal::Deleted),
            ("ConfigMap", "a", Removal::Deleted)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_made_anew_under_its_name_is_another() {
    let cluster = start(&Arc::new(FakeRuntime::new())).await;
    let manifest = read(&named("ConfigMap", "{name: a, finalizers: [example.com/slow]}"));
    cluster.apply(&manifest).await.unwrap();
    let removed = cluster.delete(&manifest, Propagation::Background).await.unwrap();
    assert_eq!(told(&removed), [("ConfigMap", "a", Removal::Deleting)]);
    let maps = cluster.client().api::<ConfigMap>("default");
    let waiting = cluster.gone(&removed);
    let anew = async {
        let mut map = maps.get("a").await.unwrap();
        map.metadata.finalizers = None;
        maps.update(&map).await.unwrap();
        cluster.apply(&manifest).await.unwrap();
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(waiting, anew) });
    waited.await.unwrap().0.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_some());
}
