//! The published Runtime conformance suite again, with containers that run from an image and not on the machine's own
//! root.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Oci, images};
use orch_core::runtime::Runtime;
use orch_core::testing::runtime::Harness;
use orch_runtime_oci::OciRuntime;

const NAME: &str = "registry.example/shell:1";

struct FromImage(Oci);

impl FromImage {
    fn new() -> Option<Self> {
        let oci = Oci::new()?;
        let image = images::shell(&serde_json::json!({ "Env": ["PATH=/bin"] }))?;
        images::archive(&oci.beside("archive.tar"), &image, NAME);
        Some(Self(oci))
    }
}

#[async_trait::async_trait]
impl Harness for FromImage {
    async fn open(&self) -> Arc<dyn Runtime> {
        let runtime = OciRuntime::open(self.0.options()).await;
        let runtime = runtime.expect("opening the runtime");
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

    fn patience(&self) -> Duration {
        self.0.patience()
    }
}

orch_core::runtime_conformance!(match FromImage::new() {
    Some(image) => image,
    None => return,
});
