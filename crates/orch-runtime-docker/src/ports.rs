//! Connecting to ports of pods, each in its network, which an engine has no call for.

use orch_core::runtime::{PortStream, RuntimeError, SandboxId, blocking, connect_loopback};
use tokio::net::TcpStream;

use crate::NAME;
use crate::driver::Driver;
use crate::labels::{Kind, SandboxIdentity};
use crate::options::Address;
use crate::process::Process;

/// It takes a process of the pod, and the right to enter its network.
const CANNOT: RuntimeError = RuntimeError::Unsupported {
    runtime: NAME,
    what: std::borrow::Cow::Borrowed(
        "connecting to ports of pods but as root, with an engine whose processes are this machine's",
    ),
};

impl Driver {
    /// Whether the engine can be on this machine, and its containers' networks be entered.
    pub(crate) fn reaches_ports(&self) -> bool {
        matches!(self.engine.address(), Address::Unix(_)) && is_root()
    }

    pub(crate) async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        if !self.reaches_ports() {
            return Err(CANNOT);
        }
        let what = || format!("sandbox {id}");
        let inspected = self.inspect(&id.0).await;
        let inspected = inspected.map_err(|fault| fault.about(what(), "inspecting"))?;
        let labels = &inspected.config.labels;
        if inspected.id != id.0 || Kind::of(labels, self.scope()) != Some(Kind::Sandbox) {
            return Err(RuntimeError::NotFound { what: what() });
        }
        let identity = SandboxIdentity::read(labels);
        let pod = format!("pod {}/{}", identity.namespace, identity.name);
        let connecting = format!("connecting to port {port} of {pod}");
        if inspected.state.status != "running" {
            return Err(RuntimeError::failed(
                connecting,
                format!("sandbox {id} is not ready"),
            ));
        }
        let process = Process::find(inspected.state.pid, &id.0).ok_or(CANNOT)?;
        let work = move || process.within_network(|| connect_loopback(&pod, port));
        let stream = match blocking(NAME, work).await? {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(CANNOT),
            done => done.map_err(|error| RuntimeError::failed(connecting.clone(), error))??,
        };
        let stream = TcpStream::from_std(stream);
        Ok(Box::new(
            stream.map_err(|error| RuntimeError::failed(connecting, error))?,
        ))
    }
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false
}
