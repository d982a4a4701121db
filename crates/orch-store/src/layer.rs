//! What the newest commits made of the keys that they changed, in memory until the file has it.

use std::ops::Bound;
use std::sync::Arc;

use orch_core::store::changelog::{Commit, LogBounds, Version};
use orch_core::store::{Key, Prefix};
use rpds::RedBlackTreeMapSync;

/// How much of the newest history is held in memory: for watchers who keep up, and until the file has it.
pub(crate) const LIVE: LogBounds = LogBounds {
    commits: 16_384,
    bytes: 32 << 20,
};

/// Least bytes of a layer, however little history is kept in the file.
const LAYER_BYTES_LEAST: u64 = 256 << 10;

/// What changed keys hold; none where they were deleted. A clone is a snapshot, and costs next to nothing.
#[derive(Clone)]
pub(crate) struct Layer(RedBlackTreeMapSync<Key, Option<Version>>);

impl Layer {
    pub(crate) fn get(&self, key: &Key) -> Option<&Option<Version>> {
        self.0.get(key)
    }

    /// The keys under `prefix` from `start` on, which is not before it.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        start: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Option<Version>)> {
        self.0
            .range::<[u8], _>((Bound::Included(start.as_ref()), Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
    }

    /// All of it, in order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Option<Version>)> {
        self.0.iter()
    }

    fn apply(&mut self, commit: &Commit) {
        for record in commit.records() {
            self.0.insert_mut(record.key.clone(), record.current.clone());
        }
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

/// The layer that grows, with the commits that it is made of.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    pub(crate) layer: Layer,
    /// Oldest first, without gap.
    pub(crate) commits: Vec<Arc<Commit>>,
    cost: usize,
}

impl Pending {
    /// Adds the commits that come next.
    pub(crate) fn extend(&mut self, commits: &[Arc<Commit>]) {
        for commit in commits {
            self.layer.apply(commit);
        }
        self.cost += cost(commits);
        self.commits.extend_from_slice(commits);
    }
}

/// How large a layer may grow.
///
/// The log in memory has room for two of them, the one that grows and the one that a checkpoint is bringing into
/// the file: so it always holds all commits that the file does not.
pub(crate) struct Room(LogBounds);

impl Room {
    /// Half of the log in memory; less if little history is kept, since what is in memory alone is beyond that
    /// which the file keeps.
    pub(crate) fn new(live: LogBounds, history_bytes: u64) -> Self {
        let bytes = usize::try_from((history_bytes / 16).max(LAYER_BYTES_LEAST)).unwrap_or(usize::MAX);
        Self(LogBounds {
            commits: live.commits / 2,
            bytes: bytes.min(live.bytes / 2),
        })
    }

    /// Whether these commits fit into an empty layer.
    pub(crate) fn holds(&self, commits: &[Arc<Commit>]) -> bool {
        self.holds_more(&Pending::default(), commits)
    }

    /// Whether these commits fit in beside those that are there.
    pub(crate) fn holds_more(&self, pending: &Pending, commits: &[Arc<Commit>]) -> bool {
        pending.cost + cost(commits) <= self.0.bytes
            && pending.commits.len() + commits.len() <= self.0.commits
    }

    /// Whether a layer is worth a checkpoint, if none is under way.
    pub(crate) fn is_half_full(&self, pending: &Pending) -> bool {
        pending.cost >= self.0.bytes / 2 || pending.commits.len() >= self.0.commits / 2
    }
}

fn cost(commits: &[Arc<Commit>]) -> usize {
    commits.iter().map(|commit| commit.cost()).sum()
}
