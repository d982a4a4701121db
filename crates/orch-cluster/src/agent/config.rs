//! What a node agent is told about itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{NodeAddress, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::random::Random;

/// How an [`Agent`](super::Agent) behaves. The defaults are the kubelet's.
///
/// ```
/// use orch_cluster::agent::AgentConfig;
///
/// let config = AgentConfig::new("node-1").label("zone", "a").capacity("cpu", "4").capacity("memory", "8Gi");
/// assert_eq!(config.max_pods, 110);
/// assert_eq!(config.labels["kubernetes.io/hostname"], "node-1");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The name of the Node object, which pods' `spec.nodeName` names.
    pub node_name: String,
    /// What tells this cluster's containers from those of others on the same runtime; none: the uid of the
    /// namespace `kube-system`, which lives as long as the store does. Give one where the store does not outlive
    /// the process: left-over containers of a cluster that nobody knows any more are nobody's to remove.
    pub cluster_id: Option<String>,
    /// Labels the Node gets; those others put there stay.
    pub labels: BTreeMap<String, String>,
    /// Taints the Node gets when the agent creates it.
    pub taints: Vec<Taint>,
    /// What the machine has, by resource name. `cpu` and `memory` are read from the machine unless given
    /// here; `pods` is [`max_pods`](Self::max_pods).
    pub capacity: BTreeMap<String, Quantity>,
    /// What is kept back from pods, by resource name: allocatable is capacity less this.
    pub reserved: BTreeMap<String, Quantity>,
    /// How many pods the node takes.
    pub max_pods: u32,
    /// The node's addresses; empty: its host name and loopback.
    pub addresses: Vec<NodeAddress>,
    /// How long the node counts as alive after its Lease was last renewed.
    pub lease_duration: Duration,
    /// How often the Lease is renewed.
    pub lease_interval: Duration,
    /// How often the node's own state is looked at; it is written only if it changed.
    pub node_status_interval: Duration,
    /// How often it is written although nothing changed.
    pub node_report_interval: Duration,
    /// How long a container that keeps ending waits before its next start.
    pub crash_backoff: Backoff,
    /// How long a failed pull waits before the next.
    pub image_backoff: Backoff,
    /// How long a failed sandbox or a container that could not be made waits before the next try.
    pub retry_backoff: Backoff,
    /// How often everything in the runtime is listed and compared, hints or not.
    pub relist_interval: Duration,
    /// How long a pod's status may wait for more changes while work on the pod goes on.
    pub status_settle: Duration,
    /// How many pods may make sandboxes or start containers at one time.
    pub start_parallelism: usize,
    /// How many images may be pulled at one time.
    pub pull_parallelism: usize,
    /// How many probes may run at one time.
    pub probe_parallelism: usize,
    /// Name servers for pods with `dnsPolicy: ClusterFirst`; empty: the machine's own.
    pub cluster_dns: Vec<IpAddr>,
    /// The domain under which the cluster's names live.
    pub cluster_domain: String,
    /// Below which pods' volumes are made, in a directory for each cluster, node and pod, which nobody else may
    /// enter; none: `/var/lib/orch/volumes` for root, `orch/volumes` in the user's state directory
    /// (`$XDG_STATE_HOME`, `~/.local/state`) for others.
    pub volumes_dir: Option<PathBuf>,
    /// Below which `localhostProfile` of a pod's `seccompProfile` is looked for; `/var/lib/kubelet/seccomp`, as the
    /// kubelet's.
    pub seccomp_dir: PathBuf,
    /// Where jitter comes from; none: the cluster's source ([`ClusterBuilder::random`]), or the operating system's.
    ///
    /// [`ClusterBuilder::random`]: crate::cluster::ClusterBuilder::random
    pub random: Option<Random>,
}

