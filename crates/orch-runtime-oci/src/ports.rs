//! Connecting to ports of pods, each in its network.

use orch_core::runtime::{PortStream, RuntimeError, SandboxId, connect_loopback};
use tokio::net::TcpStream;

use crate::driver::{Driver, not_found, not_ready};
use crate::runtime::blocking;

impl Driver {
    pub(crate) async fn port_forward(&self, id: &SandboxId, port: u16) -> Result<PortStream, RuntimeError> {
        let pod = self.pod(id).ok_or_else(|| not_found("sandbox", id))?;
        let name = pod.record.config.pod();
        let what = format!("connecting to port {port} of {name}");
        let failed = {
            let what = what.clone();
            move |error: std::io::Error| RuntimeError::failed(what, error)
        };
        if !pod.is_ready() {
            return Err(RuntimeError::failed(what, not_ready(id)));
        }
        let connecting = blocking(move || match pod.network {
            // The socket stays one of the pod's network, whoever has it.
            Some(_) => pod.shared.within_network(|| Ok(connect_loopback(&name, port))),
            None => Ok(connect_loopback(&name, port)),
        });
        let stream = connecting.await?.map_err(failed.clone())??;
        Ok(Box::new(TcpStream::from_std(stream).map_err(failed)?))
    }
}
