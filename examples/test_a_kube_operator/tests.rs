//! What the operator promises.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn ten_websites_come_to_be_served_and_are_entered() {
    let stage = Stage::set().await.unwrap();
    for number in 0..10 {
        stage.create(&format!("site-{number}"), 2).await.unwrap();
    }
    stage.until_served(10).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(stage.client.clone());
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 20);
    assert_eq!(stage.directory.names().len(), 10);
    let events = Api::<Event>::default_namespaced(stage.client.clone());
    let told = events.list(&ListParams::default()).await.unwrap();
    let told = told
        .items
        .iter()
        .filter(|event| event.reason.as_deref() == Some("Served"));
    assert_eq!(told.count(), 10);
    stage.strike().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_page_is_shown_and_what_others_change_back() {
    let stage = Stage::set().await.unwrap();
    stage.create("home", 2).await.unwrap();
    stage.until_served(1).await.unwrap();

    let change = Patch::Merge(json!({"spec": {"page": "new", "replicas": 3}}));
    stage
        .sites()
        .patch("home", &PatchParams::default(), &change)
        .await
        .unwrap();
    stage.until_served(1).await.unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(stage.client.clone());
    assert_eq!(maps.get("home").await.unwrap().data.unwrap()["index.html"], "new");

    let deployments = Api::<Deployment>::default_namespaced(stage.client.clone());
    let meddling = Patch::Merge(json!({"spec": {"replicas": 0}}));
    deployments
        .patch("home", &PatchParams::default(), &meddling)
        .await
        .unwrap();
    let is_mended = |deployment: Option<&Deployment>| {
        deployment.is_some_and(|deployment| deployment.spec.replicas == Some(3))
    };
    await_condition(deployments, "home", is_mended).await.unwrap();
    stage.strike().await;
}

#[tokio::test(start_paused = true)]
async fn a_website_goes_with_all_that_belongs_to_it() {
    let stage = Stage::set().await.unwrap();
    let site = stage.create("home", 2).await.unwrap();
    stage.until_served(1).await.unwrap();
    stage
        .sites()
        .delete("home", &DeleteParams::default())
        .await
        .unwrap();
    let gone = conditions::is_deleted(site.metadata.uid.as_deref().unwrap());
    await_condition(stage.sites(), "home", gone).await.unwrap();
    assert!(stage.directory.names().is_empty());
    let deployments = Api::<Deployment>::default_namespaced(stage.client.clone());
    let is_gone = |deployment: Option<&Deployment>| deployment.is_none();
    await_condition(deployments, "home", is_gone).await.unwrap();
    let pods = Api::<Pod>::default_namespaced(stage.client.clone());
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let name = pod.metadata.name.unwrap();
        await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_none())
            .await
            .unwrap();
    }
    stage.strike().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_schema_forbids_never_reaches_the_operator() {
    let stage = Stage::set().await.unwrap();
    let Err(kube::Error::Api(refused)) = stage.create("home", 21).await else {
        panic!("it was taken");
    };
    let expected =
        "spec.replicas: Invalid value: 21: spec.replicas in body should be less than or equal to 20";
    assert!(refused.message.contains(expected), "{}", refused.message);
    stage.strike().await;
}
