//! The published Runtime conformance suite again, with a network for each pod.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::network::{Loopbacks, ip_is_here};
use common::{Oci, PATIENCE};
use orch_core::runtime::Runtime;
use orch_core::testing::runtime::Harness;
use orch_runtime_oci::OciRuntime;

struct Networked(Oci, Arc<Loopbacks>);

impl Networked {
    fn new() -> Option<Self> {
        let oci = Oci::new().filter(|_| ip_is_here())?;
        Some(Self(oci, Loopbacks::new()))
    }
}

impl Drop for Networked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.1.taken(), [], "each address was given back");
        }
    }
}

#[async_trait::async_trait]
impl Harness for Networked {
    async fn open(&self) -> Arc<dyn Runtime> {
        let options = self.0.options().network(self.1.clone());
        Arc::new(OciRuntime::open(options).await.expect("opening the runtime"))
    }

    fn image(&self) -> String {
        "host".into()
    }

    fn missing_image(&self) -> Option<String> {
        self.0.missing_image()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

orch_core::runtime_conformance!(match Networked::new() {
    Some(networked) => networked,
    None => return,
});
