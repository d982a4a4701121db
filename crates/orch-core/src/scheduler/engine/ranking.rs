//! All nodes ranked by their keys, brought up to date when that pays.

use super::applied::{Fixed, Key};
use super::ledger::{Ledger, Slot};
use super::tree::Tree;

/// A ranking of all nodes that may lag behind the ledger.
///
/// Rent or buy: while it lags too far, requests are placed by looking at a sample of nodes, until the samples have
/// cost as much as bringing it up to date would. The total is then at most about twice that of the better of
/// the two, whatever requests come.
#[derive(Default)]
pub(super) struct Ranking {
    index: Option<Index>,
    /// Nodes looked at in samples since it was last up to date.
    debt: usize,
}

struct Index {
    tree: Tree,
    fixed: Vec<Fixed>,
    /// The number of changes it takes into account.
    as_of: u64,
}

impl Ranking {
    pub(super) fn is_built(&self) -> bool {
        self.index.is_some()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many nodes must be looked at to bring it up to date.
    pub(super) fn behind(&self, ledger: &Ledger) -> usize {
        let all = ledger.slots().len();
        self.index.as_ref().map_or(all, |index| {
            let behind = usize::try_from(ledger.changes() - index.as_of);
            behind.map_or(all, |behind| behind.min(all))
        })
    }

    /// Adds the cost of a sample.
    pub(super) fn owe(&mut self, nodes: usize) {
        self.debt = self.debt.saturating_add(nodes);
    }

    /// The tree brought up to date, if that costs no more than a sample or than the samples so far.
    pub(super) fn current(
        &mut self,
        ledger: &Ledger,
        sample: usize,
        mut rank: impl FnMut(&Slot, &mut Fixed, usize) -> Key,
    ) -> Option<&Tree> {
        let behind = self.behind(ledger);
        if behind > sample && behind > self.debt {
            return None;
        }
        self.debt = 0;
        let slots = ledger.slots();
        let caught_up = self
            .index
            .as_mut()
            .is_some_and(|index| index.catch_up(ledger, &mut rank));
        if !caught_up {
            let mut fixed = self.index.take().map_or_else(Vec::new, |index| index.fixed);
            fixed.resize(slots.len(), Fixed::STALE);
            let tree = Tree::build(slots.len(), |position| {
                rank(&slots[position], &mut fixed[position], position)
            });
            let as_of = ledger.changes();
            self.index = Some(Index { tree, fixed, as_of });
        }
        self.index.as_ref().map(|index| &index.tree)
    }
}

impl Index {
    /// Ranks anew the nodes that changed; false if there is no room for all nodes, or there were too many changes to
    /// know which.
    fn catch_up(&mut self, ledger: &Ledger, rank: &mut impl FnMut(&Slot, &mut Fixed, usize) -> Key) -> bool {
        let slots = ledger.slots();
        if self.tree.room() < slots.len() {
            return false;
        }
        let Some(changed) = ledger.changed_since(self.as_of) else {
            return false;
        };
        self.fixed.resize(slots.len(), Fixed::STALE);
        for position in changed {
            let key = rank(&slots[position], &mut self.fixed[position], position);
            self.tree.set(position, key);
        }
        self.as_of = ledger.changes();
        true
    }
}
