//! One sandbox: what it is, and whether containers can run in it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use orch_core::runtime::{
    EventHub, Resources, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig, SandboxFilter, SandboxId,
    SandboxState,
};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::launch::{self, Process};
use crate::marks::Marks;
use crate::namespaces::{Kind, Shared};
use crate::options::Network;
use crate::record::{self, Net, SandboxRecord};
use crate::runtime::blocking;
use crate::spec::hostname;
use crate::{etc, invalid, pause, sysctl};

/// The file that says what the containers of a sandbox may use together, once that was changed.
const RESOURCES: &str = "resources.json";

/// A sandbox of ours.
pub(crate) struct Pod {
    pub(crate) id: SandboxId,
    pub(crate) dir: PathBuf,
    pub(crate) record: SandboxRecord,
    pub(crate) shared: Shared,
    /// What connects it; none on the machine's network.
    pub(crate) network: Option<Network>,
    phase: Mutex<Phase>,
    /// What its containers may use together now; the record says what was asked for when it was made.
    resources: Mutex<Resources>,
    detached: AtomicBool,
    /// Who waits for the end of its first process, where it has one of its own.
    watcher: Mutex<Option<AbortHandle>>,
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
    pub(crate) fn read(
        id: SandboxId,
        dir: PathBuf,
        record: SandboxRecord,
        all: &Path,
        network: Option<&Network>,
    ) -> io::Result<Self> {
        let phase = match record::read::<Net>(&dir.join("net.json"))? {
            _ if dir.join("stopped").exists() => Phase::Stopped,
            Some(net) => Phase::Ready(net.ips),
            None => Phase::Made,
        };
        let changed: Option<Resources> = record::read(&dir.join(RESOURCES))?;
        Ok(Self {
            resources: Mutex::new(changed.unwrap_or_else(|| record.config.resources.clone())),
            shared: Shared::new(
                all,
                &id,
                kinds(&record.config, record.network.is_some()),
                record.users,
            ),
            network: network.filter(|_| record.network.is_some()).cloned(),
            detached: AtomicBool::new(false),
            watcher: Mutex::default(),
            id,
            dir,
            record,
            phase: Mutex::new(phase),
            gate: tokio::sync::Mutex::default(),
        })
    }

    /// What its containers may use together.
    pub(crate) fn resources(&self) -> Resources {
        self.resources.lock().clone()
    }

    /// Writes down that it is this now.
    pub(crate) fn set_resources(&self, resources: Resources) -> io::Result<()> {
        let mut now = self.resources.lock();
        record::write(&self.dir.join(RESOURCES), &resources)?;
        *now = resources;
        Ok(())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.phase.lock(), Phase::Ready(_))
    }

    /// What its containers share is known by, as it was written down.
    pub(crate) fn marks(&self) -> io::Result<Marks> {
        let net = record::read::<Net>(&self.dir.join("net.json"))?;
        Ok(net.unwrap_or_default().marks)
    }

    /// All is there. Unless it was stopped meanwhile, containers can run in it.
    pub(crate) fn ready(&self, ips: Vec<IpAddr>) -> io::Result<()> {
        let marks = Marks::of(&self.shared)?;
        let net = Net { ips, marks };
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

    /// Whether its network has let go of it since this program has it open.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }

    pub(crate) fn detached(&self) {
        self.detached.store(true, Ordering::Release);
    }

    /// Whether its containers see each other's processes.
    pub(crate) fn has_processes(&self) -> bool {
        self.shared.kinds().contains(&Kind::Pid)
    }

    /// Has it be lost once its first process has ended, and says so.
    pub(crate) fn watch(self: &Arc<Self>, first: Process, hub: Weak<EventHub>) {
        let pod = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            if let Err(error) = first.ended().await {
                tracing::error!(%error, "cannot wait for the end of a pod's first process");
            }
            let Some(pod) = pod.upgrade() else { return };
            // Its child, if this program has started it.
            let _ = blocking(launch::reap).await;
            pod.lose();
            if let Some(hub) = hub.upgrade() {
                hub.send(&pod.event());
            }
        });
        *self.watcher.lock() = Some(task.abort_handle());
    }

    /// Lets go of what its containers shared, processes first. Reads and writes files.
    pub(crate) fn release(&self) -> io::Result<()> {
        if self.has_processes() {
            pause::end(&self.dir)?;
        }
        self.shared.clear()
    }

    pub(crate) fn stop(&self) -> io::Result<()> {
        fs::write(self.dir.join("stopped"), "")?;
        *self.phase.lock() = Phase::Stopped;
        Ok(())
    }

    pub(crate) fn event(&self) -> RuntimeEvent {
        RuntimeEvent::Sandbox {
            id: self.id.clone(),
            pod_uid: self.record.config.uid.clone(),
        }
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

    /// None: its containers have the machine's name, or the pod was made by a version that wrote none.
    pub(crate) fn hostname(&self) -> Option<PathBuf> {
        Some(self.dir.join("hostname")).filter(|path| path.exists())
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

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.get_mut().take() {
            watcher.abort();
        }
    }
}

