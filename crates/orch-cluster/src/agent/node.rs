//! The agent's Node and Lease: what the machine is, whether it works, and that it is alive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use orch_core::client::{ApiError, Patch, retry_on_conflict};
use orch_core::delays::Delays;
use orch_core::runtime::RuntimeStatus;
use orch_core::time;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::config::AgentConfig;
use super::machine;
use super::qos::{milli, value};
use super::shared::Shared;
use super::status::time as object_time;
use crate::kinds::pod::resource::huge_page_size;

/// Where the Leases of nodes live.
pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";
/// How long to wait before trying again, at first and at most.
const RETRY: Delays = Delays::new(Duration::from_millis(200), Duration::from_secs(10));

/// What the node has, by resource name.
pub(crate) fn capacity(config: &AgentConfig) -> BTreeMap<String, Quantity> {
    let mut capacity = BTreeMap::new();
    if !config.capacity.contains_key("cpu") || !config.capacity.contains_key("memory") {
        capacity = machine::capacity();
    }
    capacity.extend(config.capacity.clone());
    capacity.insert("pods".to_owned(), Quantity(config.max_pods.to_string()));
    capacity
}

/// What pods may use: capacity less what is reserved.
pub(crate) fn allocatable(
    config: &AgentConfig,
    capacity: &BTreeMap<String, Quantity>,
) -> BTreeMap<String, Quantity> {
    let less = |name: &String, all: &Quantity| {
        let Some(reserved) = config.reserved.get(name) else {
            return all.clone();
        };
        let parse = |quantity: &Quantity| orch_core::object::Quantity::try_from(quantity).ok();
        match (parse(all), parse(reserved)) {
            (Some(all), Some(reserved)) if reserved <= all => Quantity((all - reserved).to_string()),
            _ => Quantity("0".to_owned()),
        }
    };
    let mut allocatable: BTreeMap<_, _> = capacity
        .iter()
        .map(|(name, all)| (name.clone(), less(name, all)))
        .collect();
    // What is in huge pages is no memory for anything else.
    let parse = |quantity: &Quantity| orch_core::object::Quantity::try_from(quantity).ok();
    let pages = capacity.iter().filter(|(name, _)| huge_page_size(name).is_some());
    for pages in pages.filter_map(|(_, amount)| parse(amount)).collect::<Vec<_>>() {
        if let Some(memory) = allocatable.get_mut("memory") {
            let left = parse(memory)
                .filter(|memory| pages <= *memory)
                .map(|memory| memory - pages);
            *memory = left.map_or_else(|| Quantity("0".to_owned()), |left| Quantity(left.to_string()));
        }
    }
    allocatable
}

/// The same in thousandths, for reckoning.
pub(crate) fn millis(resources: &BTreeMap<String, Quantity>) -> BTreeMap<String, u64> {
    let of = |quantity| milli(quantity).or_else(|| value(quantity).map(|value| value.saturating_mul(1000)));
    resources
        .iter()
        .filter_map(|(name, quantity)| Some((name.clone(), of(quantity)?)))
        .collect()
}

/// Registers the node, then keeps its status and its Lease, for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let keeper = Keeper {
        capacity: capacity(&shared.config),
        shared,
        looked_at: Mutex::default(),
    };
    let mut retry = RETRY;
    loop {
        match keeper.register().await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(node = keeper.name(), %error, "the node could not be registered, trying again");
                retry.wait().await;
            }
        }
    }
    let config = &keeper.shared.config;
    let lease = async {
        // Many agents that start together renew apart from each other.
        let random = config.random.clone().unwrap_or_default();
        let jitter = config.lease_interval.mul_f64(random.fraction());
        keeper.renew_or_warn().await;
        tokio::time::sleep(jitter).await;
        loop {
            keeper.renew_or_warn().await;
            tokio::time::sleep(config.lease_interval).await;
        }
    };
    let status = async {
        let mut written_at = Instant::now();
        loop {
            tokio::time::sleep(config.node_status_interval).await;
            match keeper.report(written_at).await {
                Ok(true) => written_at = Instant::now(),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(node = keeper.name(), %error, "the node's status could not be written");
                }
            }
        }
    };
    tokio::join!(lease, status);
}

