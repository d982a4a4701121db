//! Which pods are to be removed, and why.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::controllers::pod_view::PodView;

/// How many finished pods are kept (Kubernetes' `terminated-pod-gc-threshold`).
pub(crate) const KEPT_FINISHED: usize = 12_500;
/// How long a node must have been missing before its pods go: a cache may be behind.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(40);

/// A pod to be deleted without grace: nobody is there to end it in peace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Removal {
    pub(crate) pod: Arc<PodView>,
    pub(crate) why: Why,
}

/// Why a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its node does not exist any more; unless it has finished it has failed.
    NodeGone,
    /// It is being deleted and was never bound, so no node will end it.
    NeverBound,
    /// There are more than [`KEPT_FINISHED`] finished pods, and it is among the oldest.
    TooManyFinished,
}

/// Decides about all `pods`. `missing_since` says since when a node of that name has been missing; none while
/// it exists.
pub(crate) fn decide(
    pods: &[Arc<PodView>],
    missing_since: impl Fn(&str) -> Option<Timestamp>,
    kept_finished: usize,
    now: Timestamp,
) -> Vec<Removal> {
    let mut removals = Vec::new();
    let mut finished = Vec::new();
    for pod in pods {
        let why = match &pod.node {
            None if pod.deleting.is_some() => Some(Why::NeverBound),
            None => None,
            Some(node) => missing_since(node).and_then(|since| {
                let missing = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                (missing >= QUARANTINE).then_some(Why::NodeGone)
            }),
        };
        match why {
            Some(why) => removals.push(Removal {
                pod: Arc::clone(pod),
                why,
            }),
            None if pod.is_finished() => finished.push(pod),
            None => {}
        }
    }
    let beyond = finished.len().saturating_sub(kept_finished);
    if beyond > 0 {
        finished.sort_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
        removals.extend(finished.into_iter().take(beyond).map(|pod| Removal {
            pod: Arc::clone(pod),
            why: Why::TooManyFinished,
        }));
    }
    removals
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::controllers::pod_view::Phase;

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn pod(name: &str, node: Option<&str>, phase: Phase, age: i64) -> PodView {
        PodView {
            name: name.into(),
            uid: name.into(),
            node: node.map(Into::into),
            phase,
            created: Some(now() - SignedDuration::from_secs(age)),
            ..PodView::default()
        }
    }

    #[test]
    fn only_pods_that_nobody_else_removes_go() {
        let deleting = |pod: PodView| PodView {
            deleting: Some(now()),
            ..pod
        };
        let pods = [
            pod("runs", Some("here"), Phase::Running, 100),
            deleting(pod("ends", Some("here"), Phase::Running, 100)),
            pod("waits", None, Phase::Pending, 100),
            deleting(pod("never-bound", None, Phase::Pending, 100)),
            pod("lost", Some("gone"), Phase::Running, 100),
            pod("perhaps-lost", Some("just-gone"), Phase::Running, 100),
            pod("old", Some("here"), Phase::Succeeded, 300),
            pod("older", Some("here"), Phase::Failed, 400),
            pod("young", Some("here"), Phase::Succeeded, 200),
        ]
        .map(Arc::new);
        let missing_since = |node: &str| match node {
            "gone" => Some(now() - SignedDuration::from_secs(40)),
            "just-gone" => Some(now() - SignedDuration::from_secs(39)),
            _ => None,
        };
        let removed = |kept| {
            let removals = decide(&pods, missing_since, kept, now());
            removals
                .iter()
                .map(|removal| (removal.pod.name.to_string(), removal.why))
                .collect::<Vec<_>>()
        };
        let always = [
            ("never-bound".to_owned(), Why::NeverBound),
            ("lost".to_owned(), Why::NodeGone),
        ];
        assert_eq!(removed(3), always);
        assert_eq!(
            removed(1)[2..],
            [
                ("older".to_owned(), Why::TooManyFinished),
                ("old".to_owned(), Why::TooManyFinished)
            ]
        );
    }
}
