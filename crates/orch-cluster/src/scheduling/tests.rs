//! Translation, and the whole path from a pod in the store to a pod bound in the store.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node as KubeNode, Pod};
use orch_core::client::{ApiError, Client};
use orch_core::object::{Document, Object};
use orch_core::scheduler::{Effect, HostPort, Operator, Resources, Taint};
use orch_core::store::MemoryStore;
use serde_json::{Value, json};

use super::node::node;
use super::pod::{PodEntry, Stage};
use super::template::Templates;
use super::*;
use crate::controllers::testing::client;

fn document(mut value: Value, kind: &str) -> Document {
    value["apiVersion"] = json!("v1");
    value["kind"] = json!(kind);
    Document::parse(value.to_string().into()).unwrap()
}

fn entry(spec: Value) -> PodEntry {
    let pod = json!({"metadata": {"name": "a", "namespace": "default"}, "spec": spec});
    PodEntry::new(&document(pod, "Pod"), &Templates::default()).unwrap()
}

#[test]
fn a_pod_takes_what_its_containers_take_together_or_its_largest_step() {
    let takes = |cpu: &str, memory: &str| json!({"resources": {"requests": {"cpu": cpu, "memory": memory}}});
    let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
    let table = [
        (json!({"containers": [{}]}), Resources::new(0, 0)),
        (
            json!({"containers": [takes("250m", "64Mi"), takes("1", "1Gi")]}),
            Resources::new(1250, (1 << 30) + (64 << 20)),
        ),
        (
            json!({"containers": [takes("100m", "1Gi")], "initContainers": [takes("1", "1Mi")]}),
            Resources::new(1000, 1 << 30),
        ),
        (
            json!({"containers": [takes("100m", "0")], "initContainers": [sidecar("300m"), takes("500m", "0")]}),
            Resources::new(800, 0),
        ),
        (
            json!({"containers": [takes("0.0001", "1")], "overhead": {"cpu": "10m"}}),
            Resources::new(11, 1),
        ),
        (
            json!({"containers": [takes("1", "1")], "resources": {"requests": {"cpu": "2"}}}),
            Resources::new(2000, 1),
        ),
        (
            json!({"containers": [{"resources": {"requests": {"example.com/gpu": "2", "example.com/fpga": "0", "ephemeral-storage": "1Gi"}}}]}),
            Resources::default().with("example.com/gpu", 2),
        ),
    ];
    for (spec, expected) in table {
        assert_eq!(
            entry(spec.clone()).request.shape.resources,
            expected.slots(1),
            "{spec}"
        );
    }
}

