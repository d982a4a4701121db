//! What containers use, as their control groups have it.

use std::io;

use orch_core::runtime::{ContainerId, ContainerStats, RuntimeError};
use orch_core::time;

use crate::NAME;
use crate::cgroup::is_gone;
use crate::container::Cell;
use crate::driver::Driver;
use crate::runtime::blocking;

impl Driver {
    pub(crate) async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let cell = self.cell(id)?;
        blocking(move || cell.stats()).await?
    }
}

impl Cell {
    /// Reads files.
    fn stats(&self) -> Result<ContainerStats, RuntimeError> {
        self.must_run()?;
        let usage = match self.ground.hierarchies.group(&self.group()).usage() {
            Err(error) if is_gone(&error) => {
                // It ended meanwhile: its group is removed once that is written down.
                self.must_run()?;
                Err(error)
            }
            usage => usage,
        };
        let failed = |error: io::Error| self.failed("reading the control groups of", error);
        let usage = usage.map_err(failed)?.ok_or(RuntimeError::Unsupported {
            runtime: NAME,
            what: "telling what containers use on a machine without the control groups cpuacct and memory",
        })?;
        Ok(ContainerStats {
            at: time::now(),
            cpu_nanos: usage.cpu_nanos,
            memory_working_set_bytes: usage.working_set,
            memory_rss_bytes: usage.anonymous,
            pids: usage.pids,
            // It is on the machine's own.
            network_rx_bytes: None,
            network_tx_bytes: None,
        })
    }
}
