//! Containers of a runtime.

use std::time::Duration;

use futures::StreamExt;
use orch_core::runtime::{ContainerConfig, ContainerState, Runtime, SandboxConfig, SandboxId};

pub(crate) struct Runner {
    runtime: Box<dyn Runtime>,
    sandbox: SandboxId,
    image: &'static str,
}

impl Runner {
    pub(crate) async fn new(runtime: Box<dyn Runtime>, image: &'static str) -> Self {
        let config = SandboxConfig {
            name: "bench".into(),
            namespace: "default".into(),
            uid: "bench".into(),
            hostname: "bench".into(),
            host_network: true,
            ..SandboxConfig::default()
        };
        let sandbox = runtime.run_sandbox(&config).await.expect("a sandbox").id;
        Self {
            runtime,
            sandbox,
            image,
        }
    }

    /// Makes, starts, awaits and removes a container.
    pub(crate) async fn run(&self, name: String) {
        let config = ContainerConfig {
            name,
            image: self.image.into(),
            command: vec!["/bin/true".into()],
            ..ContainerConfig::default()
        };
        let mut events = self.runtime.events().await;
        let id = self
            .runtime
            .create_container(&self.sandbox, &config)
            .await
            .expect("a container");
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

    pub(crate) async fn clear(&self) {
        self.runtime
            .remove_sandbox(&self.sandbox)
            .await
            .expect("nothing is left");
    }
}
