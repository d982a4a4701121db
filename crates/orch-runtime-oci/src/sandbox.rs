//! One sandbox: what it is, and whether containers can run in it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use orch_core::runtime::{RuntimeError, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState};
use parking_lot::Mutex;

use crate::namespaces::{Kind, Shared};
use crate::record::{self, Net, SandboxRecord};
use crate::{etc, invalid};

/// A sandbox of ours.
pub(crate) struct Pod {
    pub(crate) id: SandboxId,
    pub(crate) dir: PathBuf,
    pub(crate) record: SandboxRecord,
    pub(crate) shared: Shared,
    phase: Mutex<Phase>,
    /// It is readied, or taken down, by one at a time.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is written down, and nothing else of it is sure to be there.
    Made,
    /// With its addresses.
    Ready(Vec<IpAddr>),
    /// Something that its containers share has gone.
    Lost,
    Stopped,
}

impl Pod {
    /// As its directory has it; whether what it shares is there is another question.
    pub(crate) fn read(id: SandboxId, dir: PathBuf, record: SandboxRecord, all: &Path) -> io::Result<Self> {
        let phase = match record::read::<Net>(&dir.join("net.json"))? {
            _ if dir.join("stopped").exists() => Phase::Stopped,
            Some(net) => Phase::Ready(net.ips),
            None => Phase::Made,
        };
        Ok(Self {
            shared: Shared::new(all, &id, kinds(&record.config)),
            id,
            dir,
            record,
            phase: Mutex::new(phase),
            gate: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Ready(_))
    }

    /// All is there. Unless it was stopped meanwhile, containers can run in it.
    pub(crate) fn ready(&self, ips: Vec<IpAddr>) -> io::Result<()> {
        let net = Net { ips };
        record::write(&self.dir.join("net.json"), &net)?;
        let mut phase = self.phase.lock();
        if *phase == Phase::Made {
            *phase = Phase::Ready(net.ips);
        }
        Ok(())
    }

    /// Something that its containers share has gone: no more are to run in it.
    pub(crate) fn lose(&self) {
        let mut phase = self.phase.lock();
        if *phase != Phase::Stopped {
            *phase = Phase::Lost;
        }
    }

    pub(crate) fn stop(&self) -> io::Result<()> {
        fs::write(self.dir.join("stopped"), "")?;
        *self.phase.lock() = Phase::Stopped;
        Ok(())
    }

    pub(crate) fn failed(&self, what: &str, error: io::Error) -> RuntimeError {
        RuntimeError::failed(format!("{what} sandbox {}", self.id), error)
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
        let (state, ips) = match self.phase() {
            Phase::Ready(ips) => (SandboxState::Ready, ips),
            _ => (SandboxState::NotReady, Vec::new()),
        };
        Sandbox {
            id: self.id.clone(),
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            uid: config.uid.clone(),
            attempt: config.attempt,
            state,
            ips,
            created_at: self.record.created_at,
            labels: config.labels.clone().into(),
            annotations: config.annotations.clone().into(),
        }
    }
}

/// What its containers share. On the machine's network, asked for, they have the machine's name.
pub(crate) fn kinds(config: &SandboxConfig) -> Vec<Kind> {
    let mut kinds = vec![Kind::Ipc];
    if !config.host_network {
        kinds.push(Kind::Uts);
    }
    kinds
}

/// Refuses what cannot be done here.
pub(crate) fn check(config: &SandboxConfig) -> Result<(), RuntimeError> {
    // The kernel's bound.
    if config.hostname.len() > 64 {
        let reason = format!(
            "{:?} has {} bytes, and 64 are allowed",
            config.hostname,
            config.hostname.len()
        );
        return Err(invalid("hostname", reason));
    }
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
    let hosts = etc::hosts(&record.config, &of_machine("/etc/hosts"));
    fs::write(dir.join("hosts"), hosts)?;
    let resolv_conf = etc::resolv_conf(&record.config, &of_machine("/etc/resolv.conf"));
    fs::write(dir.join("resolv.conf"), resolv_conf)?;
    record::write(&dir.join("sandbox.json"), record)
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::{HostPort, Protocol};

    use super::*;

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
