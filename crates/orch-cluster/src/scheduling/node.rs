//! What the scheduler keeps of a node.

use orch_core::object::{Document, DocumentError};
use orch_core::scheduler::{Node, Taint};
use serde::Deserialize;

use super::amounts::{Amounts, offered};
use super::requirements::effect;
use crate::controllers::part;

/// A node in the scheduler's words.
pub(super) fn node(document: &Document) -> Result<Node, DocumentError> {
    let meta = document.meta();
    let spec: WireSpec = part(document, "spec")?;
    let status: WireStatus<'_> = part(document, "status")?;
    let taints = spec.taints.unwrap_or_default();
    Ok(Node {
        name: meta.name.clone(),
        labels: meta.labels.clone(),
        allocatable: offered(&status.allocatable.or(status.capacity).unwrap_or_default()),
        taints: taints
            .into_iter()
            .filter_map(|taint| {
                Some(Taint::new(
                    taint.key,
                    taint.value.unwrap_or_default(),
                    effect(&taint.effect)?,
                ))
            })
            .collect(),
        unschedulable: spec.unschedulable.unwrap_or(false),
    })
}

#[derive(Default, Deserialize)]
struct WireSpec {
    unschedulable: Option<bool>,
    taints: Option<Vec<WireTaint>>,
}

#[derive(Deserialize)]
struct WireTaint {
    key: String,
    value: Option<String>,
    effect: String,
}

#[derive(Default, Deserialize)]
struct WireStatus<'a> {
    #[serde(borrow)]
    allocatable: Option<Amounts<'a>>,
    #[serde(borrow)]
    capacity: Option<Amounts<'a>>,
}
