//! Nodes are lost, come back, and are deleted.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use orch_core::client::{DeleteParams, Patch};
use serde_json::json;

use super::{Cluster, seconds};

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_lost_node_move_and_those_of_a_deleted_one_too() {
    let mut cluster = Cluster::start(2).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    cluster.nodes.remove("n1").unwrap().die();
    seconds(45).await;
    let node = cluster.client.all::<Node>().get("n1").await.unwrap();
    let taints = node.spec.unwrap().taints.unwrap();
    assert!(
        taints
            .iter()
            .all(|taint| taint.key == "node.kubernetes.io/unreachable"),
        "{taints:?}"
    );
    assert_eq!(taints.len(), 2);
    let ready = cluster.deployment("web").await.status.unwrap().ready_replicas;
    assert_eq!(
        ready,
        Some(2),
        "its pods count as not ready, and stay while they are tolerated"
    );
    seconds(70).await;
    assert_eq!(
        cluster.deployment("web").await.status.unwrap().ready_replicas,
        Some(4)
    );
    let pods = cluster.all::<Pod>().await;
    assert_eq!(pods.len(), 6, "nobody can end those on the lost node");
    cluster
        .client
        .all::<Node>()
        .delete("n1", &DeleteParams::default())
        .await
        .unwrap();
    seconds(90).await;
    let pods = cluster.all::<Pod>().await;
    assert_eq!(pods.len(), 4);
    assert!(
        pods.iter()
            .all(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some("n2"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_is_freed_of_its_taints() {
    let mut cluster = Cluster::start(2).await;
    seconds(1).await;
    cluster.nodes.remove("n1").unwrap().die();
    seconds(45).await;
    let taints = async |cluster: &Cluster| {
        let node = cluster.client.all::<Node>().get("n1").await.unwrap();
        node.spec.unwrap().taints.unwrap_or_default().len()
    };
    assert_eq!(taints(&cluster).await, 2);
    cluster.add_node("n1").await;
    seconds(5).await;
    assert_eq!(taints(&cluster).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_taken_for_lost_speaks_for_its_pods_while_it_renews_its_lease() {
    let mut cluster = Cluster::start(1).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    // Nobody mends what is written of the node, nor writes its status.
    cluster.nodes.remove("n1").unwrap().die();
    let leases = cluster.client.api::<Lease>("kube-node-lease");
    let lease = serde_json::from_value(json!({"metadata": {"name": "n1"}, "spec": {}})).unwrap();
    leases.create(&lease).await.unwrap();
    let unknown = json!({"conditions": [{"type": "Ready", "status": "Unknown"}]});
    let status = Patch::Merge(json!({ "status": unknown }));
    let written = cluster.client.all::<Node>().patch_status("n1", &status).await;
    assert!(written.is_ok(), "{written:?}");
    let ready = async || cluster.deployment("web").await.status.unwrap().ready_replicas;
    for _ in 0..12 {
        let renewed = json!({"spec": {"renewTime": MicroTime(orch_core::time::now())}});
        leases.patch("n1", &Patch::Merge(renewed)).await.unwrap();
        seconds(10).await;
        assert_eq!(ready().await, Some(4));
    }
    seconds(35).await;
    assert_eq!(ready().await.unwrap_or(0), 0, "now it is silent");
}

/// The uids of the pods on a node that nobody deletes.
async fn on(cluster: &Cluster, node: &str) -> Vec<String> {
    let pods = cluster.all::<Pod>().await.into_iter();
    let here = pods.filter(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod.spec.as_ref().unwrap().node_name.as_deref() == Some(node)
    });
    here.map(|pod| pod.metadata.uid.unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_users_taint_is_tolerated_for_as_long_as_the_pods_say() {
    let cluster = Cluster::start(2).await;
    let tolerations =
        json!([{"key": "dedicated", "effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 60}]);
    let template = json!({"template": {"spec": {"tolerations": tolerations}}});
    cluster.apply("web", "v1", template).await;
    seconds(2).await;
    let before = on(&cluster, "n1").await;
    assert_eq!(before.len(), 2);
    // As kubectl writes it: without a time.
    let taint = json!({"spec": {"taints": [{"key": "dedicated", "value": "db", "effect": "NoExecute"}]}});
    let nodes = cluster.client.all::<Node>();
    nodes.patch("n1", &Patch::Merge(taint)).await.unwrap();
    seconds(50).await;
    assert_eq!(on(&cluster, "n1").await, before);
    seconds(20).await;
    let after = on(&cluster, "n1").await;
    assert!(
        !after.iter().any(|uid| before.contains(uid)),
        "{before:?} {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_node_that_speaks_for_itself_the_pods_are_as_it_says() {
    let mut cluster = Cluster::start(2).await;
    cluster.apply("web", "v1", json!({})).await;
    seconds(2).await;
    cluster.nodes.remove("n1").unwrap().die();
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False",
        "lastHeartbeatTime": orch_core::time::now().to_string()}]}});
    let nodes = cluster.client.all::<Node>();
    nodes.patch_status("n1", &Patch::Merge(not_ready)).await.unwrap();
    seconds(30).await;
    let ready = async |cluster: &Cluster| cluster.deployment("web").await.status.unwrap().ready_replicas;
    assert_eq!(ready(&cluster).await, Some(4));
    // Now it is silent too.
    seconds(15).await;
    assert_eq!(ready(&cluster).await, Some(2));
}
