//! Decides where things go.
//!
//! A [`Scheduler`] is told which [`Node`]s there are and what already runs on them, and finds a place for
//! [`Request`]s. It speaks neutral words: whatever has a size and conditions on where it may go can be
//! placed, pod or not. [`Engine`] is the shipped one; [`Queue`] keeps the requests that wait for a place.
//!
//! The loop that an embedder runs around the two:
//!
//! 1. Watch nodes and placements: [`set_node`](Scheduler::set_node), [`remove_node`](Scheduler::remove_node),
//!    [`set_placement`](Scheduler::set_placement), [`remove_placement`](Scheduler::remove_placement); where
//!    that may have made room, [`Queue::wake`] with [`fits`](Scheduler::fits).
//! 2. [`Queue::pop`] the next request and [`place`](Scheduler::place) it. The place is held from then on, so
//!    the next one can be decided before this one is written.
//! 3. Refused: show the [`Refusal`] and [`Queue::refused`]. Placed: [`Queue::placed`], and write the binding.
//! 4. The write succeeded: the watch will confirm it, by `set_placement` and [`Queue::remove`]. It failed:
//!    [`forget`](Scheduler::forget) it and [`Queue::failed`].

mod engine;
mod filters;
mod node;
mod plugin;
mod queue;
mod refusal;
mod request;
mod resources;
mod scores;
mod select;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use engine::{Engine, EngineBuilder};
pub use filters::{
    AffinityFilter, CordonFilter, HostPortFilter, NodeNameFilter, ResourceFilter, SelectorFilter, TaintFilter,
};
pub use node::{Effect, Node, Taint};
pub use plugin::{Filter, MAX_SCORE, Profile, Reads, Score};
pub use queue::{Depth, Popped, Queue, QueueOptions};
pub use refusal::{Cause, Reason, Refusal};
pub use request::{Group, HostPort, Key, Protocol, Request, Requirements, Shape, Toleration};
pub use resources::{AMOUNT_LIMIT, Resources, format_amount};
pub use scores::{
    BalancedScore, GroupSpreadScore, LeastAllocatedScore, MostAllocatedScore, PreferenceScore, TaintScore,
};
pub use select::{Condition, Operator, Preference, Subject, Term};
pub use state::NodeState;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node's name.
    pub node: Arc<str>,
    /// How good the node was, on a scale of the scheduler's own; 0 if the place was held before the call.
    pub score: u32,
}

/// Finds places for requests.
///
/// All methods may be called from any number of threads at once and take effect one at a time. None blocks
/// on anything but the others, and none does input or output: a scheduler decides, the caller acts. It lives
/// in memory alone; after a restart the caller feeds it anew.
///
/// What is placed is either *bound*, because the caller saw it there, or *assumed*, because `place` chose the
/// node and the caller has not seen it there yet. Both take up room alike.
///
/// ```
/// use orch_core::scheduler::{Engine, Node, Request, Requirements, Resources, Scheduler};
///
/// let scheduler = Engine::default();
/// scheduler.set_node(Node::new("n1", Resources::new(1_000, 1 << 30).slots(110)));
///
/// let needs = Requirements::of(Resources::new(600, 1 << 20).slots(1));
/// let first = scheduler.place(&Request::new("a", needs.clone())).unwrap();
/// assert_eq!(&*first.node, "n1");
///
/// let refusal = scheduler.place(&Request::new("b", needs.clone())).unwrap_err();
/// assert_eq!(refusal.to_string(), "0/1 nodes fit: 1 lacks cpu (need 600m, most free 400m)");
///
/// scheduler.forget("a"); // it could not be bound after all
/// assert!(scheduler.place(&Request::new("b", needs)).is_ok());
/// ```
pub trait Scheduler: Send + Sync {
    /// Adds a node or replaces what is known of it. Placements on it stay counted.
    ///
    /// Returns whether anything changed; telling the same twice changes nothing and costs little.
    fn set_node(&self, node: Node) -> bool;

    /// Removes a node, so that nothing more is placed there. Placements on it stay counted until they are
    /// removed themselves, and count again if the node comes back.
    ///
    /// Returns whether it was known.
    fn remove_node(&self, name: &str) -> bool;

    /// Says that `key`, of this shape, is bound to `node`, whether this scheduler placed it or not.
    ///
    /// The caller's word is final: it confirms an assumption, moves a placement known on another node,
    /// replaces the shape of one that was resized, and may overcommit the node. The node need not be known yet.
    /// Telling the same twice changes nothing.
    fn set_placement(&self, key: &Key, node: &str, shape: &Shape);

    /// Says that `key` takes up no room any more: it ended or was deleted. Returns the node it leaves.
    fn remove_placement(&self, key: &str) -> Option<Arc<str>>;

    /// Finds a node for `request` and holds the place (*assumes* it).
    ///
    /// - Once it has returned `Ok`, the room is taken: no later call gives it away, until the placement is
    ///   removed or forgotten. The caller now binds the request and reports how that went.
    /// - `Err` means that no known node fits as things are, and changes nothing. It never means that a
    ///   node that fits was overlooked.
    /// - Called again for a key that holds a place, it returns that place. An assumed place on a node
    ///   that is gone is given up and another one sought.
    /// - The same calls in the same order give the same answers.
    fn place(&self, request: &Request) -> Result<Placement, Refusal>;

    /// Gives up an assumed place because binding failed. Returns the node it leaves.
    ///
    /// Does nothing if `key` holds no place, or is bound: a late report of failure does not undo what was seen.
    fn forget(&self, key: &str) -> Option<Arc<str>>;

    /// Whether `node` could take `request` now. Holds nothing; for [`Queue::wake`].
    fn fits(&self, request: &Request, node: &str) -> bool;
}
