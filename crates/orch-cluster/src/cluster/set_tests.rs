//! A manifest is applied whole, or nothing of it is.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use orch_core::client::{Admission, AdmissionRequest, DeleteParams, ListParams, Operation, Refusal};
use orch_core::object::ApiResource;
use orch_core::store::MemoryStore;
use orch_core::testing::FakeRuntime;

use super::tests::{WEB, read};
use super::*;

/// Refuses ConfigMaps named `banned`.
struct Ban;

#[async_trait]
impl Admission for Ban {
    fn name(&self) -> &str {
        "Ban"
    }

    fn handles(&self, resource: &ApiResource, operation: Operation) -> bool {
        operation == Operation::Create && resource.kind == "ConfigMap"
    }

    async fn validate(&self, request: &AdmissionRequest<'_>) -> Result<(), Refusal> {
        match request.key.name() {
            "banned" => Err(Refusal::Forbidden("it is banned".to_owned())),
            _ => Ok(()),
        }
    }
}

async fn cluster() -> Cluster {
    let builder = Cluster::builder(Arc::new(MemoryStore::new())).admission(Ban);
    builder
        .node("node-1", Arc::new(FakeRuntime::new()))
        .start()
        .await
        .unwrap()
}

fn map(place: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {place}\n")
}

fn namespace(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_refused_is_refused_whole_and_every_reason_is_told() {
    let good = map("{name: good}");
    // (what comes after a good object of four lines; what is told)
    let cases: [(String, &[&str]); 6] = [
        (
            map("{name: a, namespace: nowhere}") + &map("{name: b, namespace: neverland}"),
            &[
                "web.yaml:8 (document 2, ConfigMap nowhere/a): metadata.namespace: namespaces \"nowhere\" not found",
                "web.yaml:12 (document 3, ConfigMap neverland/b): metadata.namespace: namespaces \"neverland\" not found",
            ],
        ),
        (
            map("{name: banned}") + &map("{name: a, namespace: nowhere}"),
            &[
                "web.yaml:6 (document 2, ConfigMap default/banned): configmaps \"banned\" in namespace \"default\" is forbidden: Ban: it is banned",
                "\"nowhere\" not found",
            ],
        ),
        (
            namespace("shop") + &map("{name: banned, namespace: shop}"),
            &[
                "web.yaml:10 (document 3, ConfigMap shop/banned): configmaps \"banned\" in namespace \"shop\" is forbidden: Ban: it is banned",
            ],
        ),
        (
            map("{name: a, namespace: leaving}"),
            &[
                "web.yaml:6 (document 2, ConfigMap leaving/a)",
                "is being terminated",
            ],
        ),
        (
            map("{name: a, namespace: nowhere}") + "immutable: true\n" + &map("{name: B}"),
            &["nowhere", "metadata.name: Invalid value: \"B\""],
        ),
        (
            map("{name: B, namespace: nowhere}"),
            &[
                "web.yaml:8 (document 2, ConfigMap nowhere/B): metadata.namespace: namespaces \"nowhere\" not found",
                "metadata.name: Invalid value: \"B\"",
            ],
        ),
    ];
    for (bad, told) in cases {
        let cluster = cluster().await;
        let client = cluster.client();
        let mut leaving: Namespace = serde_json::from_str(r#"{"metadata": {"name": "leaving"}}"#).unwrap();
        leaving.metadata.finalizers = Some(vec!["example.com/slow".to_owned()]);
        client.all::<Namespace>().create(&leaving).await.unwrap();
        client
            .all::<Namespace>()
            .delete("leaving", &DeleteParams::default())
            .await
            .unwrap();

        let error = cluster.apply(&read(&(good.clone() + &bad))).await.unwrap_err();
        assert!(matches!(error, ApplyError::Invalid(_)), "{bad}: {error:?}");
        let error = error.to_string();
        for words in told {
            assert!(error.contains(words), "{words:?} is missing in:\n{error}");
        }
        let maps = client
            .all::<ConfigMap>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        assert_eq!(maps, [], "{bad}");
        assert!(
            client.all::<Namespace>().get_opt("shop").await.unwrap().is_none(),
            "{bad}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_may_go_into_a_namespace_that_comes_with_it_before_or_after() {
    let (shop, a) = (namespace("shop"), map("{name: a, namespace: shop}"));
    for manifest in [shop.clone() + &a, a + &shop] {
        let cluster = cluster().await;
        let manifest = read(&manifest);
        let applied = cluster.apply(&manifest).await.unwrap();
        let names = applied.iter().map(|one| one.document.meta().name.clone());
        let given = manifest.items.iter().map(|item| item.name().to_owned());
        assert!(names.eq(given), "what was done is told in the order of the file");
        assert!(cluster.client().api::<ConfigMap>("shop").get("a").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_object_given_twice_the_later_is_applied_even_where_the_one_cannot_become_the_other() {
    let cluster = cluster().await;
    let web = WEB.replace("app: web", "app: shop") + "---" + WEB;
    let applied = cluster.apply(&read(&web)).await.unwrap();
    assert_eq!(applied.len(), 2, "{applied:?}");
    let web: Deployment = cluster.client().api("default").get("web").await.unwrap();
    assert_eq!(web.spec.selector.match_labels.unwrap()["app"], "web");
}
