//! What the node lifecycle needs of a node.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

/// A node: its taints and conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NodeView {
    pub(crate) created: Option<Timestamp>,
    /// `spec.unschedulable`: cordoned.
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
    pub(crate) conditions: Vec<NodeCondition>,
}

impl From<&Node> for NodeView {
    fn from(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let status = node.status.as_ref();
        Self {
            created: node.metadata.creation_timestamp.as_ref().map(|time| time.0),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            conditions: status
                .and_then(|status| status.conditions.clone())
                .unwrap_or_default(),
        }
    }
}

/// Whether a node says that it is ready.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl NodeView {
    /// The status of a condition, if the node has it.
    pub(crate) fn condition(&self, type_: &str) -> Option<&NodeCondition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// When the node last wrote its status, to the second: whoever else writes its conditions writes no more of it.
    pub(crate) fn heartbeat(&self) -> Option<Timestamp> {
        let time = self.condition("Ready")?.last_heartbeat_time.as_ref()?;
        Timestamp::from_second(time.0.as_second()).ok()
    }
}
