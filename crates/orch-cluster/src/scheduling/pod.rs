//! What the scheduler keeps of a pod: some 200 bytes, most of them shared with its siblings.

use orch_core::object::{Document, DocumentError, ObjectMeta};
use orch_core::scheduler::{Group, Key, Request, Shape};
use serde::Deserialize;

use super::requirements::Spec;
use crate::controllers::part;

/// A pod as the scheduler sees it.
#[derive(Clone, Debug)]
pub(super) struct PodEntry {
    pub(super) uid: Box<str>,
    /// `namespace/name`, with its priority, age and shape.
    pub(super) request: Request,
    pub(super) stage: Stage,
}

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be placed by the scheduler of this name.
    Waiting { scheduler: Box<str> },
    /// Not to be placed yet (`spec.schedulingGates`), or not any more: it is being deleted.
    Held,
    /// On this node.
    Bound { node: Box<str> },
    /// Over: it takes up no room.
    Finished,
}

/// The name of the scheduler for pods that name none.
pub(super) const DEFAULT_SCHEDULER: &str = "default-scheduler";

impl PodEntry {
    pub(super) fn new(pod: &Document) -> Result<Self, DocumentError> {
        let meta = pod.meta();
        let spec: Spec<'_> = part(pod, "spec")?;
        let status: WireStatus<'_> = part(pod, "status")?;
        let node = spec.node_name.as_deref().filter(|node| !node.is_empty());
        let is_held = meta.is_deleting()
            || spec
                .scheduling_gates
                .as_ref()
                .is_some_and(|gates| !gates.is_empty());
        let stage = if matches!(status.phase, Some("Succeeded" | "Failed")) {
            Stage::Finished
        } else if let Some(node) = node {
            Stage::Bound { node: node.into() }
        } else if is_held {
            Stage::Held
        } else {
            Stage::Waiting {
                scheduler: spec.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER).into(),
            }
        };
        let shape = Shape::from(spec.requirements(meta.controller().map(|owner| Group::new(&owner.uid))));
        Ok(Self {
            uid: meta.uid.as_str().into(),
            request: Request::new(Key::from(pod.key().as_str()), shape)
                .priority(spec.priority.unwrap_or(0))
                .order(age_order(meta)),
            stage,
        })
    }
}

/// Older pods go first among those of equal priority.
fn age_order(meta: &ObjectMeta) -> u64 {
    let created = meta.creation_timestamp.map_or(0, jiff::Timestamp::as_second);
    u64::try_from(created).unwrap_or(0)
}

#[derive(Default, Deserialize)]
struct WireStatus<'a> {
    #[serde(borrow)]
    phase: Option<&'a str>,
}
