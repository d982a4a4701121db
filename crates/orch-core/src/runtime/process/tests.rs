//! The process runtime against real processes.

use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::runtime::Runtime;
use crate::testing::runtime::Harness;

struct Processes(tempfile::TempDir);

fn processes() -> Processes {
    Processes(tempfile::tempdir().expect("a directory for a test"))
}

#[async_trait]
impl Harness for Processes {
    async fn open(&self) -> Arc<dyn Runtime> {
        Arc::new(ProcessRuntime::open(self.0.path()).await.expect("opening the state directory"))
    }
    fn image(&self) -> String {
        "host".into()
    }
}

mod conformance {
    crate::runtime_conformance!(super::processes());
}
