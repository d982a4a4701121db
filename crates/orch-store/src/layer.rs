//! What the newest commits made of the keys that they changed, in memory until the file has it.

use std::ops::Bound;
use std::sync::{Arc, LazyLock};

use orch_core::store::changelog::{Commit, LogBounds, Version};
use orch_core::store::{Key, Prefix};
use rpds::RedBlackTreeMapSync;

/// How much of the newest history is held in memory: for watchers who keep up, and until the file has it.
pub(crate) const LIVE: LogBounds = LogBounds {
    commits: 32_768,
    bytes: 64 << 20,
};

/// Least bytes of a layer, however little history is kept in the file.
const LAYER_BYTES_LEAST: u64 = 256 << 10;

/// What changed keys hold; none where they were deleted. A clone is a snapshot, and costs next to nothing.
///
/// It is made when somebody first looks at it, who may be the writer: that answers first and [makes](Self::make) it then,
/// which is less than a millisecond for a whole group.
#[derive(Clone)]
pub(crate) struct Layer(Arc<LazyLock<Map, Recipe>>);

type Map = RedBlackTreeMapSync<Key, Option<Version>>;
type Recipe = Box<dyn FnOnce() -> Map + Send>;

impl Layer {
    pub(crate) fn get(&self, key: &Key) -> Option<&Option<Version>> {
        self.make().get(key)
    }

    /// The keys under `prefix` from `start` on, which is not before it.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a Prefix,
        start: &'a Key,
    ) -> impl Iterator<Item = (&'a Key, &'a Option<Version>)> {
        self.make()
            .range::<[u8], _>((Bound::Included(start.as_ref()), Bound::Unbounded))
            .take_while(|(key, _)| prefix.contains(key))
    }

    /// All of it, in order of the keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Option<Version>)> {
        self.make().iter()
    }

    /// What these commits make of it.
    fn after(&self, commits: Vec<Arc<Commit>>) -> Self {
        let before = self.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || {
            let mut map = before.make().clone();
            for record in commits.iter().flat_map(|commit| commit.records()) {
                map.insert_mut(record.key.clone(), record.current.clone());
            }
            map
        }))))
    }

    /// Makes it now, unless it is.
    pub(crate) fn make(&self) -> &Map {
        &self.0
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self(Arc::new(LazyLock::new(Box::new(Map::new_sync))))
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
    /// Adds the commits that come next. The layer that they make is to be [made](Layer::make) before the next are added, or
    /// the last would have to make them all.
    pub(crate) fn extend(&mut self, commits: &[Arc<Commit>]) {
        self.layer = self.layer.after(commits.to_vec());
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
        let bytes = usize::try_from((history_bytes / 8).max(LAYER_BYTES_LEAST)).unwrap_or(usize::MAX);
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

    /// How much of it a layer takes, in whole quarters.
    pub(crate) fn quarters(&self, pending: &Pending) -> usize {
        quarters(pending.cost, self.0.bytes).max(quarters(pending.commits.len(), self.0.commits))
    }
}

/// How much of `all` is used, in whole quarters.
pub(crate) fn quarters(used: usize, all: usize) -> usize {
    used.saturating_mul(4) / all.max(1)
}

fn cost(commits: &[Arc<Commit>]) -> usize {
    commits.iter().map(|commit| commit.cost()).sum()
}
