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
    /// Bytes received by the sandbox's network.
    pub network_rx_bytes: Option<u64>,
    /// Bytes sent by the sandbox's network.
    pub network_tx_bytes: Option<u64>,
}
