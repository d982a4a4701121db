//! What containers use.

use jiff::Timestamp;
use orch_core::runtime::{ContainerId, ContainerStats, InterfaceStats, RuntimeError};

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
    let network = sandbox.filter(|stats| !stats.networks.is_empty()).map(|stats| {
        let told = |(name, traffic): (&String, &wire::Traffic)| InterfaceStats {
            name: name.clone(),
            rx_bytes: traffic.rx_bytes,
            rx_errors: traffic.rx_errors,
            tx_bytes: traffic.tx_bytes,
            tx_errors: traffic.tx_errors,
        };
        stats.networks.iter().map(told).collect()
    });
    ContainerStats {
        at,
        cpu_nanos: own.cpu_stats.cpu_usage.total_usage,
        memory_working_set_bytes: memory.usage.saturating_sub(reclaimable),
        memory_rss_bytes: of(["total_rss", "anon"]),
        pids: own.pids_stats.current,
        network,
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
                r#"{"networks":{"eth1":{"rx_bytes":10,"rx_errors":3,"rx_dropped":7,"tx_bytes":20,"tx_errors":4},"eth0":{"rx_bytes":1,"tx_bytes":2}}}"#,
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
            assert_eq!(told.pids, Some(3));
            let interface = |name: &str, numbers: [u64; 4]| InterfaceStats {
                name: name.into(),
                rx_bytes: numbers[0],
                rx_errors: numbers[1],
                tx_bytes: numbers[2],
                tx_errors: numbers[3],
            };
            let both = [interface("eth0", [1, 0, 2, 0]), interface("eth1", [10, 3, 20, 4])];
            assert_eq!(told.network.as_deref(), Some(&both[..]));
        }
    }

    #[test]
    fn a_container_on_the_machines_network_has_no_traffic_of_its_own() {
        let told = told(
            &stats("{}"),
            Some(&stats(r#"{"networks":null}"#)),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(told.network, None);
    }
}
