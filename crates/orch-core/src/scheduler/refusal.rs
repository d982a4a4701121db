//! Why a request has no place.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// No node fits, and why.
///
/// Every node is counted under exactly one cause, the first check it failed, so the counts add up to `nodes`.
///
/// ```text
/// 0/12 nodes fit: 8 lack memory (need 2Gi, most free 1.2Gi), 4 are cordoned
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many nodes there are.
    pub nodes: usize,
    /// Why they do not fit, the commonest cause first.
    pub causes: Arc<[Cause]>,
}

/// One reason, and how many nodes it rules out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is wrong with them.
    pub reason: Reason,
    /// How many they are; at least one.
    pub nodes: usize,
    /// The same as a predicate that follows the number: `lack memory (need 2Gi, most free 1.2Gi)`.
    pub detail: String,
}

/// What can be wrong with a node, for programs; people read [`Cause::detail`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// It is closed to new placements.
    Cordoned,
    /// It is not the node asked for by name.
    NodeName,
    /// It lacks a label of the selector.
    Selector,
    /// It matches none of the affinity terms.
    Affinity,
    /// It has this taint, which is not tolerated.
    Taint(String),
    /// A host port is taken.
    HostPort,
    /// It has too little left of this resource.
    Resource(String),
    /// The scheduler has no profile of this name.
    Profile(String),
    /// A plugin of the embedder's own, by its name.
    Other(Cow<'static, str>),
}

impl Refusal {
    /// A refusal with its causes brought into order: by count, then by reason.
    pub(super) fn new(nodes: usize, mut causes: Vec<Cause>) -> Self {
        causes.retain(|cause| cause.nodes > 0);
        causes.sort_by(|a, b| {
            let by_count = b.nodes.cmp(&a.nodes);
            by_count.then_with(|| (&a.reason, &a.detail).cmp(&(&b.reason, &b.detail)))
        });
        Self {
            nodes,
            causes: causes.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0/{} nodes fit: ", self.nodes)?;
        if self.causes.is_empty() {
            return f.write_str("there are none");
        }
        for (index, cause) in self.causes.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.nodes, self.detail)
    }
}
