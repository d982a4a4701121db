//! A tournament tree: the largest of many keys at hand, one key changed in logarithmic time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Keys by position; 0 means none. Of equal keys the one at the lower position wins.
#[derive(Debug)]
pub(super) struct Tree {
    /// A binary heap's layout: the root at 1, the children of `i` at `2i` and `2i + 1`, position `p` at
    /// `positions + p`. Each inner entry is the larger of its children.
    keys: Vec<u64>,
    positions: usize,
}

impl Tree {
    /// A tree with room for at least `positions` keys, which `key` gives.
    pub(super) fn build(positions: usize, mut key: impl FnMut(usize) -> u64) -> Self {
        let room = positions.next_power_of_two();
        let mut keys = vec![0; 2 * room];
        for position in 0..positions {
            keys[room + position] = key(position);
        }
        for index in (1..room).rev() {
            keys[index] = keys[2 * index].max(keys[2 * index + 1]);
        }
        Self {
            keys,
            positions: room,
        }
    }

    /// How many positions there are.
    pub(super) fn room(&self) -> usize {
        self.positions
    }

    /// Changes the key at `position`, which must be less than [`room`](Self::room).
    pub(super) fn set(&mut self, position: usize, key: u64) {
        let mut index = self.positions + position;
        self.keys[index] = key;
        while index > 1 {
            index /= 2;
            let larger = self.keys[2 * index].max(self.keys[2 * index + 1]);
            if self.keys[index] == larger {
                return; // nothing above can change
            }
            self.keys[index] = larger;
        }
    }

    /// The largest key and its position, if any is not 0.
    pub(super) fn best(&self) -> Option<(usize, u64)> {
        let best = self.keys[1];
        if best == 0 {
            return None;
        }
        let mut index = 1;
        while index < self.positions {
            index *= 2;
            if self.keys[index] != best {
                index += 1;
            }
        }
        Some((index - self.positions, best))
    }
}

/// The keys from the largest down, one at a time: a search from the root by largest key first.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// Entries whose children were not looked at yet; of equal keys the one nearer the root comes first.
    open: BinaryHeap<(u64, Reverse<usize>)>,
}

impl Descent {
    /// Starts anew, at the top of `tree`.
    pub(super) fn start(&mut self, tree: &Tree) {
        self.open.clear();
        self.open(tree, 1);
    }

    /// The next largest key and its position. `tree` is the one it was started on, unchanged.
    pub(super) fn next(&mut self, tree: &Tree) -> Option<(usize, u64)> {
        loop {
            let (key, Reverse(index)) = self.open.pop()?;
            if index >= tree.positions {
                return Some((index - tree.positions, key));
            }
            self.open(tree, 2 * index);
            self.open(tree, 2 * index + 1);
        }
    }

    fn open(&mut self, tree: &Tree, index: usize) {
        if tree.keys[index] > 0 {
            self.open.push((tree.keys[index], Reverse(index)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_is_the_first_of_the_largest(
            start in prop::collection::vec(0_u64..20, 1..40),
            changes in prop::collection::vec((0_usize..40, 0_u64..20), 0..60),
        ) {
            let mut keys = start;
            let mut tree = Tree::build(keys.len(), |position| keys[position]);
            for (position, key) in changes {
                let position = position % keys.len();
                keys[position] = key;
                tree.set(position, key);
                let largest = keys.iter().copied().max().unwrap_or(0);
                let expected = keys.iter().position(|key| *key == largest).filter(|_| largest > 0);
                prop_assert_eq!(tree.best(), expected.map(|position| (position, largest)));

                let mut descent = Descent::default();
                descent.start(&tree);
                let mut down: Vec<_> = std::iter::from_fn(|| descent.next(&tree)).collect();
                prop_assert!(down.is_sorted_by_key(|(_, key)| std::cmp::Reverse(*key)));
                down.sort();
                let positive = keys.iter().copied().enumerate().filter(|(_, key)| *key > 0);
                prop_assert_eq!(down, positive.collect::<Vec<_>>());
            }
        }
    }
}
