//! A small network for pods: each has an address on its own loopback, and reaches nobody.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use orch_core::runtime::{Attachment, PodNetwork, RuntimeError, SandboxConfig, SandboxId};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Remembers across the runtimes that open it.
pub(crate) struct Loopbacks {
    state: Mutex<State>,
    /// Detaching waits while this is true.
    pub(crate) slow: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// Who has which address.
    taken: BTreeMap<SandboxId, Ipv4Addr>,
    next: u16,
    calls: Vec<String>,
    failing: Option<&'static str>,
}

impl Loopbacks {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            slow: watch::Sender::new(false),
        })
    }

    /// What it was asked to do, in order, and forgets it.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().calls)
    }

    pub(crate) fn taken(&self) -> Vec<SandboxId> {
        self.state.lock().taken.keys().cloned().collect()
    }

    /// Has a call fail from now on, or none.
    pub(crate) fn fail(&self, call: Option<&'static str>) {
        self.state.lock().failing = call;
    }

    fn called(&self, call: &'static str, of: &str) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        state.calls.push(format!("{call} {of}").trim().to_owned());
        if state.failing == Some(call) {
            return Err(RuntimeError::failed(call, "the test has it fail"));
        }
        Ok(())
    }
}

#[async_trait]
impl PodNetwork for Loopbacks {
    fn name(&self) -> &'static str {
        "loopbacks"
    }

    async fn attach(
        &self,
        sandbox: &SandboxId,
        namespace: &Path,
        _: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError> {
        self.called("attach", &sandbox.0)?;
        let address = {
            let mut state = self.state.lock();
            state.next += 1;
            let [high, low] = state.next.to_be_bytes();
            *state
                .taken
                .entry(sandbox.clone())
                .or_insert(Ipv4Addr::new(10, 200, high, low))
        };
        within(namespace, "ip link set lo up");
        within(namespace, &format!("ip address replace {address}/32 dev lo"));
        Ok(Attachment {
            ips: vec![IpAddr::V4(address)],
        })
    }

    async fn detach(&self, sandbox: &SandboxId, namespace: Option<&Path>) -> Result<(), RuntimeError> {
        let at = namespace.map_or_else(|| "without".into(), |path| path.display().to_string());
        self.called("detach", &format!("{sandbox} {at}"))?;
        let mut slow = self.slow.subscribe();
        slow.wait_for(|slow| !slow).await.expect("it is there");
        self.state.lock().taken.remove(sandbox);
        Ok(())
    }

    async fn retain(&self, live: &[SandboxId]) -> Result<(), RuntimeError> {
        let names: Vec<_> = live.iter().map(|id| id.0.as_str()).collect();
        self.called("retain", &names.join(" "))?;
        self.state.lock().taken.retain(|id, _| live.contains(id));
        Ok(())
    }

    async fn status(&self) -> Result<(), String> {
        match self.state.lock().failing {
            Some("status") => Err("there are no loopbacks; make some".into()),
            _ => Ok(()),
        }
    }
}

/// Runs a command in a network namespace. It must end well.
pub(crate) fn within(namespace: &Path, command: &str) {
    let output = Command::new("nsenter")
        .arg(format!("--net={}", namespace.display()))
        .args(command.split(' '))
        .output()
        .expect("nsenter, of util-linux");
    assert!(output.status.success(), "{command}: {output:?}");
}

/// Whether there is what this network needs.
pub(crate) fn ip_is_here() -> bool {
    let found = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .any(|dir: PathBuf| dir.join("ip").exists());
    super::there(found, "there is no `ip` on this machine (Debian's iproute2)")
}
