//! The same seed gives the same history, to the byte, in every run and in every process.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::agent::AgentConfig;
use orch_cluster::cluster::Cluster;
use orch_cluster::manifest::{Manifest, ManifestKinds};
use orch_core::client::{DeleteParams, ListParams, Patch};
use orch_core::random::Random;
use orch_core::runtime::{ContainerFilter, Runtime};
use orch_core::store::{MemoryStore, Prefix, Revision, Store, Txn};
use orch_core::testing::FakeRuntime;
use orch_core::testing::fake_runtime::{Behavior, ImageBehavior, On};
use serde_json::json;

/// In a process that the test started itself: the seed whose history to print.
const SEED: &str = "ORCH_SAME_SEED";
/// What comes before the number of a history in a process's output.
const PRINTED: &str = "history: ";

const WEB: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {greeting: hello}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      volumes: [{name: web, configMap: {name: web}}]
      containers:
      - name: web
        image: web:1
        volumeMounts: [{name: web, mountPath: /etc/web}]
        readinessProbe: {periodSeconds: 1, exec: {command: [ready]}}
";

/// Everything the store saw in the life of a small cluster: revisions, keys and values, a line each.
fn history(seed: u64) -> String {
    let volumes = tempfile::tempdir().unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async {
            let _date = orch_core::time::anchor_thread("2030-01-01T00:00:00Z".parse().unwrap());
            let store = Arc::new(MemoryStore::new());
            let recording = tokio::spawn(record(store.clone()));
            tokio::time::timeout(
                Duration::from_secs(3600),
                live(store.clone(), seed, volumes.path()),
            )
            .await
            .expect("the cluster gets where it should");
            store.commit(Txn::new().put("end", "")).await.unwrap();
            recording.await.unwrap()
        })
}

/// Writes down all changes up to that of the key `end`.
async fn record(store: Arc<MemoryStore>) -> String {
    let mut watch = store.watch(&Prefix::default(), Revision::ZERO).await.unwrap();
    let mut history = String::new();
    loop {
        let batch = watch.next().await.unwrap().unwrap();
        for (revision, change) in batch.changes {
            if change.key.as_ref() == b"end" {
                return history;
            }
            let value = change.current.map(|entry| entry.value.escape_ascii().to_string());
            writeln!(history, "{revision} {} {}", change.key, value.unwrap_or_default()).unwrap();
        }
    }
}

/// A Deployment of five pods on two nodes comes up; a pod crashes and heals; it rolls; it goes.
async fn live(store: Arc<MemoryStore>, seed: u64, volumes: &std::path::Path) {
    let one = FakeRuntime::new();
    let two = one.sibling();
    one.on(
        On::container("web"),
        Behavior::new().start_delay(Duration::from_millis(30)),
    );
    one.on_image(
        "web:2",
        ImageBehavior::absent().pull_delay(Duration::from_secs(1)),
    );
    let node = |name: &str| {
        AgentConfig::new(name)
            .volumes_dir(volumes)
            .capacity("cpu", "4")
            .capacity("memory", "8Gi")
    };
    let cluster = Cluster::builder(store)
        .random(Random::seeded(seed))
        .node_with(node("node-1"), Arc::new(one.clone()))
        .node_with(node("node-2"), Arc::new(two.clone()))
        .start()
        .await
        .unwrap();
    let client = cluster.client().clone();
    let web = client.api::<Deployment>("default");
    let updated_and_ready = async || loop {
        let status = web.get("web").await.unwrap();
        let generation = status.metadata.generation;
        let status = status.status.unwrap_or_default();
        if status.observed_generation == generation
            && status.updated_replicas == Some(5)
            && status.available_replicas == Some(5)
            && status.replicas == Some(5)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let manifest = Manifest::read("web.yaml", WEB, &ManifestKinds::builtin()).unwrap();
    cluster.apply(&manifest).await.unwrap();
    updated_and_ready().await;

    let restarts = async || {
        let pods = client
            .api::<Pod>("default")
            .list(&ListParams::default())
            .await
            .unwrap();
        let of = |pod: &Pod| {
            pod.status
                .clone()?
                .container_statuses?
                .first()
                .map(|status| (status.restart_count, status.ready))
        };
        pods.items
            .iter()
            .filter(|pod| of(pod).is_some_and(|(count, ready)| count > 0 && ready))
            .count()
    };
    let containers = one.containers(&ContainerFilter::default()).await.unwrap();
    assert!(one.kill(&containers[0].id, 137), "it ran");
    while restarts().await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let image = json!({"spec": {"template": {"spec": {"containers": [{
        "name": "web", "image": "web:2", "volumeMounts": [{"name": "web", "mountPath": "/etc/web"}],
    }]}}}});
    web.patch("web", &Patch::Merge(image)).await.unwrap();
    updated_and_ready().await;
    tokio::time::sleep(Duration::from_secs(60)).await;

    web.delete("web", &DeleteParams::default()).await.unwrap();
    let pods = client.api::<Pod>("default");
    while !pods.list(&ListParams::default()).await.unwrap().items.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.stop().await;
    assert_eq!((one.leaks(), two.leaks()), (Vec::new(), Vec::new()));
}

/// FNV-1a: the same number in every process, which is what std's hashers are there to avoid.
fn number(history: &str) -> u64 {
    history.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The history's number in a process of its own, whose maps hash by another key.
fn number_elsewhere(seed: u64, test: &str) -> u64 {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(SEED, seed.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = said
        .split_once(PRINTED)
        .and_then(|(_, rest)| rest.split_whitespace().next());
    number.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

/// The first line in which two histories differ, for a failure that can be read.
fn first_difference(one: &str, other: &str) -> Option<String> {
    let differs = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    differs
        .map(|(one, other)| format!("\n{one}\n{other}"))
        .or_else(|| (one != other).then(|| "one is longer".to_owned()))
}

#[test]
fn the_same_seed_gives_the_same_history_in_every_process_and_another_seed_another() {
    if let Ok(seed) = std::env::var(SEED) {
        let history = history(seed.parse().unwrap());
        writeln!(std::io::stdout(), "{PRINTED}{}", number(&history)).unwrap();
        return;
    }
    let seven = history(7);
    assert!(seven.lines().count() > 100, "{}", seven.lines().count());
    assert_eq!(first_difference(&seven, &history(7)), None);
    assert!(
        first_difference(&seven, &history(8)).is_some(),
        "uids come of the seed"
    );
    let test = "the_same_seed_gives_the_same_history_in_every_process_and_another_seed_another";
    for _ in 0..3 {
        assert_eq!(number_elsewhere(7, test), number(&seven));
    }
}
