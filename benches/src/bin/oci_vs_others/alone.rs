//! A network that leads nowhere: what crun, runc and Docker make of a namespace to which nothing is connected.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use async_trait::async_trait;
use nix::sched::{CloneFlags, setns};
use orch_core::runtime::{Attachment, PodNetwork, RuntimeError, SandboxConfig, SandboxId};
use rtnetlink::LinkUnspec;

pub(crate) struct Alone;

#[async_trait]
impl PodNetwork for Alone {
    fn name(&self) -> &'static str {
        "alone"
    }

    async fn attach(
        &self,
        _: &SandboxId,
        namespace: &Path,
        _: &SandboxConfig,
    ) -> Result<Attachment, RuntimeError> {
        let namespace = namespace.to_owned();
        // A thread of its own: it stays in that namespace to its end.
        let (done, is_done) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = done.send(bring_up(&namespace));
        });
        is_done.await.expect("the thread goes on").expect("lo comes up");
        Ok(Attachment {
            ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        })
    }

    async fn detach(&self, _: &SandboxId, _: Option<&Path>) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn retain(&self, _: &[SandboxId]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn status(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Brings up the loopback link of a network namespace.
fn bring_up(namespace: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let up = LinkUnspec::new_with_name("lo").up().build();
        Ok(handle.link().set(up).execute().await?)
    })
}
