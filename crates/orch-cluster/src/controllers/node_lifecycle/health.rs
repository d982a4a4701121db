//! When a node was last heard of, and what its conditions become when that is too long ago.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::view::NodeView;

/// How long a node may be silent (Kubernetes' `node-monitor-grace-period`).
pub(crate) const GRACE: Duration = Duration::from_secs(40);
/// How long a new node may take to report for the first time (`node-startup-grace-period`).
pub(crate) const STARTUP_GRACE: Duration = Duration::from_secs(60);

/// The last sign of life. Counted from when it was seen here, so that a node's wrong clock does no harm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Health {
    renewed: Option<Timestamp>,
    heartbeat: Option<Timestamp>,
    heard: Timestamp,
}

impl Health {
    /// Takes in the lease's renew time and the status' heartbeat as they are at `now`: a change of either is a
    /// sign of life. Of a node not known before, what it last said counts as heard just now.
    pub(crate) fn hear(
        before: Option<Self>,
        renewed: Option<Timestamp>,
        heartbeat: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        match before {
            Some(before) if before.renewed == renewed && before.heartbeat == heartbeat => before,
            _ => Self {
                renewed,
                heartbeat,
                heard: now,
            },
        }
    }

    /// The newest renewal of its lease that was heard of.
    pub(crate) fn renewed(&self) -> Option<Timestamp> {
        self.renewed
    }

    /// How long the node may still be silent; zero if it has been for too long.
    pub(crate) fn time_left(&self, node: &NodeView, now: Timestamp) -> Duration {
        let grace = if node.condition("Ready").is_none() {
            STARTUP_GRACE
        } else {
            GRACE
        };
        let silent = Duration::try_from(now.duration_since(self.heard)).unwrap_or_default();
        grace.saturating_sub(silent)
    }
}

/// The conditions of a node that has been silent for too long: all those that only the node could know are
/// Unknown. None if they are already.
pub(crate) fn overdue(node: &NodeView, now: Timestamp) -> Option<Vec<NodeCondition>> {
    const FROM_THE_NODE: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    let mut conditions = node.conditions.clone();
    for type_ in FROM_THE_NODE {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(Time(now));
            }
            None => conditions.push(NodeCondition {
                type_: type_.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.created.map(Time),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
    (conditions != node.conditions).then_some(conditions)
}
