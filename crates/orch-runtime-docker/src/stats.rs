//! What containers use.

use jiff::Timestamp;
use orch_core::runtime::{ContainerId, ContainerStats, RuntimeError};

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{path, wire};
use crate::state::date;

impl Driver {
    pub(crate) async fn stats(&self, id: &ContainerId) -> Result<ContainerStats, RuntimeError> {
        let known = self.known_container(id).await?;
        // The container has no network of its own; the sandbox's is counted at the sandbox.
        let sandbox = &known.identity.sandbox.0;
        let (own, shared) = futures::join!(self.read_stats(&id.0), self.read_stats(sandbox));
        let own = own.map_err(|fault| match fault {
            fault if fault.is_missing() => self.gone(id),
            fault if fault.is_conflict() => RuntimeError::NotRunning {
                container: id.0.clone(),
            },
            fault => fault.during(format!("reading what container {id} uses")),
        })?;
        // What does not run is not measured, which shows as the year 1.
        let at = date(&own.read).ok_or_else(|| RuntimeError::NotRunning {
            container: id.0.clone(),
        })?;
        Ok(told(&own, shared.ok().as_ref(), at))
    }

    async fn read_stats(&self, id: &str) -> Result<wire::Stats, Fault> {
        // One reading: otherwise the engine takes a second one a second later.
        let query = [("stream", "false"), ("one-shot", "true")];
        self.engine
            .get(&path(&format!("/containers/{id}/stats"), &query))
            .await
    }
}

fn told(own: &wire::Stats, sandbox: Option<&wire::Stats>, at: Timestamp) -> ContainerStats {
    let memory = &own.memory_stats;
    let of = |names: [&str; 2]| names.iter().find_map(|name| memory.stats.get(*name)?.as_u64());
    // cgroup v1's word first; v2 has the second.
    let reclaimable = of(["total_inactive_file", "inactive_file"]).unwrap_or(0);
    let traffic = sandbox.filter(|stats| !stats.networks.is_empty()).map(|stats| {
        let all = || stats.networks.values();
        (
            all().map(|one| one.rx_bytes).sum(),
            all().map(|one| one.tx_bytes).sum(),
        )
    });
    ContainerStats {
        at,
        cpu_nanos: own.cpu_stats.cpu_usage.total_usage,
        memory_working_set_bytes: memory.usage.saturating_sub(reclaimable),
        memory_rss_bytes: of(["total_rss", "anon"]),
        pids: own.pids_stats.current,
        network_rx_bytes: traffic.map(|(rx, _)| rx),
        network_tx_bytes: traffic.map(|(_, tx)| tx),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(json: &str) -> wire::Stats {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn both_generations_of_control_groups_are_understood() {
        for (inactive, anonymous) in [("total_inactive_file", "total_rss"), ("inactive_file", "anon")] {
            let own = stats(&format!(
                r#"{{"read":"2030-01-01T00:00:00Z","cpu_stats":{{"cpu_usage":{{"total_usage":7}}}},"pids_stats":{{"current":3}},
                "memory_stats":{{"usage":1000,"stats":{{"{inactive}":400,"{anonymous}":500,"huge":18446744073709551616}}}}}}"#
            ));
            let sandbox = stats(
                r#"{"networks":{"eth0":{"rx_bytes":1,"tx_bytes":2},"eth1":{"rx_bytes":10,"tx_bytes":20}}}"#,
            );
            let told = told(&own, Some(&sandbox), Timestamp::UNIX_EPOCH);
            assert_eq!(
                (
                    told.cpu_nanos,
                    told.memory_working_set_bytes,
                    told.memory_rss_bytes
                ),
                (7, 600, Some(500))
            );
            assert_eq!(
                (told.pids, told.network_rx_bytes, told.network_tx_bytes),
                (Some(3), Some(11), Some(22))
            );
        }
    }

    #[test]
    fn a_container_on_the_machines_network_has_no_traffic_of_its_own() {
        let told = told(
            &stats("{}"),
            Some(&stats(r#"{"networks":null}"#)),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!((told.network_rx_bytes, told.network_tx_bytes), (None, None));
    }
}
