//! What is where: the nodes by dense index, what is placed on them, and which of them changed lately.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::{Key, Node, NodeState, Shape};

/// How many of the latest changes are remembered one by one. Whoever lags further behind looks at all nodes.
const CHANGES: usize = 8192;

/// An entry for a node: one that exists, or one that does not but has placements.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: NodeState,
    /// Whether the node exists.
    pub(super) present: bool,
    /// The change that last touched the entry at all.
    changed_at: u64,
    /// The change that last touched what the node itself is.
    pub(super) described_at: u64,
}

/// A placement.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) slot: u32,
    pub(super) bound: bool,
    shape: Shape,
}

/// Nodes, placements, and a log of changes.
#[derive(Debug)]
pub(super) struct Ledger {
    slots: Vec<Slot>,
    by_name: HashMap<Arc<str>, u32>,
    vacant: Vec<u32>,
    present: usize,
    held: HashMap<Key, Held>,
    /// The slots changed, newest at `(changes - 1) % CHANGES`.
    log: Box<[u32]>,
    changes: u64,
    strings: Strings,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            by_name: HashMap::new(),
            vacant: Vec::new(),
            present: 0,
            held: HashMap::new(),
            log: vec![0; CHANGES].into(),
            changes: 0,
            strings: Strings::default(),
        }
    }

    /// Every entry; those of nodes that do not exist are not [`present`](Slot::present).
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many nodes exist.
    pub(super) fn present(&self) -> usize {
        self.present
    }

    /// The entry of the node with this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).map(|slot| *slot as usize)
    }

    pub(super) fn held(&self, key: &str) -> Option<&Held> {
        self.held.get(key)
    }

    /// Every placement, in no particular order.
    pub(super) fn all_held(&self) -> impl Iterator<Item = (&Key, &Held)> {
        self.held.iter()
    }

    /// The number of changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The entries changed since there were `since` changes, each once; none if that is too long ago.
    pub(super) fn changed_since(&self, since: u64) -> Option<impl Iterator<Item = usize>> {
        let known = self.changes - since <= CHANGES as u64;
        known.then(|| {
            (since..self.changes).filter_map(|change| {
                let slot = self.log[(change % CHANGES as u64) as usize] as usize;
                // Only its latest mention counts.
                (self.slots[slot].changed_at == change + 1).then_some(slot)
            })
        })
    }

    /// Adds or replaces a node; whether anything changed.
    pub(super) fn describe(&mut self, node: Node) -> bool {
        let slot = self.slot(&node.name);
        let entry = &mut self.slots[slot];
        if entry.present && entry.state.is_described_by(&node) {
            return false;
        }
        self.present += usize::from(!entry.present);
        entry.present = true;
        entry.state.describe(node, &mut |text| self.strings.shared(text));
        self.touch(slot);
        self.slots[slot].described_at = self.changes;
        true
    }

    /// Removes a node; whether it was there. Its placements stay.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(slot) = self.find(name).filter(|slot| self.slots[*slot].present) else {
            return false;
        };
        self.slots[slot].present = false;
        self.present -= 1;
        self.touch(slot);
        self.slots[slot].described_at = self.changes;
        self.vacate(slot);
        true
    }

    /// Counts a placement on an entry. The key must hold no place.
    pub(super) fn hold(&mut self, key: Key, slot: usize, shape: Shape, bound: bool) {
        self.slots[slot].state.add(&shape);
        self.touch(slot);
        let slot = slot as u32; // see `slot`
        let before = self.held.insert(key, Held { slot, bound, shape });
        debug_assert!(before.is_none(), "a key holds one place");
    }

    /// Says that `key` is bound to the node with this name, whatever was known of it before.
    pub(super) fn bind(&mut self, key: &Key, node: &str, shape: &Shape) {
        let slot = self.slot(node);
        if let Some(held) = self.held.get_mut(key)
            && held.slot as usize == slot
            && held.shape == *shape
        {
            held.bound = true;
            return;
        }
        // Counted in before the old place is counted out, so that the entry is not vacated in between.
        let before = self.held.remove(key);
        self.hold(key.clone(), slot, shape.clone(), true);
        if let Some(before) = before {
            self.count_out(&before);
        }
    }

    /// Takes a placement away; the name of the node it leaves.
    pub(super) fn release(&mut self, key: &str) -> Option<Arc<str>> {
        let held = self.held.remove(key)?;
        let name = self.slots[held.slot as usize].state.shared_name();
        self.count_out(&held);
        Some(name)
    }

    fn count_out(&mut self, held: &Held) {
        let slot = held.slot as usize;
        self.slots[slot].state.remove(&held.shape);
        self.touch(slot);
        self.vacate(slot);
    }

    /// The entry of a node, made if there is none.
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.find(name) {
            return slot;
        }
        let name: Arc<str> = name.into();
        let entry = Slot {
            state: NodeState::unknown(name.clone()),
            present: false,
            changed_at: 0,
            described_at: 0,
        };
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                u32::try_from(self.slots.len() - 1).expect("four thousand million nodes do not fit in memory")
            }
        };
        self.by_name.insert(name, slot);
        let slot = slot as usize;
        self.touch(slot);
        self.slots[slot].described_at = self.changes;
        slot
    }

    /// Frees the entry of a node that neither exists nor has placements.
    fn vacate(&mut self, slot: usize) {
        let entry = &self.slots[slot];
        if !entry.present && entry.state.placements() == 0 {
            self.by_name.remove(entry.state.name());
            self.vacant.push(slot as u32);
        }
    }

    fn touch(&mut self, slot: usize) {
        self.log[(self.changes % CHANGES as u64) as usize] = slot as u32;
        self.changes += 1;
        self.slots[slot].changed_at = self.changes;
    }
}

/// Label keys and values, each held once: nodes of one cluster share nearly all of theirs.
#[derive(Debug, Default)]
struct Strings {
    all: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Strings {
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.all.get(text) {
            return shared.clone();
        }
        if self.all.len() >= self.sweep_at {
            // Forgets what no node uses any more; done each time the number has doubled.
            self.all.retain(|shared| Arc::strong_count(shared) > 1);
            self.sweep_at = (2 * self.all.len()).max(1024);
        }
        let shared: Arc<str> = text.into();
        self.all.insert(shared.clone());
        shared
    }
}
