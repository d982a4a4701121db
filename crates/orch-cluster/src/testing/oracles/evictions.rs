//! When pods are driven away.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::testing::simulation::{Oracle, Written};
use orch_core::time;

use super::node_of;
use crate::scheduling::tolerates;

/// No pod is evicted from a tainted node before the time that it tolerates the taint is over (`tolerationSeconds`).
///
/// That time is the wall clock's: once the clock has been set nothing is judged any more. As long as nothing goes wrong no pod is
/// evicted from a node without such a taint, either; later a taint may go while the news of it is on its way.
#[derive(Default)]
pub struct Evictions {
    /// When the run began, by the clock as it was seen last.
    began: Option<Timestamp>,
    is_set: bool,
}

/// The reason that an eviction gives in the pod's condition `DisruptionTarget`.
const REASON: &str = "DeletionByTaintManager";

/// Objects hold whole seconds.
const SLACK: SignedDuration = SignedDuration::from_secs(1);

impl Oracle for Evictions {
    fn name(&self) -> &str {
        "evictions"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let now = time::now();
        if self.has_jumped(now, written.at) {
            return Ok(());
        }
        let Some(pod) = written.was::<Pod>().filter(|pod| is_evicted(pod)) else {
            return Ok(());
        };
        let goes = written
            .is::<Pod>()
            .is_none_or(|is| is.metadata.deletion_timestamp.is_some());
        let nodes = written.state.all::<Node>();
        let node = nodes
            .iter()
            .find(|node| node.metadata.name.as_deref() == node_of(&pod));
        let Some(node) = node.filter(|_| goes) else {
            return Ok(());
        };
        match left(&pod, node, now) {
            Some(left) if left > SLACK => Err(format!("{} is evicted {left:#} before its time", written.key)),
            None if written.is_calm => Err(format!(
                "{} is evicted, and nothing drives it from its node",
                written.key
            )),
            _ => Ok(()),
        }
    }
}

impl Evictions {
    fn has_jumped(&mut self, now: Timestamp, at: Duration) -> bool {
        let passed = SignedDuration::try_from(at).unwrap_or(SignedDuration::MAX);
        let began = now.saturating_sub(passed).unwrap_or(now);
        let before = *self.began.get_or_insert(began);
        self.is_set |= began.duration_since(before).abs() > SLACK;
        self.is_set
    }
}

/// Whether its eviction was told, and it was not being deleted yet.
pub(super) fn is_evicted(pod: &Pod) -> bool {
    let mut conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|condition| condition.reason.as_deref() == Some(REASON))
}

/// How much of its time the pod has left on the node; none if the node, as it is now, drives nobody away.
fn left(pod: &Pod, node: &Node, now: Timestamp) -> Option<SignedDuration> {
    let taints = node.spec.as_ref()?.taints.iter().flatten();
    let tolerations: Vec<_> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.tolerations.iter().flatten())
        .collect();
    let waits = taints.filter(|taint| taint.effect == "NoExecute").map(|taint| {
        let tolerated = tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint));
        let limits: Vec<_> = tolerated
            .map(|toleration| toleration.toleration_seconds)
            .collect();
        match limits.iter().flatten().min() {
            None if limits.is_empty() => SignedDuration::ZERO,
            None => SignedDuration::MAX,
            Some(limit) => {
                let since = taint.time_added.as_ref().map_or(now, |added| added.0);
                SignedDuration::from_secs(*limit) - now.duration_since(since)
            }
        }
    });
    waits.min()
}
