//! The published Runtime conformance suite again, with pods that have users of their own, on networks of their own, and with
//! containers that run from an image.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::network::{Loopbacks, ip_is_here};
use common::{Oci, PATIENCE, images};
use orch_core::runtime::{Runtime, SandboxConfig};
use orch_core::testing::runtime::Harness;
use orch_runtime_oci::OciRuntime;

const NAME: &str = "registry.example/shell:1";

struct Owned(Oci, Arc<Loopbacks>);

impl Owned {
    fn new() -> Option<Self> {
        let oci = Oci::new().filter(|_| ip_is_here())?;
        let image = images::shell(&serde_json::json!({ "Env": ["PATH=/bin"] }))?;
        images::archive(&oci.beside("archive.tar"), &image, NAME);
        Some(Self(oci, Loopbacks::new()))
    }
}

#[async_trait::async_trait]
impl Harness for Owned {
    async fn open(&self) -> Arc<dyn Runtime> {
        let options = self.0.options().network(self.1.clone());
        let runtime = OciRuntime::open(options).await.expect("opening the runtime");
        if runtime.image(NAME).await.expect("looking for an image").is_none() {
            let archive = self.0.beside("archive.tar");
            let imported = runtime.image_store().import(&archive, None).await;
            imported.expect("importing an image");
        }
        Arc::new(runtime)
    }

    fn image(&self) -> String {
        NAME.into()
    }

    fn missing_image(&self) -> Option<String> {
        self.0.missing_image()
    }

    fn sandbox(&self, config: SandboxConfig) -> SandboxConfig {
        SandboxConfig {
            user_namespace: true,
            ..config
        }
    }

    fn scratch(&self) -> PathBuf {
        self.0.beside("")
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

orch_core::runtime_conformance!(match Owned::new() {
    Some(owned) => owned,
    None => return,
});
