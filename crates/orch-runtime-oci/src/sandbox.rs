//! Sandboxes: so far what a pod's containers have in common is the machine's network, and two files about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use orch_core::runtime::{RuntimeError, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState};

use crate::invalid;
use crate::record::{self, SandboxRecord};

/// A sandbox of ours.
pub(crate) struct Pod {
    pub(crate) id: SandboxId,
    pub(crate) dir: PathBuf,
    pub(crate) record: SandboxRecord,
    stopped: AtomicBool,
}

impl Pod {
    pub(crate) fn new(id: SandboxId, dir: PathBuf, record: SandboxRecord) -> Self {
        let stopped = AtomicBool::new(dir.join("stopped").exists());
        Self {
            id,
            dir,
            record,
            stopped,
        }
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(crate) fn stop(&self) -> io::Result<()> {
        fs::write(self.dir.join("stopped"), "")?;
        self.stopped.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.dir.join("resolv.conf")
    }

    pub(crate) fn matches(&self, filter: &SandboxFilter) -> bool {
        filter.id.as_ref().is_none_or(|id| *id == self.id)
            && filter
                .pod_uid
                .as_ref()
                .is_none_or(|uid| *uid == self.record.config.uid)
    }

    pub(crate) fn seen(&self) -> Sandbox {
        let config = &self.record.config;
        Sandbox {
            id: self.id.clone(),
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            uid: config.uid.clone(),
            attempt: config.attempt,
            state: if self.stopped() {
                SandboxState::NotReady
            } else {
                SandboxState::Ready
            },
            ips: Vec::new(),
            created_at: self.record.created_at,
            labels: config.labels.clone().into(),
            annotations: config.annotations.clone().into(),
        }
    }
}

/// Refuses what cannot be done here.
pub(crate) fn check(config: &SandboxConfig) -> Result<(), RuntimeError> {
    let network = "the oci runtime has pods on the machine's network only, so far";
    if let Some(port) = config
        .host_ports
        .iter()
        .find(|port| port.host_port != port.container_port)
    {
        let reason = format!(
            "{}: {network}; {} is to lead to it",
            port.host_port, port.container_port
        );
        return Err(invalid("host_ports", reason));
    }
    if config.share_process_namespace {
        let reason =
            "the oci runtime gives each container its own processes, or shows it the machine's (host_pid)";
        return Err(invalid("share_process_namespace", reason));
    }
    match config.sysctls.keys().next() {
        Some(name) => Err(invalid(
            "sysctls",
            format!("{name}: {network}, and would change the machine's"),
        )),
        None => Ok(()),
    }
}

/// Writes a new sandbox down.
pub(crate) fn fill(dir: &Path, record: &SandboxRecord) -> io::Result<()> {
    let of_machine = |path: &str| fs::read_to_string(path).unwrap_or_default();
    fs::write(
        dir.join("hosts"),
        hosts(&record.config, &of_machine("/etc/hosts")),
    )?;
    fs::write(
        dir.join("resolv.conf"),
        resolv_conf(&record.config, &of_machine("/etc/resolv.conf")),
    )?;
    record::write(&dir.join("sandbox.json"), record)
}

fn hosts(config: &SandboxConfig, machine: &str) -> String {
    let mut text = machine.trim_end().to_owned() + "\n";
    for (address, names) in &config.host_aliases {
        text += &format!("{address}\t{}\n", names.join("\t"));
    }
    text
}

fn resolv_conf(config: &SandboxConfig, machine: &str) -> String {
    if config.dns_servers.is_empty() && config.dns_searches.is_empty() && config.dns_options.is_empty() {
        return machine.to_owned();
    }
    let mut text: String = config
        .dns_servers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    for (word, values) in [("search", &config.dns_searches), ("options", &config.dns_options)] {
        if !values.is_empty() {
            text += &format!("{word} {}\n", values.join(" "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::{HostPort, Protocol};

    use super::*;

    #[test]
    fn files_about_the_network_are_the_machines_with_what_was_asked_for() {
        let mut config = SandboxConfig::default();
        assert_eq!(
            resolv_conf(&config, "nameserver 9.9.9.9\n"),
            "nameserver 9.9.9.9\n"
        );
        config.dns_servers = vec!["10.0.0.1".parse().unwrap()];
        config.dns_searches = vec!["a.example".into(), "b.example".into()];
        config.dns_options = vec!["ndots:5".into()];
        let expected = "nameserver 10.0.0.1\nsearch a.example b.example\noptions ndots:5\n";
        assert_eq!(resolv_conf(&config, "nameserver 9.9.9.9\n"), expected);
        config.host_aliases = vec![("10.1.2.3".parse().unwrap(), vec!["db".into(), "cache".into()])];
        assert_eq!(
            hosts(&config, "127.0.0.1 localhost"),
            "127.0.0.1 localhost\n10.1.2.3\tdb\tcache\n"
        );
    }

    #[test]
    fn what_needs_a_network_or_processes_in_common_is_refused() {
        let port = |host_port| HostPort {
            host_ip: None,
            host_port,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let fine = SandboxConfig::default();
        let sysctls = [("net.core.somaxconn".to_owned(), "9".to_owned())].into();
        for (config, expected) in [
            (fine.clone(), None),
            (
                SandboxConfig {
                    host_network: true,
                    host_pid: true,
                    ..fine.clone()
                },
                None,
            ),
            (
                SandboxConfig {
                    host_ports: vec![port(80)],
                    ..fine.clone()
                },
                None,
            ),
            (
                SandboxConfig {
                    host_ports: vec![port(8080)],
                    ..fine.clone()
                },
                Some("host_ports"),
            ),
            (
                SandboxConfig {
                    share_process_namespace: true,
                    ..fine.clone()
                },
                Some("share_process_namespace"),
            ),
            (SandboxConfig { sysctls, ..fine }, Some("sysctls")),
        ] {
            let refused = match check(&config) {
                Err(RuntimeError::InvalidConfig { field, .. }) => Some(field),
                other => other.map(|()| None).unwrap(),
            };
            assert_eq!(refused.as_deref(), expected);
        }
    }
}
