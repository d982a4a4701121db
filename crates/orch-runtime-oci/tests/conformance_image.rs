//! The published Runtime conformance suite again, with containers that run from an image and not on the machine's own
//! root.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Oci, images};
use orch_core::runtime::Runtime;
use orch_core::testing::runtime::{Harness, Outcome, run_all};
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

// In one place one after the other, for the image is brought there but once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_from_an_image_conform() {
    let Some(harness) = FromImage::new() else { return };
    let report = run_all(&harness).await;
    assert!(report.passed(), "{report}");
    let passed = |(_, outcome): &&(_, Outcome)| *outcome == Outcome::Passed;
    assert!(report.cases.iter().filter(passed).count() > 40, "{report}");
}