struct Keeper {
    shared: Arc<Shared>,
    capacity: BTreeMap<String, Quantity>,
    /// The Node's resource version and what the runtime said, when there was nothing to report of them. There is nothing as
    /// long as they are the same, but for a new name of the machine: that can wait until the status is written anyway, which it
    /// is once in each `node_report_interval`.
    looked_at: Mutex<Option<(Option<String>, RuntimeStatus)>>,
}

impl Keeper {
    fn name(&self) -> &str {
        &self.shared.config.node_name
    }

    /// Creates the Node, or takes over the one there is, and says how it is.
    async fn register(&self) -> Result<(), ApiError> {
        let nodes = self.shared.client.all::<Node>();
        let config = &self.shared.config;
        let node = match nodes.get_opt(self.name()).await? {
            Some(node) => self.adopt(node).await?,
            None => {
                let node = Node {
                    metadata: ObjectMeta {
                        name: Some(config.node_name.clone()),
                        labels: Some(config.labels.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: (!config.taints.is_empty()).then(|| NodeSpec {
                        taints: Some(config.taints.clone()),
                        ..NodeSpec::default()
                    }),
                    status: None,
                };
                nodes.create(&node).await?
            }
        };
        let before = node.status.unwrap_or_default();
        let status = self.status(&before, &self.shared.runtime.status().await, time::now());
        nodes
            .put_status(self.name(), node.metadata.uid.as_deref(), &status)
            .await
            .map(drop)
    }

    async fn adopt(&self, node: Node) -> Result<Node, ApiError> {
        let labels = &self.shared.config.labels;
        let has = |(key, value): (&String, &String)| {
            node.metadata
                .labels
                .as_ref()
                .is_some_and(|labels| labels.get(key) == Some(value))
        };
        if labels.iter().all(has) {
            return Ok(node);
        }
        let patch = serde_json::json!({ "metadata": { "labels": labels } });
        self.shared
            .client
            .all::<Node>()
            .patch(self.name(), &Patch::Merge(patch))
            .await
    }

    /// Writes the status if the store says another, or was not written for long. Returns whether it wrote.
    ///
    /// What counts is what the store says, not what was written there: somebody may have taken this node for lost.
    async fn report(&self, written_at: Instant) -> Result<bool, ApiError> {
        let runtime = self.shared.runtime.status().await;
        let now = time::now();
        let is_due = written_at.elapsed() >= self.shared.config.node_report_interval;
        let nodes = self.shared.client.all::<Node>();
        retry_on_conflict(async || {
            let Some(mut node) = nodes.get_opt(self.name()).await? else {
                // Somebody deleted it while the machine is here: it comes back.
                return self.register().await.map(|()| true);
            };
            let looked_at = Some((node.metadata.resource_version.clone(), runtime.clone()));
            if !is_due && *self.looked_at.lock() == looked_at {
                return Ok(false);
            }
            // Others write conditions of their own.
            let before = node.status.take().unwrap_or_default();
            let status = self.status(&before, &runtime, now);
            if !is_due && status.eq_but_for_heartbeats(&before) {
                *self.looked_at.lock() = looked_at;
                return Ok(false);
            }
            node.status = Some(status);
            nodes.update_status(&node).await?;
            Ok(true)
        })
        .await
    }

    fn status(&self, before: &NodeStatus, runtime: &RuntimeStatus, now: Timestamp) -> NodeStatus {
        let config = &self.shared.config;
        let mut status = before.clone();
        status.allocatable = Some(allocatable(config, &self.capacity));
        status.capacity = Some(self.capacity.clone());
        status.addresses = Some(addresses(config));
        let fits = |info: &NodeSystemInfo| info.container_runtime_version == runtime_version(self, runtime);
        if !status.node_info.as_ref().is_some_and(fits) {
            status.node_info = Some(machine::node_info(&runtime_version(self, runtime)));
        }
        status.conditions = Some(conditions(before, runtime, now));
        status
    }

    async fn renew_or_warn(&self) {
        if let Err(error) = self.renew().await {
            tracing::warn!(node = self.name(), %error, "the node's lease could not be renewed");
        }
    }

    async fn renew(&self) -> Result<(), ApiError> {
        let leases = self.shared.client.api::<Lease>(LEASE_NAMESPACE);
        let now = MicroTime(time::now());
        let patch = serde_json::json!({ "spec": { "renewTime": now } });
        match leases.patch(self.name(), &Patch::Merge(patch)).await {
            Err(ApiError::NotFound(_)) => {}
            renewed => return renewed.map(drop),
        }
        // The Node may be another than when the agent started: a Lease of one that is gone would be collected. Where
        // there is none, it waits until the node is registered again.
        let Some(node) = self.shared.client.all::<Node>().get_opt(self.name()).await? else {
            return Ok(());
        };
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name().to_owned()),
                namespace: Some(LEASE_NAMESPACE.to_owned()),
                owner_references: Some(vec![OwnerReference {
                    api_version: "v1".to_owned(),
                    kind: "Node".to_owned(),
                    name: self.name().to_owned(),
                    uid: node.metadata.uid.unwrap_or_default(),
                    ..OwnerReference::default()
                }]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name().to_owned()),
                lease_duration_seconds: i32::try_from(self.shared.config.lease_duration.as_secs()).ok(),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        leases.create(&lease).await.map(drop)
    }
}

fn runtime_version(keeper: &Keeper, runtime: &RuntimeStatus) -> String {
    // Kubernetes writes `docker://28.2.2`; the runtime says `docker 28.2.2`.
    let name = keeper.shared.runtime.name();
    let version = runtime
        .version
        .strip_prefix(name)
        .unwrap_or(&runtime.version)
        .trim();
    format!("{name}://{version}")
}

fn addresses(config: &AgentConfig) -> Vec<NodeAddress> {
    if !config.addresses.is_empty() {
        return config.addresses.clone();
    }
    let address = |type_: &str, address: String| NodeAddress {
        type_: type_.to_owned(),
        address,
    };
    let hostname = machine::hostname().unwrap_or_else(|| config.node_name.clone());
    vec![
        address("InternalIP", config.host_ip().to_string()),
        address("Hostname", hostname),
    ]
}

/// The conditions that only the node can know. Of those the kubelet writes about memory, disk and process ids
/// nothing is said, for nothing of the kind is measured; nor is kept what somebody said for want of word from here.
const FROM_THE_NODE: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];

