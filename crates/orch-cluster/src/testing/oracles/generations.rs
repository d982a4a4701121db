//! What controllers say they have seen.

use std::collections::BTreeMap;

use orch_core::testing::simulation::{Oracle, Written};

/// What a controller says it has seen of an object never runs back.
#[derive(Default)]
pub struct Generations(BTreeMap<String, i64>);

impl Oracle for Generations {
    fn name(&self) -> &str {
        "observed generations"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(document) = written.after() else {
            return Ok(());
        };
        let observed = document.lookup("status.observedGeneration");
        let Some(observed) = observed.and_then(|observed| observed.as_i64()) else {
            return Ok(());
        };
        if observed > document.meta().generation {
            return Err(format!(
                "{}: generation {observed} was observed, and there is none such",
                written.key
            ));
        }
        let before = self.0.entry(document.meta().uid.clone()).or_default();
        if observed < *before {
            return Err(format!(
                "{}: observed generation {before}, then {observed}",
                written.key
            ));
        }
        *before = observed;
        Ok(())
    }
}
