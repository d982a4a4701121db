//! kube-rs' own client and runtime, unmodified, over the service.

mod common;

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use orch_api::ServeApi;
use serde_json::json;

fn deployment() -> Deployment {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web"}]}}},
    }))
    .expect("a deployment")
}

#[tokio::test(start_paused = true)]
async fn a_deployment_made_with_kube_rs_comes_to_run() {
    let (cluster, _) = common::cluster(Default::default()).await;
    let client = Client::new(cluster.api(), "default");
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    deployments
        .create(&PostParams::default(), &deployment())
        .await
        .unwrap();
    let seen = watcher(deployments.clone(), watcher::Config::default()).applied_objects();
    let ready = seen.try_filter(|web| {
        let ready = web.status.as_ref().and_then(|status| status.ready_replicas);
        std::future::ready(ready == Some(2))
    });
    std::pin::pin!(ready)
        .try_next()
        .await
        .unwrap()
        .expect("it is ready once");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let of_web = ListParams::default().labels("app=web").limit(1);
    let page = pods.list(&of_web).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let token = page.metadata.continue_.expect("there is another page");
    assert_eq!(
        pods.list(&of_web.continue_token(&token))
            .await
            .unwrap()
            .items
            .len(),
        1
    );

    let change = Patch::Merge(json!({"spec": {"replicas": 1}}));
    let changed = deployments
        .patch("web", &PatchParams::default(), &change)
        .await
        .unwrap();
    assert_eq!(changed.spec.replicas, Some(1));
    let gone = deployments
        .delete("web", &DeleteParams::foreground())
        .await
        .unwrap();
    assert!(
        gone.left()
            .is_some_and(|web| web.metadata.deletion_timestamp.is_some())
    );
    let missing = deployments.get_opt("other").await.unwrap();
    assert!(missing.is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn kube_rs_applies_on_the_servers_side() {
    let (cluster, _) = common::cluster(Default::default()).await;
    let client = Client::new(cluster.api(), "default");
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let mine = PatchParams::apply("operator");
    let made = deployments
        .patch("web", &mine, &Patch::Apply(deployment()))
        .await
        .unwrap();
    assert_eq!(made.spec.replicas, Some(2));
    let again = deployments
        .patch("web", &mine, &Patch::Apply(deployment()))
        .await
        .unwrap();
    let spec = |deployment: &Deployment| serde_json::to_value(&deployment.spec).unwrap();
    assert_eq!(spec(&again), spec(&made));
    let owners = |deployment: &Deployment| -> Vec<_> {
        let entries = deployment.metadata.managed_fields.clone().unwrap_or_default();
        let names = entries.into_iter().map(|entry| entry.manager.unwrap_or_default());
        names.collect()
    };
    assert_eq!(owners(&again), ["operator"]);

    let mut other = deployment();
    other.spec.replicas = Some(5);
    let theirs = PatchParams::apply("other");
    let refused = deployments.patch("web", &theirs, &Patch::Apply(&other)).await;
    let Err(kube::Error::Api(status)) = refused else {
        panic!("{refused:?}");
    };
    assert!(status.is_conflict(), "{status:?}");
    let details = status.details.expect("it says what is in conflict");
    assert_eq!(details.causes[0].reason, "FieldManagerConflict");
    assert_eq!(details.causes[0].field, ".spec.replicas");
    let forced = deployments
        .patch("web", &theirs.clone().force(), &Patch::Apply(&other))
        .await
        .unwrap();
    assert_eq!(forced.spec.replicas, Some(5));

    // As controllers write their status.
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "status": {"conditions": [
        {"type": "Checked", "status": "True"},
    ]}});
    let checked = deployments
        .patch_status("web", &mine, &Patch::Apply(status))
        .await
        .unwrap();
    let conditions = serde_json::to_value(&checked.status).unwrap()["conditions"].clone();
    let mut conditions = conditions.as_array().unwrap().iter();
    assert!(conditions.any(|condition| condition["type"] == "Checked"));
    let missing =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
    let dry = PatchParams {
        dry_run: true,
        ..mine
    };
    maps.patch("a", &dry, &Patch::Apply(missing)).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_kube_rs_asks_for_by_name_is_found_and_watched() {
    let (cluster, _) = common::cluster(Default::default()).await;
    let client = Client::new(cluster.api(), "default");
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    let nodes: Api<Node> = Api::all(client.clone());
    assert_eq!(nodes.get("node-1").await.unwrap().name_any(), "node-1");
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let params = WatchParams::default().labels("app=watched");
    let mut watch = std::pin::pin!(maps.watch(&params, "0").await.unwrap());
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "watched", "labels": {"app": "watched"}}
    }))
    .unwrap();
    let made = maps.create(&PostParams::default(), &map).await.unwrap();
    match watch.try_next().await.unwrap() {
        Some(WatchEvent::Added(map)) => assert_eq!(map.metadata.uid, made.metadata.uid),
        other => panic!("{other:?}"),
    }
    // kube-rs' own finalizer helper tests for what is not there.
    let first = json!([
        {"op": "test", "path": "/metadata/finalizers", "value": null},
        {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/mine"]},
    ]);
    let first = Patch::Json::<()>(serde_json::from_value(first).unwrap());
    let held = maps
        .patch("watched", &PatchParams::default(), &first)
        .await
        .unwrap();
    assert_eq!(held.finalizers(), ["example.com/mine"]);
    cluster.stop().await;
}