/// The node's own condition, then those of others as they are.
fn conditions(before: &NodeStatus, runtime: &RuntimeStatus, now: Timestamp) -> Vec<NodeCondition> {
    let (status, reason, message) = if runtime.ready {
        let message = "node agent is posting ready status".to_owned();
        ("True", "KubeletReady", message)
    } else {
        let message = runtime.message.clone();
        let message = message.unwrap_or_else(|| "the container runtime is not ready".to_owned());
        ("False", "ContainerRuntimeNotReady", message)
    };
    let old = before.conditions.as_deref().unwrap_or_default();
    let same = old
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == status);
    let ready = NodeCondition {
        last_heartbeat_time: Some(object_time(now)),
        last_transition_time: same
            .and_then(|same| same.last_transition_time.clone())
            .or_else(|| Some(object_time(now))),
        message: Some(message),
        reason: Some(reason.to_owned()),
        status: status.to_owned(),
        type_: "Ready".to_owned(),
    };
    let others = old
        .iter()
        .filter(|condition| !FROM_THE_NODE.contains(&condition.type_.as_str()));
    std::iter::once(ready).chain(others.cloned()).collect()
}

trait EqualButForHeartbeats {
    fn eq_but_for_heartbeats(&self, other: &Self) -> bool;
}

impl EqualButForHeartbeats for NodeStatus {
    fn eq_but_for_heartbeats(&self, other: &Self) -> bool {
        let still = |status: &Self| {
            let mut status = status.clone();
            for condition in status.conditions.iter_mut().flatten() {
                condition.last_heartbeat_time = None;
            }
            status
        };
        still(self) == still(other)
    }
}