impl AgentConfig {
    /// The defaults for a node of that name.
    pub fn new(node_name: impl Into<String>) -> Self {
        let node_name = node_name.into();
        let labels = [
            ("kubernetes.io/hostname", node_name.as_str()),
            ("kubernetes.io/os", std::env::consts::OS),
            ("kubernetes.io/arch", go_arch(std::env::consts::ARCH)),
        ];
        Self {
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            volumes_dir: None,
            seccomp_dir: "/var/lib/kubelet/seccomp".into(),
            node_name,
            cluster_id: None,
            taints: Vec::new(),
            capacity: BTreeMap::new(),
            reserved: BTreeMap::new(),
            max_pods: 110,
            addresses: Vec::new(),
            lease_duration: Duration::from_secs(40),
            lease_interval: Duration::from_secs(10),
            node_status_interval: Duration::from_secs(10),
            node_report_interval: Duration::from_secs(300),
            crash_backoff: Backoff::new(10, 300),
            image_backoff: Backoff::new(10, 300),
            retry_backoff: Backoff::new(1, 60),
            relist_interval: Duration::from_secs(10),
            status_settle: Duration::from_millis(100),
            start_parallelism: 16,
            pull_parallelism: 4,
            probe_parallelism: 64,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            random: None,
        }
    }

    /// Says which cluster this is, rather than let the store's namespace `kube-system` say it.
    #[must_use]
    pub fn cluster_id(mut self, id: impl Into<String>) -> Self {
        self.cluster_id = Some(id.into());
        self
    }

    /// Adds a label to the Node.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Says how much of a resource the machine has.
    #[must_use]
    pub fn capacity(mut self, resource: impl Into<String>, quantity: impl Into<String>) -> Self {
        self.capacity.insert(resource.into(), Quantity(quantity.into()));
        self
    }

    /// Adds an address, of a type as Kubernetes names them: `InternalIP`, `ExternalIP`, `Hostname`.
    #[must_use]
    pub fn address(mut self, type_: impl Into<String>, address: impl Into<String>) -> Self {
        self.addresses.push(NodeAddress {
            type_: type_.into(),
            address: address.into(),
        });
        self
    }

    /// Makes pods' volumes below this directory. Several nodes, clusters and programs may share it.
    #[must_use]
    pub fn volumes_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.volumes_dir = Some(directory.into());
        self
    }

    /// Takes profiles of system calls from this directory.
    #[must_use]
    pub fn seccomp_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.seccomp_dir = directory.into();
        self
    }

    /// Draws jitter from `random`, for histories that repeat.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// The address pods on the machine's network are reached under.
    pub(crate) fn host_ip(&self) -> IpAddr {
        self.addresses
            .iter()
            .filter(|address| address.type_ == "InternalIP")
            .find_map(|address| address.address.parse().ok())
            .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
    }
}

/// A delay that doubles with each failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first delay. The kubelet restarts a container at once the first time, and waits this long before
    /// the second restart.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// After so long without a failure counting starts anew.
    pub reset_after: Duration,
}

impl Backoff {
    /// From `initial` to `max` seconds, forgotten after twice the maximum (the rule of client-go's
    /// `flowcontrol.Backoff`, hence of the kubelet).
    pub fn new(initial: u64, max: u64) -> Self {
        Self {
            initial: Duration::from_secs(initial),
            max: Duration::from_secs(max),
            reset_after: Duration::from_secs(max * 2),
        }
    }

    /// The delay after one of `previous`; after none, the first.
    pub fn next(&self, previous: Duration) -> Duration {
        if previous.is_zero() {
            self.initial.min(self.max)
        } else {
            previous.saturating_mul(2).min(self.max)
        }
    }
}

/// Kubernetes labels architectures as Go names them.
pub(crate) fn go_arch(arch: &'static str) -> &'static str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_maximum() {
        let backoff = Backoff::new(10, 300);
        let mut delay = Duration::ZERO;
        let seconds: Vec<u64> = (0..7)
            .map(|_| {
                delay = backoff.next(delay);
                delay.as_secs()
            })
            .collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
    }
}
