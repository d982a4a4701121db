//! Whether nothing is left on a runtime.

use std::time::Duration;

use orch_core::runtime::{ContainerFilter, Runtime, SandboxFilter};

/// How long a runtime may take to say.
const LOOK: Duration = Duration::from_secs(5);

/// Whether the runtime has nothing at all under this data directory's name, if it says so soon.
pub async fn is_empty(runtime: &dyn Runtime) -> Option<bool> {
    let look = async {
        let sandboxes = runtime.sandboxes(&SandboxFilter::default()).await.ok()?;
        let containers = runtime.containers(&ContainerFilter::default()).await.ok()?;
        Some(sandboxes.is_empty() && containers.is_empty())
    };
    tokio::time::timeout(LOOK, look).await.ok()?
}
