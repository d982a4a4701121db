//! What the node lifecycle needs of a node.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};
use orch_core::object::{Document, DocumentError};
use orch_core::store::Revision;
use serde::Deserialize;

use crate::controllers::part;

/// A node: its taints and conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeView {
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) revision: Revision,
    pub(crate) created: Option<Timestamp>,
    /// `spec.unschedulable`: cordoned.
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
    pub(crate) conditions: Vec<NodeCondition>,
}

impl NodeView {
    pub(crate) fn new(node: &Document) -> Result<Self, DocumentError> {
        let meta = node.meta();
        let spec: WireSpec = part(node, "spec")?;
        let status: WireStatus = part(node, "status")?;
        Ok(Self {
            name: meta.name.as_str().into(),
            uid: meta.uid.as_str().into(),
            revision: node.revision(),
            created: meta.creation_timestamp,
            unschedulable: spec.unschedulable.unwrap_or(false),
            taints: spec.taints.unwrap_or_default(),
            conditions: status.conditions.unwrap_or_default(),
        })
    }

    /// The status of a condition, if the node has it.
    pub(crate) fn condition(&self, type_: &str) -> Option<&NodeCondition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// When the node last wrote its status.
    pub(crate) fn heartbeat(&self) -> Option<Timestamp> {
        self.condition("Ready")?
            .last_heartbeat_time
            .as_ref()
            .map(|time| time.0)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.condition("Ready")
            .is_some_and(|ready| ready.status == "True")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    unschedulable: Option<bool>,
    taints: Option<Vec<Taint>>,
}

#[derive(Default, Deserialize)]
struct WireStatus {
    conditions: Option<Vec<NodeCondition>>,
}
