//! Watches over nodes: conditions, taints, and the pods on those that fail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint, Toleration};
use orch_core::cache::Cache;
use orch_core::client::{ApiError, Client, DeleteParams, Part, Patch, Target};
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError, Running};
use orch_core::object::{ApiResource, Object, ObjectKey};
use orch_core::random::Random;
use orch_core::time;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::{Eviction, Health, NodeView, eviction, is_ready, overdue, taints};
use crate::controllers::caches::{Caches, NODE};
use crate::controllers::part;
use crate::controllers::pod_condition::{PodCondition, set_pod_condition};
use crate::controllers::pod_view::PodView;
use crate::events::{Recorder, reference};

/// How often a node that is not ready is looked at (Kubernetes' `node-monitor-period`).
const MONITOR_PERIOD: Duration = Duration::from_secs(5);
/// Where nodes keep the leases they renew.
const LEASES: &str = "kube-node-lease";

struct NodeLifecycle {
    nodes: Cache<Node>,
    leases: Cache<Lease>,
    pods: Cache<PodView>,
    pod_resource: Arc<ApiResource>,
    /// The last sign of life of each node, by its own name.
    health: Mutex<HashMap<ObjectKey, Health>>,
    recorder: Recorder,
}

/// Starts the controller.
pub(crate) fn start(client: &Client, caches: &Caches, random: Random) -> Running {
    let controller = NodeLifecycle {
        nodes: caches.nodes.clone(),
        leases: caches.leases.clone(),
        pods: caches.pods.clone(),
        pod_resource: Arc::new(Pod::resource()),
        health: Mutex::default(),
        recorder: Recorder::new(client.clone(), "node-controller", ""),
    };
    Engine::new(controller, client)
        .random(random)
        .cache(caches.nodes.clone())
        .watches(&caches.leases, |change| {
            vec![ObjectKey::new(None, change.key.name())]
        })
        .start()
}

#[async_trait]
impl Controller for NodeLifecycle {
    type Object = Node;

    fn name(&self) -> String {
        "node-lifecycle".to_owned()
    }

    async fn reconcile(&self, node: Arc<Node>, cx: &Context) -> Result<Action, ReconcileError> {
        self.leases.synced().await;
        self.pods.synced().await;
        let (key, now) = (node.key(), time::now());
        let mut view = NodeView::from(&*node);
        let left = self.hear(&key, &view, now).time_left(&view, now);
        let mut again = left;
        if left.is_zero()
            && let Some(conditions) = overdue(&view, now)
        {
            tracing::warn!(kind = "Node", name = key.name(), "not heard of any more");
            // The write is the node's own change: it brings us back here.
            write_conditions(cx.client(), &node, &conditions).await?;
            let message = format!("Node {} status is now: NodeNotReady", key.name());
            self.recorder.normal(&reference(&*node), "NodeNotReady", message);
            return Ok(Action::done());
        }
        if let Some(taints) = taints(&view, || self.all_down(), now) {
            write_taints(cx.client(), &node, &taints).await?;
            view.taints = taints;
        }
        let ready = view.condition("Ready").map(|ready| ready.status.as_str());
        if ready == Some("Unknown") && left.is_zero() {
            self.mark_pods(cx.client(), &key).await?;
        }
        if ready.is_some_and(|ready| ready != "True") {
            // What is done about it depends on the other nodes too.
            again = shorter(again, MONITOR_PERIOD);
        }
        if view.taints.iter().any(|taint| taint.effect == "NoExecute") {
            let next = self.evict(cx.client(), &key, &view.taints, now).await?;
            again = shorter(again, next);
        }
        // A silent node is looked at again when something changes, or the next pod's time has come.
        Ok(if again.is_zero() {
            Action::done()
        } else {
            Action::requeue_after(again)
        })
    }

    async fn gone(&self, key: &ObjectKey, _: &Context) {
        self.health.lock().remove(key);
    }
}

/// The shorter of two waits, of which zero means none.
fn shorter(one: Duration, other: Duration) -> Duration {
    match (one.is_zero(), other.is_zero()) {
        (true, _) => other,
        (_, true) => one,
        _ => one.min(other),
    }
}

impl NodeLifecycle {
    fn hear(&self, node: &ObjectKey, view: &NodeView, now: Timestamp) -> Health {
        let lease = self.leases.get(&ObjectKey::new(Some(LEASES), node.name()));
        let renewed = lease.and_then(|lease| renewed(&lease));
        let mut all = self.health.lock();
        let health = Health::hear(all.remove(node), renewed, view.heartbeat(), now);
        all.insert(node.clone(), health.clone());
        health
    }

    /// Whether no node is ready.
    fn all_down(&self) -> bool {
        let mut ready = false;
        self.nodes.for_each(|_, node| ready |= is_ready(node));
        !ready
    }