#[test]
fn conditions_on_the_node_are_translated() {
    let pod = entry(json!({
        "nodeSelector": {"disk": "ssd"}, "priority": 7,
        "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}],
                 "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]},
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]}},
        "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "value": "c", "effect": "NoSchedule"}],
        "containers": [{"ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081}]}]}));
    let shape = &pod.request.shape;
    assert_eq!(pod.request.priority, 7);
    assert_eq!(shape.selector["disk"], "ssd");
    assert_eq!(shape.affinity[0].conditions.len(), 2);
    assert_eq!(shape.affinity[0].conditions[0].operator, Operator::Gt(3));
    assert_eq!((shape.preferences[0].weight, shape.preferences.len()), (5, 1));
    assert_eq!(shape.host_ports, [HostPort::tcp(8081)]);
    assert!(shape.tolerates(&Taint::new("a", "anything", Effect::NoExecute)));
    assert!(shape.tolerates(&Taint::new("b", "c", Effect::NoSchedule)));
    assert!(!shape.tolerates(&Taint::new("b", "d", Effect::NoSchedule)));
    assert!(!shape.tolerates(&Taint::new("b", "c", Effect::NoExecute)));
    assert!(!shape.tolerates_unschedulable);
    assert!(
        entry(json!({"tolerations": [{"operator": "Exists"}]}))
            .request
            .shape
            .tolerates_unschedulable
    );
}

#[test]
fn a_pod_waits_is_held_is_bound_or_is_over() {
    let waiting = |name: &str| Stage::Waiting {
        scheduler: name.into(),
    };
    let table = [
        (json!({}), json!({}), waiting("default-scheduler")),
        (json!({"schedulerName": "other"}), json!({}), waiting("other")),
        (
            json!({"schedulingGates": [{"name": "g"}]}),
            json!({}),
            Stage::Held,
        ),
        (
            json!({"nodeName": "n1"}),
            json!({"phase": "Running"}),
            Stage::Bound { node: "n1".into() },
        ),
        (
            json!({"nodeName": "n1"}),
            json!({"phase": "Succeeded"}),
            Stage::Finished,
        ),
    ];
    for (spec, status, expected) in table {
        let pod = json!({"metadata": {"name": "a", "namespace": "d"}, "spec": spec, "status": status});
        assert_eq!(
            PodEntry::new(&document(pod, "Pod"), &Templates::default())
                .unwrap()
                .stage,
            expected,
            "{spec} {status}"
        );
    }
}

#[test]
fn a_node_offers_what_is_allocatable() {
    let kube = json!({"metadata": {"name": "n1", "labels": {"zone": "a"}},
        "spec": {"unschedulable": true, "taints": [{"key": "k", "effect": "NoExecute"}, {"key": "x", "effect": "?"}]},
        "status": {"capacity": {"cpu": "8"}, "allocatable": {"cpu": "3900m", "memory": "7Gi", "pods": "110"}}});
    let node = node(&document(kube, "Node")).unwrap();
    assert_eq!(node.allocatable, Resources::new(3900, 7 << 30).slots(110));
    assert_eq!(
        (node.taints, node.unschedulable),
        (vec![Taint::new("k", "", Effect::NoExecute)], true)
    );
}

pub(super) fn kube_node(name: &str, pods: u32) -> KubeNode {
    serde_json::from_value(json!({"metadata": {"name": name},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": pods.to_string()}}}))
    .unwrap()
}

pub(super) fn kube_pod(name: &str, spec: Value) -> Pod {
    let mut value =
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (key, field) in spec.as_object().unwrap() {
        value["spec"][key] = field.clone();
    }
    serde_json::from_value(value).unwrap()
}

pub(super) async fn add_node(client: &Client, node: &KubeNode) {
    let made = client.all::<KubeNode>().create(node).await.unwrap();
    let name = made.metadata.name.unwrap();
    client
        .all::<KubeNode>()
        .put_status(&name, None, &node.status)
        .await
        .unwrap();
}

pub(super) async fn pod(client: &Client, name: &str) -> Pod {
    client.api::<Pod>("default").get(name).await.unwrap()
}

pub(super) fn bound_to(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Lets everything that can happen now happen.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn pods_are_bound_refused_and_bound_when_there_is_room() {
    let client = client(Arc::new(MemoryStore::new()));
    crate::controllers::ensure_namespaces(&client).await.unwrap();
    let pods = client.api::<Pod>("default");
    add_node(&client, &kube_node("n1", 2)).await;
    let running = tokio::spawn(Scheduling::new(client.clone()).run());
    for name in ["a", "b", "c"] {
        pods.create(&kube_pod(name, json!({}))).await.unwrap();
    }
    pods.create(&kube_pod("foreign", json!({"schedulerName": "other"})))
        .await
        .unwrap();
    settle().await;
    let first = pod(&client, "a").await;
    assert_eq!(bound_to(&first), Some("n1"));
    let condition = first.status.unwrap().conditions.unwrap()[0].clone();
    assert_eq!(
        (condition.type_.as_str(), condition.status.as_str()),
        ("PodScheduled", "True")
    );
    let waiting = pod(&client, "c").await;
    assert_eq!(bound_to(&waiting), None);
    let condition = waiting.status.unwrap().conditions.unwrap()[0].clone();
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    assert_eq!(
        condition.message.as_deref(),
        Some("0/1 nodes fit: 1 has too many pods")
    );
    assert_eq!(bound_to(&pod(&client, "foreign").await), None);

    pods.delete("a", &orch_core::client::DeleteParams::now())
        .await
        .unwrap();
    settle().await;
    assert_eq!(
        bound_to(&pod(&client, "c").await),
        Some("n1"),
        "the room of a deleted pod is given on"
    );

    pods.create(&kube_pod("d", json!({"nodeSelector": {"disk": "ssd"}})))
        .await
        .unwrap();
    settle().await;
    let mut ssd = kube_node("n2", 10);
    ssd.metadata.labels = Some([("disk".to_owned(), "ssd".to_owned())].into());
    add_node(&client, &ssd).await;
    settle().await;
    assert_eq!(
        bound_to(&pod(&client, "d").await),
        Some("n2"),
        "a node that fits wakes who waits"
    );
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn started_anew_it_counts_what_is_bound_already() {
    let client = client(Arc::new(MemoryStore::new()));
    crate::controllers::ensure_namespaces(&client).await.unwrap();
    add_node(&client, &kube_node("n1", 3)).await;
    for round in 0..3 {
        let running = tokio::spawn(Scheduling::new(client.clone()).run());
        for n in 0..2 {
            let name = format!("p{round}{n}");
            client
                .api::<Pod>("default")
                .create(&kube_pod(&name, json!({})))
                .await
                .unwrap();
        }
        settle().await;
        running.abort();
    }
    let all = client.all::<Pod>().list(&Default::default()).await.unwrap().items;
    assert_eq!(all.iter().filter(|pod| bound_to(pod).is_some()).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_somebody_else_bound_first_is_left_there() -> Result<(), ApiError> {
    let client = client(Arc::new(MemoryStore::new()));
    crate::controllers::ensure_namespaces(&client).await.unwrap();
    add_node(&client, &kube_node("n1", 10)).await;
    let pods = client.api::<Pod>("default");
    let made = pods.create(&kube_pod("a", json!({}))).await?;
    let (resource, uid) = (Arc::new(Pod::resource()), made.metadata.uid.unwrap());
    let key = orch_core::object::ObjectKey::new(Some("default"), "a");
    super::bind::bind(&client, &resource, &key, &uid, "elsewhere").await?;
    let second = super::bind::bind(&client, &resource, &key, &uid, "n1").await;
    assert!(second.is_err());
    tokio::spawn(Scheduling::new(client.clone()).run());
    settle().await;
    assert_eq!(bound_to(&pod(&client, "a").await), Some("elsewhere"));
    Ok(())
}
