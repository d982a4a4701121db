//! What controllers need of a pod: some 300 bytes instead of the 32 KB of a decoded one.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use orch_core::object::{Document, DocumentError};
use orch_core::store::Revision;
use serde::Deserialize;

use super::Labels;
use super::claim::Claimable;

/// `status.phase`. A pod without one has not been seen by a node: Pending. A word that is none of Kubernetes', which
/// any writer of a status can put there, says nothing: Unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    #[default]
    Pending,
    Unknown,
    Running,
    Succeeded,
    Failed,
}

impl From<&str> for Phase {
    fn from(word: &str) -> Self {
        match word {
            "" | "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Unknown,
        }
    }
}

/// A pod, as its controllers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) namespace: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) revision: Revision,
    pub(crate) labels: Labels,
    /// The owner with `controller: true`.
    pub(crate) controller_uid: Option<Box<str>>,
    pub(crate) created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`: when its grace ends, if it is being deleted.
    pub(crate) deleting: Option<Timestamp>,
    /// `spec.nodeName`; none until it is bound.
    pub(crate) node: Option<Box<str>>,
    pub(crate) phase: Phase,
    /// Whether the `Ready` condition is True.
    pub(crate) ready: bool,
    /// When the `Ready` condition last changed.
    pub(crate) ready_changed: Option<Timestamp>,
    /// The most restarts of one of its containers.
    pub(crate) restarts: i32,
    /// The annotation `controller.kubernetes.io/pod-deletion-cost`; 0 where absent or malformed.
    pub(crate) deletion_cost: i32,
}

impl PodView {
    /// Reads the view from a pod, parsing no more than it keeps.
    pub(crate) fn new(pod: &Document) -> Result<Self, DocumentError> {
        let meta = pod.meta();
        let spec: WireSpec<'_> = part(pod, "spec")?;
        let status: WireStatus<'_> = part(pod, "status")?;
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.r#type == "Ready");
        let cost = meta.annotations.get("controller.kubernetes.io/pod-deletion-cost");
        let containers = status.container_statuses.iter().flatten();
        Ok(Self {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_str().into(),
            uid: meta.uid.as_str().into(),
            revision: pod.revision(),
            labels: meta.labels.clone(),
            controller_uid: meta.controller().map(|owner| owner.uid.as_str().into()),
            created: meta.creation_timestamp,
            deleting: meta.deletion_timestamp,
            node: spec.node_name.filter(|node| !node.is_empty()).map(Into::into),
            phase: status.phase.as_deref().map(Phase::from).unwrap_or_default(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_changed: ready.and_then(|condition| condition.last_transition_time),
            restarts: containers
                .map(|container| container.restart_count)
                .max()
                .unwrap_or(0),
            deletion_cost: cost.and_then(|cost| cost.parse().ok()).unwrap_or(0),
        })
    }

    /// A reference to the pod, for events about it.
    pub(crate) fn reference(&self) -> ObjectReference {
        pod_reference(&self.namespace, &self.name, &self.uid)
    }

    /// Whether `other` counts the same in the eyes of what controls it.
    pub(crate) fn counts_like(&self, other: &Self) -> bool {
        let seen = |pod: &Self| (pod.phase, pod.ready, pod.ready_changed, pod.deleting);
        seen(self) == seen(other)
            && self.uid == other.uid
            && self.controller_uid == other.controller_uid
            && self.labels == other.labels
    }

    /// Counts as a replica: neither finished nor on its way out.
    pub(crate) fn is_active(&self) -> bool {
        self.deleting.is_none() && !self.is_finished()
    }

    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// How long until it counts as available, which is ready for `min_ready`: zero if it is, none if it is
    /// not ready at all.
    pub(crate) fn available_in(&self, min_ready: Duration, now: Timestamp) -> Option<Duration> {
        if !self.ready {
            return None;
        }
        if min_ready.is_zero() {
            return Some(Duration::ZERO);
        }
        // A pod that became ready at an unknown time must wait all of it.
        let ready_for = now.duration_since(self.ready_changed?);
        let ready_for = Duration::try_from(ready_for).unwrap_or_default();
        Some(min_ready.saturating_sub(ready_for))
    }
}

/// A reference to a pod, for events about it.
pub(crate) fn pod_reference(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

impl Claimable for PodView {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn controller_uid(&self) -> Option<&str> {
        self.controller_uid.as_deref()
    }

    fn is_deleting(&self) -> bool {
        self.deleting.is_some()
    }
}

/// Reads one top-level field; its default where it is absent.
pub(crate) fn part<'a, T: Default + Deserialize<'a>>(
    object: &'a Document,
    field: &str,
) -> Result<T, DocumentError> {
    match object.field(field) {
        Some(json) => Ok(serde_json::from_str(json)?),
        None => Ok(T::default()),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec<'a> {
    #[serde(borrow)]
    node_name: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus<'a> {
    #[serde(borrow)]
    phase: Option<Cow<'a, str>>,
    #[serde(borrow)]
    conditions: Option<Vec<WireCondition<'a>>>,
    container_statuses: Option<Vec<WireContainer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCondition<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    last_transition_time: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    #[serde(default)]
    restart_count: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(json: &'static str) -> PodView {
        PodView::new(&Document::parse(json.into()).unwrap()).unwrap()
    }

    #[test]
    fn a_view_keeps_what_controllers_ask_for() {
        let json = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"default","uid":"u1",
            "labels":{"app":"web"},"annotations":{"controller.kubernetes.io/pod-deletion-cost":"-5"},
            "creationTimestamp":"2026-01-01T00:00:00Z",
            "ownerReferences":[{"uid":"no","kind":"X","apiVersion":"v1","name":"x"},
              {"uid":"rs","kind":"ReplicaSet","apiVersion":"apps/v1","name":"web","controller":true}]},
            "spec":{"nodeName":"n1","containers":[{"name":"c","image":"i"}]},
            "status":{"phase":"Running","conditions":[
              {"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:10Z"}],
              "containerStatuses":[{"name":"c","restartCount":3},{"name":"d","restartCount":1}]}}"#;
        let pod = view(json);
        assert_eq!(
            (&*pod.name, &*pod.uid, pod.controller_uid.as_deref()),
            ("web-1", "u1", Some("rs"))
        );
        assert_eq!(
            (pod.node.as_deref(), pod.phase, pod.ready),
            (Some("n1"), Phase::Running, true)
        );
        assert_eq!((pod.restarts, pod.deletion_cost, pod.is_active()), (3, -5, true));
        let now: Timestamp = "2026-01-01T00:00:14Z".parse().unwrap();
        let in_ = |seconds| pod.available_in(Duration::from_secs(seconds), now);
        assert_eq!(
            (in_(0), in_(4), in_(10)),
            (
                Some(Duration::ZERO),
                Some(Duration::ZERO),
                Some(Duration::from_secs(6))
            )
        );
    }

    #[test]
    fn a_pod_just_created_is_pending_and_unbound() {
        let pod = view(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"nodeName":""}}"#);
        assert_eq!((pod.phase, pod.node, pod.ready), (Phase::Pending, None, false));
    }

    #[test]
    fn a_phase_is_read_whatever_it_says() {
        for (json, phase) in [
            (r#""Succeeded""#, Phase::Succeeded),
            (r#""""#, Phase::Pending),
            ("null", Phase::Pending),
            (r#""Evicted""#, Phase::Unknown),
        ] {
            let json = format!(
                r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"a"}},"status":{{"phase":{json}}}}}"#
            );
            let pod = PodView::new(&Document::parse(json.clone().into()).unwrap()).unwrap();
            assert_eq!(pod.phase, phase, "{json}");
        }
    }
}
