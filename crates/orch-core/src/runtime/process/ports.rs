//! Connecting to ports of pods, which are on the machine's network.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::{Inner, not_found};
use crate::runtime::{PortStream, RuntimeError, SandboxId, connect_loopback};

impl Inner {
    pub(super) async fn port_forward(
        self: &Arc<Self>,
        id: &SandboxId,
        port: u16,
    ) -> Result<PortStream, RuntimeError> {
        let pod = {
            let state = self.state.lock();
            let record = state.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?;
            if record.stopped {
                let what = format!("connecting to port {port} of {}", record.config.pod());
                return Err(RuntimeError::failed(what, format!("sandbox {id} is not ready")));
            }
            record.config.pod()
        };
        let stream = self.blocking(move |_| connect_loopback(&pod, port)).await??;
        let stream = TcpStream::from_std(stream);
        Ok(Box::new(stream.map_err(|error| {
            RuntimeError::failed("taking a connection", error)
        })?))
    }
}
