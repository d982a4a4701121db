//! What the scheduler keeps of a node.

use k8s_openapi::api::core::v1;
use orch_core::object::{Document, DocumentError};
use orch_core::scheduler::Node;
use serde::Deserialize;

use super::amounts::{Amounts, offered};
use super::taints::taint;
use crate::controllers::part;

/// A node in the scheduler's words.
pub(super) fn node(document: &Document) -> Result<Node, DocumentError> {
    let meta = document.meta();
    let spec: WireSpec = part(document, "spec")?;
    let status: WireStatus<'_> = part(document, "status")?;
    Ok(Node {
        name: meta.name.clone(),
        labels: meta.labels.clone(),
        allocatable: offered(&status.allocatable.or(status.capacity).unwrap_or_default()),
        taints: spec.taints.iter().flatten().filter_map(taint).collect(),
        unschedulable: spec.unschedulable.unwrap_or(false),
    })
}

#[derive(Default, Deserialize)]
struct WireSpec {
    unschedulable: Option<bool>,
    taints: Option<Vec<v1::Taint>>,
}

#[derive(Default, Deserialize)]
struct WireStatus<'a> {
    #[serde(borrow)]
    allocatable: Option<Amounts<'a>>,
    #[serde(borrow)]
    capacity: Option<Amounts<'a>>,
}
