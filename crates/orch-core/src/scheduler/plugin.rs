//! What decides which nodes fit and which of them is best.

use std::sync::Arc;

use super::{Cause, NodeState, Requirements};

/// The best score a [`Score`] gives.
pub const MAX_SCORE: u32 = 10_000;

/// Which part of a node, and of a request, a plugin looks at. What it says is remembered until that part changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Only what the node itself is: name, labels, taints, allocatable resources.
    Node,
    /// Also what is placed on it, but not which [groups](Requirements::group) that is of, nor of which the
    /// request is.
    Usage,
    /// Also that. Such a score should be the best there is on a node without placements of the request's
    /// group: then the best node is found without looking at all of them.
    Group,
}

/// Says whether a node can take a request.
///
/// A filter is a pure function of the requirements and the node: the engine remembers its answers and asks
/// again only about nodes that changed. If it reads anything else, call
/// [`Engine::invalidate`](super::Engine::invalidate) whenever that changes.
///
/// ```
/// use orch_core::scheduler::{Filter, NodeState, Reads, Requirements};
///
/// /// Keeps requests off nodes that run an older kernel than they ask for.
/// struct Kernel;
///
/// impl Filter for Kernel {
///     fn name(&self) -> &'static str {
///         "kernel"
///     }
///     fn reads(&self) -> Reads {
///         Reads::Node
///     }
///     fn applies(&self, needs: &Requirements) -> bool {
///         needs.attributes.contains_key("kernel")
///     }
///     fn check(&self, needs: &Requirements, node: &NodeState) -> bool {
///         node.label("kernel") >= needs.attributes.get("kernel").map(String::as_str)
///     }
/// }
/// ```
pub trait Filter: Send + Sync {
    /// A short name that says what it checks.
    fn name(&self) -> &'static str;

    /// What it looks at.
    fn reads(&self) -> Reads;

    /// Whether it has anything to say about such a request; if not, it is never asked. It may depend on whether the
    /// request has a group, but not on which.
    fn applies(&self, needs: &Requirements) -> bool {
        let _ = needs;
        true
    }

    /// Whether `node` can take it.
    fn check(&self, needs: &Requirements, node: &NodeState) -> bool;

    /// Says why `failed`, nodes for which [`check`](Self::check) was false, were. Asked only once no node
    /// fits, so it may take its time. The counts must add up to `failed.len()`.
    fn explain(&self, needs: &Requirements, failed: &[&NodeState]) -> Vec<Cause> {
        let _ = needs;
        let verb = if failed.len() == 1 { "fails" } else { "fail" };
        vec![Cause {
            reason: super::Reason::Other(self.name().into()),
            nodes: failed.len(),
            detail: format!("{verb} the check {:?}", self.name()),
        }]
    }
}

/// Says how good a node is for a request that it can take. Pure in the same sense as [`Filter`].
pub trait Score: Send + Sync {
    /// A short name that says what it measures.
    fn name(&self) -> &'static str;

    /// What it looks at.
    fn reads(&self) -> Reads;

    /// Whether it tells nodes apart for such a request; if not, it is never asked. It may depend on whether the
    /// request has a group, but not on which.
    fn applies(&self, needs: &Requirements) -> bool {
        let _ = needs;
        true
    }

    /// How good `node` is: 0 to [`MAX_SCORE`] (more counts as that), on a scale that does not depend on the
    /// other nodes.
    fn score(&self, needs: &Requirements, node: &NodeState) -> u32;
}

/// A set of plugins under a name. Requests choose it by [`Requirements::profile`].
#[derive(Clone)]
pub struct Profile {
    pub(super) name: String,
    pub(super) filters: Vec<Arc<dyn Filter>>,
    pub(super) scores: Vec<(Arc<dyn Score>, u32)>,
}

impl Profile {
    /// No plugins at all: every node fits and none is better.
    pub fn empty(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            filters: Vec::new(),
            scores: Vec::new(),
        }
    }

    /// Adds a filter after the others. Order matters only to explanations: a node is counted under the first
    /// filter it fails.
    #[must_use]
    pub fn filter(mut self, filter: impl Filter + 'static) -> Self {
        self.filters.push(Arc::new(filter));
        self
    }

    /// Adds a score, multiplied by `weight` in the sum of all.
    #[must_use]
    pub fn score(mut self, score: impl Score + 'static, weight: u32) -> Self {
        self.scores.push((Arc::new(score), weight));
        self
    }
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filters: Vec<_> = self.filters.iter().map(|filter| filter.name()).collect();
        let scores: Vec<_> = self
            .scores
            .iter()
            .map(|(score, weight)| (score.name(), weight))
            .collect();
        f.debug_struct("Profile")
            .field("name", &self.name)
            .field("filters", &filters)
            .field("scores", &scores)
            .finish()
    }
}
