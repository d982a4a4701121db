//! Whole clusters on the fake runtime, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use orch_core::client::{DeleteParams, ListParams};
use orch_core::store::MemoryStore;
use orch_core::testing::FakeRuntime;
use serde_json::json;

use super::*;
use crate::agent::AgentConfig;
use crate::controllers::testing::PodWatch;
use crate::manifest::ManifestKinds;

pub(super) const WEB: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {greeting: hello}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
";

pub(super) fn read(text: &str) -> Manifest {
    Manifest::read("web.yaml", text, &ManifestKinds::builtin()).unwrap()
}

pub(super) async fn cluster(store: &Arc<MemoryStore>, runtime: &Arc<FakeRuntime>) -> Cluster {
    Cluster::builder(store.clone())
        .node("node-1", runtime.clone())
        .start()
        .await
        .unwrap()
}

async fn until(cluster: &Cluster, what: impl Fn(&Deployment) -> bool) -> Deployment {
    let api = cluster.client().api::<Deployment>("default");
    let waited = tokio::time::timeout(Duration::from_secs(120), async {
        loop {
            let deployment = api.get("web").await.unwrap();
            if what(&deployment) {
                return deployment;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    match waited.await {
        Ok(deployment) => deployment,
        Err(_) => panic!("{:#?}", api.get("web").await.unwrap().status),
    }
}

fn all_ready(deployment: &Deployment) -> bool {
    let spec = &deployment.spec;
    let Some(status) = &deployment.status else {
        return false;
    };
    status.observed_generation == deployment.metadata.generation
        && status.updated_replicas == spec.replicas
        && status.ready_replicas == spec.replicas
        && status.replicas == spec.replicas
}

#[tokio::test(start_paused = true)]
async fn a_manifest_becomes_ready_pods_and_applying_it_again_changes_nothing() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    let applied = cluster.apply(&read(WEB)).await.unwrap();
    assert!(applied.iter().all(|one| one.outcome == Outcome::Created));
    until(&cluster, all_ready).await;
    let again = cluster.apply(&read(WEB)).await.unwrap();
    assert!(
        again.iter().all(|one| one.outcome == Outcome::Unchanged),
        "{again:?}"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_manifest_drops_is_dropped_and_what_others_set_is_kept() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    cluster.apply(&read(WEB)).await.unwrap();
    let maps = cluster.client().api::<ConfigMap>("default");
    let mut map = maps.get("web").await.unwrap();
    map.data
        .get_or_insert_default()
        .insert("other".into(), "theirs".into());
    maps.update(&map).await.unwrap();
    let changed = WEB
        .replace("{greeting: hello}", "{farewell: bye}")
        .replace("tier: front", "level: top");
    let applied = cluster.apply(&read(&changed)).await.unwrap();
    assert!(applied.iter().all(|one| one.outcome == Outcome::Configured));
    let data = maps.get("web").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["farewell", "other"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_applied_of_a_file_with_errors_and_each_has_its_line() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    let bad = WEB
        .replace("replicas: 3", "replicas: -3")
        .replace("name: web\n        image", "name: Web\n        image");
    let error = cluster.apply(&read(&bad)).await.unwrap_err().to_string();
    assert!(
        error.contains("web.yaml:11 (document 2, Deployment default/web): spec.replicas: Invalid value: -3"),
        "{error}"
    );
    assert!(
        error.contains("web.yaml:17") && error.contains("spec.template.spec.containers[0].name"),
        "{error}"
    );
    assert!(
        cluster
            .client()
            .api::<ConfigMap>("default")
            .get("web")
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cluster_started_anew_takes_over_what_runs() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let first = cluster(&store, &runtime).await;
    first.apply(&read(WEB)).await.unwrap();
    until(&first, all_ready).await;
    let names = async |cluster: &Cluster| {
        let pods = cluster
            .client()
            .api::<Pod>("default")
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        pods.into_iter()
            .map(|pod| (pod.metadata.uid, pod.status.unwrap().container_statuses))
            .collect::<Vec<_>>()
    };
    let before = names(&first).await;
    // Dropped in the middle of things, as when the process is killed.
    drop(first);
    let second = cluster(&store, &runtime).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        names(&second).await,
        before,
        "no container was restarted, none was added"
    );
    second
        .client()
        .api::<Deployment>("default")
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(names(&second).await.is_empty());
    assert!(runtime.leaks().is_empty(), "{:?}", runtime.leaks());
}

#[tokio::test(start_paused = true)]
async fn a_new_image_is_rolled_out_within_the_bounds() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    cluster.apply(&read(WEB)).await.unwrap();
    until(&cluster, all_ready).await;
    let pods = PodWatch::start(cluster.client()).await;
    cluster
        .apply(&read(&WEB.replace("web:1", "web:2")))
        .await
        .unwrap();
    let rolled = until(&cluster, all_ready).await;
    assert_eq!(
        rolled.metadata.annotations.unwrap()["deployment.kubernetes.io/revision"],
        "2"
    );
    let history = pods.history();
    for pods in &history {
        let live = || pods.iter().filter(|pod| !pod.is_deleting);
        // A quarter of three: one more is allowed, and none less.
        assert!(live().count() <= 4, "{pods:?}");
        assert!(live().filter(|pod| pod.is_ready).count() >= 3, "{pods:?}");
    }
    assert!(history.iter().any(|pods| pods.len() > 3), "{history:?}");
    let last = history.last().unwrap().iter().filter(|pod| !pod.is_deleting);
    let last: Vec<_> = last.map(|pod| (pod.image.as_str(), pod.is_ready)).collect();
    assert_eq!(last, [("web:2", true); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_changes_its_strategy_and_back() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    let recreate = WEB.replace("replicas: 3", "strategy: {type: Recreate}\n  replicas: 3");
    let surge = WEB.replace(
        "replicas: 3",
        "strategy: {rollingUpdate: {maxSurge: 2}}\n  replicas: 3",
    );
    // (manifest, type, maxSurge)
    let table = [
        (WEB, "RollingUpdate", Some(json!("25%"))),
        (&*recreate, "Recreate", None),
        (&*recreate, "Recreate", None),
        (&*surge, "RollingUpdate", Some(json!(2))),
        (&*recreate, "Recreate", None),
        (WEB, "RollingUpdate", Some(json!("25%"))),
    ];
    for (manifest, type_, surge) in table {
        cluster.apply(&read(manifest)).await.unwrap();
        let api = cluster.client().api::<Deployment>("default");
        let strategy = api.get("web").await.unwrap().spec.strategy.unwrap();
        let strategy = serde_json::to_value(strategy).unwrap();
        assert_eq!(strategy["type"], type_, "{manifest}");
        assert_eq!(
            strategy["rollingUpdate"].get("maxSurge"),
            surge.as_ref(),
            "{manifest}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_pods_no_node_can_run_makes_no_more_of_them() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let cluster = cluster(&store, &runtime).await;
    let probe = "image: web:1\n        readinessProbe: {grpc: {port: 80}}";
    cluster
        .apply(&read(&WEB.replace("image: web:1", probe)))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let pods = cluster.client().api::<Pod>("default");
    let pods = pods.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(
        pods.len(),
        3,
        "one for each replica, and none in place of another"
    );
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_only_has_limits_takes_them_of_its_node() {
    let config = AgentConfig::new("node-1")
        .capacity("cpu", "4")
        .capacity("memory", "8Gi");
    // What the first pod of two asks for, and how many of the two there is room for.
    for (resources, bound) in [
        (
            r#""containers": [{"name": "c", "image": "web:1", "resources": {"limits": {"cpu": "3"}}}]"#,
            1,
        ),
        (
            r#""containers": [{"name": "c", "image": "web:1"}], "resources": {"limits": {"cpu": "3"}}"#,
            1,
        ),
        (
            r#""containers": [{"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "1"}}}],
                "resources": {"limits": {"cpu": "3"}}"#,
            2,
        ),
    ] {
        let builder = Cluster::builder(Arc::new(MemoryStore::new()));
        let runtime = Arc::new(FakeRuntime::new());
        let cluster = builder.node_with(config.clone(), runtime).start().await.unwrap();
        let pods = cluster.client().api::<Pod>("default");
        for name in ["one", "two"] {
            let pod = format!(r#"{{"metadata": {{"name": "{name}"}}, "spec": {{{resources}}}}}"#);
            pods.create(&serde_json::from_str(&pod).unwrap()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        let on_node = pods
            .iter()
            .filter(|pod| pod.spec.as_ref().unwrap().node_name.is_some());
        assert_eq!(on_node.count(), bound, "{resources}");
        cluster.stop().await;
    }
}

/// How often a pod was restarted; none if it is gone or not ready.
async fn restarts(cluster: &Cluster, name: &str) -> Option<i32> {
    let pod = cluster
        .client()
        .api::<Pod>("default")
        .get_opt(name)
        .await
        .unwrap()?;
    let status = pod.status?.container_statuses?.into_iter().next()?;
    status.ready.then_some(status.restart_count)
}

async fn create_on(cluster: &Cluster, node: &str, name: &str) {
    let pod = format!(
        r#"{{"metadata": {{"name": "{name}", "namespace": "default"}},
            "spec": {{"nodeName": "{node}", "containers": [{{"name": "c", "image": "web:1"}}]}}}}"#
    );
    let pod: Pod = serde_json::from_str(&pod).unwrap();
    cluster.client().api::<Pod>("default").create(&pod).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nodes_that_share_a_runtime_leave_each_others_pods_alone() {
    let (store, runtime) = (Arc::new(MemoryStore::new()), Arc::new(FakeRuntime::new()));
    let both = Cluster::builder(store)
        .node("a", runtime.clone())
        .node("b", runtime.clone());
    let cluster = both.start().await.unwrap();
    create_on(&cluster, "a", "one").await;
    create_on(&cluster, "b", "two").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(restarts(&cluster, "one").await, Some(0));
    assert_eq!(restarts(&cluster, "two").await, Some(0));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn clusters_that_share_a_runtime_leave_each_others_pods_alone() {
    let runtime = Arc::new(FakeRuntime::new());
    let one = cluster(&Arc::new(MemoryStore::new()), &runtime).await;
    create_on(&one, "node-1", "web").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let other = cluster(&Arc::new(MemoryStore::new()), &runtime).await;
    create_on(&other, "node-1", "web").await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(restarts(&one, "web").await, Some(0));
    assert_eq!(restarts(&other, "web").await, Some(0));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_with_an_identity_of_its_own_clears_up_behind_one_whose_store_is_lost() {
    let runtime = Arc::new(FakeRuntime::new());
    let start = async || {
        let config = AgentConfig::new("node-1").cluster_id("mine");
        let builder = Cluster::builder(Arc::new(MemoryStore::new()));
        builder.node_with(config, runtime.clone()).start().await.unwrap()
    };
    let first = start().await;
    create_on(&first, "node-1", "web").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(restarts(&first, "web").await, Some(0));
    first.stop().await;
    let second = start().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runtime.leaks(), [] as [String; 0]);
    second.stop().await;
}
