//! Containers of our runtime.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use orch_core::runtime::{ContainerConfig, ContainerState, Runtime, SandboxConfig, SandboxId};
use orch_runtime_oci::OciRuntime;

use crate::{Contender, Network};

pub(crate) struct Runner {
    runtime: OciRuntime,
    /// That of all containers, where they need none of their own.
    sandbox: Option<SandboxId>,
    image: &'static str,
}

impl Runner {
    pub(crate) async fn new(runtime: OciRuntime, network: Network, image: &'static str) -> Self {
        let mut runner = Self {
            runtime,
            sandbox: None,
            image,
        };
        if network == Network::Host {
            runner.sandbox = Some(runner.sandbox("all", network).await);
        }
        runner
    }

    async fn sandbox(&self, name: &str, network: Network) -> SandboxId {
        let config = SandboxConfig {
            name: name.into(),
            namespace: "default".into(),
            uid: format!("bench-{name}"),
            hostname: "bench".into(),
            host_network: network == Network::Host,
            ..SandboxConfig::default()
        };
        self.runtime.run_sandbox(&config).await.expect("a sandbox").id
    }

    async fn run_in(&self, sandbox: &SandboxId, name: String) {
        let config = ContainerConfig {
            name,
            image: self.image.into(),
            command: vec!["/bin/true".into()],
            ..ContainerConfig::default()
        };
        let mut events = self.runtime.events().await;
        let id = self.runtime.create_container(sandbox, &config).await;
        let id = id.expect("a container");
        self.runtime.start_container(&id).await.expect("it starts");
        loop {
            let container = self.runtime.container(&id).await.expect("it is there");
            if let ContainerState::Exited { exit_code, .. } = container.state {
                assert_eq!(exit_code, Some(0), "{container:?}");
                break;
            }
            // Hints can be lost.
            let _ = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
        }
        self.runtime.remove_container(&id).await.expect("it is removed");
    }
}

#[async_trait]
impl Contender for Runner {
    fn name(&self) -> &'static str {
        "orch"
    }

    async fn run(&self, name: String) {
        if let Some(sandbox) = &self.sandbox {
            return self.run_in(sandbox, name).await;
        }
        let own = self.sandbox(&name, Network::Own).await;
        self.run_in(&own, name).await;
        self.runtime.remove_sandbox(&own).await.expect("it is removed");
    }

    async fn clear(&self) {
        if let Some(sandbox) = &self.sandbox {
            self.runtime
                .remove_sandbox(sandbox)
                .await
                .expect("nothing is left");
        }
    }
}
