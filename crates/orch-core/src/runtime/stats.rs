//! What a container uses.

use jiff::Timestamp;

/// What a container used, read at one moment. Fields a runtime cannot measure are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// When it was read.
    pub at: Timestamp,
    /// Processor time used since the start, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory that cannot be reclaimed under pressure (Kubernetes' working set), in bytes.
    pub memory_working_set_bytes: u64,
    /// Anonymous memory, in bytes.
    pub memory_rss_bytes: Option<u64>,
    /// Processes (or threads, where the kernel counts those).
    pub pids: Option<u64>,
    /// What has gone through each interface of its sandbox's network, but for the loopback: of all its containers, for they
    /// have it in common. None on the machine's network (CRI: `PodSandboxStats.linux.network.interfaces`).
    pub network: Option<Vec<InterfaceStats>>,
}

/// What has gone through a network interface since it was made (CRI: `NetworkInterfaceUsage`; Linux:
/// `rtnl_link_stats64`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStats {
    /// Its name in the sandbox, `eth0`.
    pub name: String,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Packets that came and could not be received.
    pub rx_errors: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
}
