//! What containers use, as their control groups have it, and what goes through their pods' networks.

use std::{fs, io};

use orch_core::runtime::{ContainerId, ContainerStats, InterfaceStats, RuntimeError};
use orch_core::time;

use crate::NAME;
use crate::cgroup::is_gone;
use crate::container::Cell;
use crate::driver::Driver;
use crate::namespaces::Kind;
use crate::record::{self, Started};
use crate::runtime::blocking;

impl Driver {
    pub(crate) async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let cell = self.cell(id)?;
        let pod = self.pod(&cell.record.sandbox);
        let own_network = pod.is_some_and(|pod| pod.shared.kinds().contains(&Kind::Net));
        blocking(move || cell.stats(own_network)).await?
    }
}

impl Cell {
    /// Reads files.
    fn stats(&self, own_network: bool) -> Result<ContainerStats, RuntimeError> {
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
            what: "telling what containers use on a machine without the control groups cpuacct and memory"
                .into(),
        })?;
        let network = own_network.then(|| self.interfaces()).transpose()?;
        Ok(ContainerStats {
            at: time::now(),
            cpu_nanos: usage.cpu_nanos,
            memory_working_set_bytes: usage.working_set,
            memory_rss_bytes: usage.anonymous,
            pids: usage.pids,
            network,
        })
    }

    /// What has gone through its pod's interfaces. Reads files.
    fn interfaces(&self) -> Result<Vec<InterfaceStats>, RuntimeError> {
        let read = || {
            let Some(started) = record::read::<Started>(&self.dir.started())? else {
                return Ok(None);
            };
            // Of the network that the process is in, whoever reads it.
            let list = fs::read_to_string(format!("/proc/{}/net/dev", started.pid))?;
            // If it is there still, the number was its own.
            Ok::<_, io::Error>(self.first()?.map(|_| list))
        };
        match read() {
            Ok(Some(list)) => Ok(interfaces(&list)),
            Err(error) if record::is_alive(&self.dir) => {
                Err(self.failed("reading the network statistics of", error))
            }
            // It has just ended.
            _ => Err(self.not_running()),
        }
    }
}

/// Of `/proc/PID/net/dev`: two lines of headings, then for each interface its name and a colon, eight numbers of what was
/// received, bytes, packets and errors first, and eight of what was sent (proc_pid_net(5)).
fn interfaces(list: &str) -> Vec<InterfaceStats> {
    let read = |line: &str| {
        // An alias, which the kernel shows no more, had a colon itself.
        let (name, numbers) = line.rsplit_once(':')?;
        let numbers: Vec<u64> = numbers
            .split_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        let at = |place: usize| numbers.get(place).copied();
        Some(InterfaceStats {
            name: name.trim().to_owned(),
            rx_bytes: at(0)?,
            rx_errors: at(2)?,
            tx_bytes: at(8)?,
            tx_errors: at(10)?,
        })
    };
    let all = list.lines().skip(2).filter_map(read);
    all.filter(|interface| interface.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_but_the_loopback_is_told_of() {
        let list = "Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
            lo:     101       2    3    4    0     0          0         0      101       2    0    0    0     0       0          0\n  \
            eth0: 18446744073709551615 12 13 14 15 16 17 18 21 22 23 24 25 26 27 28\n \
            net1:       1       2\n";
        let expected = InterfaceStats {
            name: "eth0".into(),
            rx_bytes: u64::MAX,
            rx_errors: 13,
            tx_bytes: 21,
            tx_errors: 23,
        };
        assert_eq!(interfaces(list), [expected]);
        assert_eq!(interfaces(""), []);
    }
}
