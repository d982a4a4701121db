//! Sandboxes: what the containers of one pod share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Resources;

/// Names a sandbox within its runtime.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(pub String);

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How to make a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid; with `attempt`, the sandbox's identity. Not empty.
    pub uid: String,
    /// Counts the sandboxes made for one pod, from 0.
    pub attempt: u32,
    /// The host name that containers see.
    pub hostname: String,
    /// Share the machine's network rather than have one's own.
    pub host_network: bool,
    /// Share the machine's process ids.
    pub host_pid: bool,
    /// Let the containers see each other's processes.
    pub share_process_namespace: bool,
    /// Give it users of its own (Kubernetes: `hostUsers: false`, KEP-127): its users 0 to 65,535 are 65,536 of the machine
    /// that no other sandbox of the runtime has. Its root is nobody on the machine, and has capabilities over what is the
    /// sandbox's alone. Files of images and of [mounts](super::ContainerConfig::mounts) have the owners that they have on
    /// the machine's disk, in both directions.
    ///
    /// With [`host_network`](Self::host_network) or [`host_pid`](Self::host_pid) it is
    /// [`RuntimeError::InvalidConfig`](super::RuntimeError::InvalidConfig) for that field, without
    /// [`Capabilities::user_namespaces`](super::Capabilities::user_namespaces)
    /// [`RuntimeError::Unsupported`](super::RuntimeError::Unsupported). A runtime that has no network for pods leaves it on the
    /// machine's.
    pub user_namespace: bool,
    /// Machine ports that lead into the sandbox.
    pub host_ports: Vec<HostPort>,
    /// Name servers, search domains and options for `resolv.conf`; empty: the machine's own.
    pub dns_servers: Vec<IpAddr>,
    /// Search domains for `resolv.conf`.
    pub dns_searches: Vec<String>,
    /// Options for `resolv.conf`.
    pub dns_options: Vec<String>,
    /// Extra lines for `/etc/hosts`: an address and its names.
    pub host_aliases: Vec<(IpAddr, Vec<String>)>,
    /// Kernel settings by name, for the sandbox's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Where the control groups of its containers are made, from the runtime's own down: names with `/` between them,
    /// the last of which is the pod's (`burstable/pod3f2a…`); empty: in the runtime's own. It is there for as long as the
    /// sandbox is, or another that asks for the same (CRI: `LinuxPodSandboxConfig.cgroup_parent`).
    ///
    /// A group above those of pods has the processor time, against others, of all pods in it together. Those whose
    /// [`cpu_shares`](Resources::cpu_shares) are the least there is count for nothing.
    pub cgroup_parent: String,
    /// What its containers may use together, whatever each of them may: of the control group that
    /// [`cgroup_parent`](Self::cgroup_parent) names, and only with one. Less memory than
    /// [`Capabilities::memory_limit_min`](super::Capabilities::memory_limit_min) is taken for that.
    pub resources: Resources,
    /// Kept with the sandbox and shown in lists.
    pub labels: BTreeMap<String, String>,
    /// Kept with the sandbox and shown in lists; not for filtering.
    pub annotations: BTreeMap<String, String>,
}

impl SandboxConfig {
    /// The pod, as errors name it: `pod default/web`.
    pub fn pod(&self) -> String {
        format!("pod {}/{}", self.namespace, self.name)
    }

    /// Whether it asks for a control group of its own; see [`Capabilities::pod_groups`](super::Capabilities::pod_groups).
    pub fn wants_group(&self) -> bool {
        !self.cgroup_parent.is_empty() || self.resources != Resources::default()
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
    /// SCTP.
    #[serde(rename = "SCTP")]
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// A machine port that leads to a sandbox port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// The machine's address to listen on; none: all of them.
    pub host_ip: Option<IpAddr>,
    /// The machine's port.
    pub host_port: u16,
    /// The port in the sandbox.
    pub container_port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// Whether a sandbox can hold containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SandboxState {
    /// Containers can be made and run in it.
    Ready,
    /// It ended, or never came up fully; it can only be removed.
    NotReady,
    /// The backend reports a state that this version does not know.
    Unknown,
}

/// A sandbox as the runtime holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: SandboxId,
    /// The pod's name.
    pub name: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's uid.
    pub uid: String,
    /// Which of the pod's sandboxes it is.
    pub attempt: u32,
    /// Whether it can hold containers.
    pub state: SandboxState,
    /// Its addresses, the primary one first; empty while it has none, or on the machine's network.
    pub ips: Vec<IpAddr>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The labels given; shared by all that the runtime says of this sandbox.
    pub labels: Arc<BTreeMap<String, String>>,
    /// The annotations given; shared likewise.
    pub annotations: Arc<BTreeMap<String, String>>,
}

impl Sandbox {
    /// Its primary address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.ips.first().copied()
    }
}

/// Which sandboxes to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Only this one.
    pub id: Option<SandboxId>,
    /// Only those of the pod with this uid.
    pub pod_uid: Option<String>,
}