/// What its containers share. On the machine's network, if it was asked for, they have the machine's name.
pub(crate) fn kinds(config: &SandboxConfig, own_network: bool) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if config.user_namespace {
        kinds.push(Kind::User);
    }
    kinds.push(Kind::Ipc);
    if !config.host_network {
        kinds.push(Kind::Uts);
    }
    if own_network {
        kinds.push(Kind::Net);
    }
    if config.share_process_namespace && !config.host_pid {
        kinds.push(Kind::Pid);
    }
    kinds
}

/// Refuses what cannot be done here.
pub(crate) fn check(config: &SandboxConfig, own_network: bool) -> Result<(), RuntimeError> {
    // The kernel's bound.
    if config.hostname.len() > 64 {
        let reason = format!(
            "{:?}: must have at most 64 bytes, and has {}",
            config.hostname,
            config.hostname.len()
        );
        return Err(invalid("hostname", reason));
    }
    let elsewhere = config
        .host_ports
        .iter()
        .find(|port| !own_network && port.host_port != port.container_port);
    if let Some(port) = elsewhere {
        let reason = format!(
            "{}: the pod is on the machine's network, where nothing can lead from there to {}; name the same port twice, or \
             give pods a network of their own (OciOptions::network)",
            port.host_port, port.container_port
        );
        return Err(invalid("host_ports", reason));
    }
    sysctl::check(config, &kinds(config, own_network))
}

/// Writes a new sandbox down.
pub(crate) fn fill(dir: &Path, record: &SandboxRecord) -> io::Result<()> {
    let of_machine = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own_network = record.network.is_some();
    // On a network of its own it is written again, with what it is called by there.
    let hosts = etc::hosts_of_machine(&record.config, &of_machine("/etc/hosts"));
    fs::write(dir.join("hosts"), hosts)?;
    let resolv_conf = etc::resolv_conf(&record.config, own_network, of_machine);
    fs::write(dir.join("resolv.conf"), resolv_conf)?;
    if let Some(name) = hostname(&record.config) {
        fs::write(dir.join("hostname"), format!("{name}\n"))?;
    }
    record::write(&dir.join("sandbox.json"), record)
}

#[cfg(test)]
mod tests {
    use orch_core::runtime::{HostPort, Protocol};

    use super::*;

    #[test]
    fn what_needs_a_network_is_refused_without_one() {
        let port = |host_port| HostPort {
            host_ip: None,
            host_port,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let fine = SandboxConfig::default();
        let sysctls = [("net.core.somaxconn".to_owned(), "9".to_owned())].into();
        let ports = |port| SandboxConfig {
            host_ports: vec![port],
            ..SandboxConfig::default()
        };
        let host = SandboxConfig {
            host_network: true,
            host_pid: true,
            ..fine.clone()
        };
        let set = SandboxConfig {
            sysctls,
            ..fine.clone()
        };
        let together = SandboxConfig {
            share_process_namespace: true,
            ..fine.clone()
        };
        for (config, own_network, expected) in [
            (fine, false, None),
            (host, false, None),
            (ports(port(80)), false, None),
            (ports(port(8080)), false, Some("host_ports")),
            (ports(port(8080)), true, None),
            (together, true, None),
            (set.clone(), false, Some("sysctls")),
            (set, true, None),
        ] {
            let refused = match check(&config, own_network) {
                Err(RuntimeError::InvalidConfig { field, .. }) => Some(field),
                other => other.map(|()| None).unwrap(),
            };
            assert_eq!(refused.as_deref(), expected, "{config:?}");
        }
    }
}
