//! What the scheduler keeps of a pod: some 200 bytes, most of them shared with its siblings.

use std::borrow::Cow;
use std::sync::Arc;

use orch_core::object::{Document, DocumentError, ObjectMeta};
use orch_core::scheduler::{Key, Request};
use serde::Deserialize;

use super::template::Templates;
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
    Waiting { scheduler: Arc<str> },
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
    pub(super) fn new(pod: &Document, templates: &Templates) -> Result<Self, DocumentError> {
        let meta = pod.meta();
        let (template, node) = templates.read(pod)?;
        let status: WireStatus<'_> = part(pod, "status")?;
        let stage = if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            Stage::Finished
        } else if let Some(node) = node {
            Stage::Bound { node }
        } else if meta.is_deleting() || template.is_gated {
            Stage::Held
        } else {
            Stage::Waiting {
                scheduler: template.scheduler.clone(),
            }
        };
        Ok(Self {
            uid: meta.uid.as_str().into(),
            request: Request::new(Key::from(pod.key().as_str()), template.shape.clone())
                .priority(template.priority)
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
    phase: Option<Cow<'a, str>>,
}