    /// Says of the pods on a silent node that they are not ready. A node that renews its lease also says what its pods
    /// are, and would say it again: two writers of one condition never come to rest.
    async fn mark_pods(&self, client: &Client, node: &ObjectKey) -> Result<(), ApiError> {
        let mut pods = self.pods.by_index(NODE, node.name());
        pods.retain(|pod| pod.ready);
        if pods.is_empty() || self.has_spoken(client, node).await? {
            return Ok(());
        }
        for pod in &pods {
            let condition = PodCondition {
                type_: "Ready",
                status: "False",
                reason: "NodeNotReady",
                message: format!("node {} is not ready", node.name()),
            };
            ignore_gone(set_pod_condition(client, &key_of(pod), &pod.uid, &condition).await)?;
        }
        Ok(())
    }

    /// Whether the store has a newer sign of life than was heard of here: news may be late.
    async fn has_spoken(&self, client: &Client, node: &ObjectKey) -> Result<bool, ApiError> {
        let lease = client.api::<Lease>(LEASES).get_opt(node.name()).await?;
        let health = self.health.lock();
        let heard = health.get(node).and_then(Health::renewed);
        Ok(lease.is_some_and(|lease| renewed(&lease) != heard))
    }

    /// Deletes the pods that do not tolerate the node's taints, or not any longer; says how long until the next
    /// one's time has come, zero if there is none.
    async fn evict(
        &self,
        client: &Client,
        node: &ObjectKey,
        taints: &[Taint],
        now: Timestamp,
    ) -> Result<Duration, ApiError> {
        let mut next = Duration::ZERO;
        let pods = self.pods.by_index(NODE, node.name());
        for pod in pods.iter().filter(|pod| pod.is_active()) {
            let target = Target {
                resource: Arc::clone(&self.pod_resource),
                key: key_of(pod),
            };
            let document = match client.backend().get(&target).await {
                Ok(document) if document.meta().uid == *pod.uid => document,
                Ok(_) | Err(ApiError::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            let spec: WireSpec = part(&document, "spec").unwrap_or_default();
            match eviction(taints, &spec.tolerations.unwrap_or_default(), now) {
                Eviction::Never => {}
                Eviction::In(left) if left.is_zero() => self.evict_pod(client, &target, pod, node).await?,
                Eviction::In(left) => next = shorter(next, left),
            }
        }
        Ok(next)
    }

    async fn evict_pod(
        &self,
        client: &Client,
        target: &Target,
        pod: &PodView,
        node: &ObjectKey,
    ) -> Result<(), ApiError> {
        let (namespace, name) = (&*pod.namespace, &*pod.name);
        tracing::info!(
            kind = "Pod",
            namespace,
            name,
            node = node.name(),
            "evicted: its node is tainted"
        );
        let message = format!("Marking for deletion Pod {namespace}/{name}");
        self.recorder
            .normal(&pod.reference(), "TaintManagerEviction", message);
        let condition = PodCondition {
            type_: "DisruptionTarget",
            status: "True",
            reason: "DeletionByTaintManager",
            message: "Taint manager: deleting due to NoExecute taint".to_owned(),
        };
        ignore_gone(set_pod_condition(client, &target.key, &pod.uid, &condition).await)?;
        let params = DeleteParams::default().uid(&*pod.uid);
        ignore_gone(client.backend().delete(target, &params).await.map(drop))
    }
}

fn renewed(lease: &Lease) -> Option<Timestamp> {
    Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)
}

#[derive(Default, Deserialize)]
struct WireSpec {
    tolerations: Option<Vec<Toleration>>,
}

fn key_of(pod: &PodView) -> ObjectKey {
    ObjectKey::new(Some(&pod.namespace), &pod.name)
}

/// The pod is gone, or another has its name: either way nothing is left to do.
fn ignore_gone(outcome: Result<(), ApiError>) -> Result<(), ApiError> {
    match outcome {
        Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(()),
        outcome => outcome,
    }
}

/// Writes the conditions, unless the node has spoken meanwhile.
async fn write_conditions(
    client: &Client,
    node: &Node,
    conditions: &[NodeCondition],
) -> Result<(), ApiError> {
    let patch = json!({"metadata": precondition(node), "status": {"conditions": conditions}});
    write(client, node, Part::Status, patch).await
}

async fn write_taints(client: &Client, node: &Node, taints: &[Taint]) -> Result<(), ApiError> {
    let patch = json!({"metadata": precondition(node), "spec": {"taints": taints}});
    write(client, node, Part::Whole, patch).await
}

fn precondition(node: &Node) -> serde_json::Value {
    json!({"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version})
}

async fn write(
    client: &Client,
    node: &Node,
    part: Part<'_>,
    patch: serde_json::Value,
) -> Result<(), ApiError> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let written = client
        .all::<Node>()
        .patch_part(name, part, &Patch::Merge(patch))
        .await;
    match written {
        Ok(_) | Err(ApiError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
