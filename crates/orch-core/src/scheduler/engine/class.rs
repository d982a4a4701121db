//! All requests of one shape: which plugins concern them, and the best node for them.

use std::sync::Arc;

use super::super::{Cause, Filter, MAX_SCORE, NodeState, Profile, Reads, Reason, Refusal, Score, Shape};
use super::ledger::{Ledger, Slot};
use super::tree::Tree;

/// A node chosen: its entry and its key.
pub(super) type Choice = (usize, u64);

/// What is known about the requests of one shape.
///
/// A node's *key* is 0 if it does not fit; else its score plus one in the upper half, so that better nodes
/// have larger keys, and in the lower half bits that depend on the entry and the seed, to break ties.
pub(super) struct Class {
    shape: Shape,
    plugins: Option<Plugins>,
    /// The only nodes that can fit, if the shape names them.
    only: Option<Box<[String]>>,
    index: Option<Index>,
    /// Nodes looked at in scans since the index was last brought up to date.
    debt: usize,
    /// The last refusal, and the number of changes at which it was made.
    refusal: Option<(u64, Refusal)>,
    /// When it was last asked for, by the engine's count.
    pub(super) used_at: u64,
}

/// The plugins of a profile that apply to the shape. Those that read only the node are kept apart, because
/// placements do not change what they say.
struct Plugins {
    filters: Vec<Arc<dyn Filter>>,
    node_filters: Vec<Arc<dyn Filter>>,
    usage_filters: Vec<Arc<dyn Filter>>,
    node_scores: Vec<(Arc<dyn Score>, u32)>,
    usage_scores: Vec<(Arc<dyn Score>, u32)>,
}

/// The keys of all nodes, as of some number of changes.
struct Index {
    tree: Tree,
    fixed: Vec<Fixed>,
    as_of: u64,
}

/// What the plugins say that read only the node.
#[derive(Clone, Copy)]
struct Fixed {
    /// The number of changes at which they said it.
    as_of: u64,
    /// Their weighted sum; none if a filter refuses.
    score: Option<u32>,
}

impl Class {
    /// A class of requests placed by `profile`; without one, nothing fits.
    pub(super) fn new(shape: Shape, profile: Option<&Profile>) -> Self {
        let only = shape.named_nodes();
        Self {
            plugins: profile.map(|profile| Plugins::new(&shape, profile)),
            only: only.map(|names| names.into_iter().map(str::to_owned).collect()),
            index: None,
            debt: 0,
            refusal: None,
            used_at: 0,
            shape,
        }
    }

    pub(super) fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// Forgets everything that was derived from nodes.
    pub(super) fn invalidate(&mut self) {
        self.index = None;
        self.debt = 0;
        self.refusal = None;
    }

    /// Whether the node passes every filter.
    pub(super) fn fits(&self, slot: &Slot) -> bool {
        let mut plugins = self.plugins.iter();
        slot.present
            && plugins.any(|plugins| {
                plugins.fixed(&self.shape, &slot.state).is_some()
                    && plugins.usage_fits(&self.shape, &slot.state)
            })
    }

    /// The refusal made before, if nothing has changed since.
    pub(super) fn known_refusal(&self, ledger: &Ledger) -> Option<Refusal> {
        let known = self.refusal.as_ref();
        let known = known.filter(|(as_of, _)| *as_of == ledger.changes());
        known.map(|(_, refusal)| refusal.clone())
    }

    /// A good node, if any fits: the best of all, or of a sample, see [`Engine`](super::Engine).
    ///
    /// `start` is where a sample starts, and is moved on.
    pub(super) fn choose(
        &mut self,
        ledger: &Ledger,
        seed: u64,
        sample: usize,
        start: &mut usize,
    ) -> Option<Choice> {
        self.plugins.as_ref()?;
        if self.only.is_some() {
            return self.choose_named(ledger, seed);
        }
        // Rent or buy: scan samples until they have cost as much as bringing the index up to date would.
        // The total is then at most twice that of the better of the two, whatever requests come.
        let behind = self.behind(ledger);
        if behind <= sample || self.debt >= behind {
            self.update_index(ledger, seed);
            let index = self.index.as_ref()?;
            return index.tree.best();
        }
        self.choose_sampled(ledger, seed, sample, start)
    }

    /// How many nodes must be looked at to bring the index up to date.
    fn behind(&self, ledger: &Ledger) -> usize {
        let all = ledger.slots().len();
        match &self.index {
            Some(index) => {
                usize::try_from(ledger.changes() - index.as_of).map_or(all, |behind| behind.min(all))
            }
            None => all,
        }
    }

    fn choose_named(&self, ledger: &Ledger, seed: u64) -> Option<Choice> {
        let names = self.only.iter().flatten();
        let slots = names.filter_map(|name| ledger.find(name));
        let choices = slots.map(|slot| (slot, self.key(&ledger.slots()[slot], slot, seed)));
        choices.filter(|(_, key)| *key > 0).max_by_key(|(_, key)| *key)
    }

    fn choose_sampled(
        &mut self,
        ledger: &Ledger,
        seed: u64,
        sample: usize,
        start: &mut usize,
    ) -> Option<Choice> {
        let slots = ledger.slots();
        let (mut best, mut fitting, mut seen) = (None, 0, 0);
        *start %= slots.len().max(1);
        let (before, after) = slots.split_at(*start);
        let from = *start;
        for (offset, slot) in after.iter().chain(before).enumerate() {
            let position = if offset < after.len() {
                from + offset
            } else {
                offset - after.len()
            };
            let key = self.key(slot, position, seed);
            seen += 1;
            if key > 0 {
                fitting += 1;
                if best.is_none_or(|(_, most)| key > most) {
                    best = Some((position, key));
                }
                if fitting == sample {
                    break;
                }
            }
        }
        *start += seen;
        self.debt += seen;
        best
    }

    fn update_index(&mut self, ledger: &Ledger, seed: u64) {
        let Some(plugins) = &self.plugins else { return };
        let slots = ledger.slots();
        self.debt = 0;
        if let Some(index) = &mut self.index
            && index.tree.room() >= slots.len()
            && let Some(changed) = ledger.changed_since(index.as_of)
        {
            index.fixed.resize(slots.len(), Fixed::STALE);
            for position in changed {
                let slot = &slots[position];
                let key = plugins.key_with(&self.shape, slot, &mut index.fixed[position], position, seed);
                index.tree.set(position, key);
            }
            index.as_of = ledger.changes();
            return;
        }
        let mut fixed = self.index.take().map_or_else(Vec::new, |index| index.fixed);
        fixed.resize(slots.len(), Fixed::STALE);
        let tree = Tree::build(slots.len(), |position| {
            plugins.key_with(
                &self.shape,
                &slots[position],
                &mut fixed[position],
                position,
                seed,
            )
        });
        let as_of = ledger.changes();
        self.index = Some(Index { tree, fixed, as_of });
    }

    fn key(&self, slot: &Slot, position: usize, seed: u64) -> u64 {
        let mut fixed = Fixed::STALE;
        let plugins = self.plugins.as_ref();
        plugins.map_or(0, |plugins| {
            plugins.key_with(&self.shape, slot, &mut fixed, position, seed)
        })
    }

    /// Asks every node again, to say why none fits. A node that fits after all is returned instead: a plugin
    /// that is not the pure function it should be must not make the engine refuse what it could place.
    pub(super) fn explain(&mut self, ledger: &Ledger) -> Result<Refusal, usize> {
        let refusal = match &self.plugins {
            Some(plugins) => plugins.explain(&self.shape, ledger)?,
            None => {
                let profile = self.shape.profile.clone();
                let detail = format!("cannot be judged: there is no profile {profile:?}");
                let reason = Reason::Profile(profile);
                let nodes = ledger.present();
                Refusal::new(
                    nodes,
                    vec![Cause {
                        reason,
                        nodes,
                        detail,
                    }],
                )
            }
        };
        self.refusal = Some((ledger.changes(), refusal.clone()));
        Ok(refusal)
    }
}

impl Fixed {
    /// Older than any change: entries come into being by one.
    const STALE: Self = Self {
        as_of: 0,
        score: None,
    };
}

impl Plugins {
    fn new(shape: &Shape, profile: &Profile) -> Self {
        let applying = profile.filters.iter().filter(|filter| filter.applies(shape));
        let filters: Vec<_> = applying.cloned().collect();
        let (node_filters, usage_filters) = filters
            .iter()
            .cloned()
            .partition(|filter| filter.reads() == Reads::Node);
        let scores = profile
            .scores
            .iter()
            .filter(|(score, weight)| *weight > 0 && score.applies(shape));
        let (node_scores, usage_scores) = scores
            .cloned()
            .partition(|(score, _)| score.reads() == Reads::Node);
        Self {
            filters,
            node_filters,
            usage_filters,
            node_scores,
            usage_scores,
        }
    }

    fn fixed(&self, shape: &Shape, node: &NodeState) -> Option<u32> {
        let fits = self.node_filters.iter().all(|filter| filter.check(shape, node));
        fits.then(|| sum(&self.node_scores, shape, node))
    }

    fn usage_fits(&self, shape: &Shape, node: &NodeState) -> bool {
        self.usage_filters.iter().all(|filter| filter.check(shape, node))
    }

    /// The key of a node; `fixed` is used if it is current, else brought up to date.
    fn key_with(&self, shape: &Shape, slot: &Slot, fixed: &mut Fixed, position: usize, seed: u64) -> u64 {
        if !slot.present {
            return 0;
        }
        if fixed.as_of < slot.described_at {
            *fixed = Fixed {
                as_of: slot.described_at,
                score: self.fixed(shape, &slot.state),
            };
        }
        let Some(score) = fixed.score else { return 0 };
        if !self.usage_fits(shape, &slot.state) {
            return 0;
        }
        let score = score.saturating_add(sum(&self.usage_scores, shape, &slot.state));
        (u64::from(score.min(u32::MAX - 1)) + 1) << 32 | tie_break(position, seed)
    }

    fn explain(&self, shape: &Shape, ledger: &Ledger) -> Result<Refusal, usize> {
        let mut failed: Vec<Vec<&NodeState>> = vec![Vec::new(); self.filters.len()];
        for (position, slot) in ledger.slots().iter().enumerate().filter(|(_, slot)| slot.present) {
            let mut filters = self.filters.iter();
            match filters.position(|filter| !filter.check(shape, &slot.state)) {
                Some(filter) => failed[filter].push(&slot.state),
                None => return Err(position),
            }
        }
        let mut causes = Vec::new();
        for (filter, failed) in self
            .filters
            .iter()
            .zip(&failed)
            .filter(|(_, failed)| !failed.is_empty())
        {
            let told = filter.explain(shape, failed);
            if told.iter().map(|cause| cause.nodes).sum::<usize>() == failed.len() {
                causes.extend(told);
            } else {
                // A plugin that miscounts; the sum must hold all the same.
                causes.push(Cause {
                    reason: Reason::Other(filter.name().into()),
                    nodes: failed.len(),
                    detail: format!("failed the check {:?}", filter.name()),
                });
            }
        }
        Ok(Refusal::new(ledger.present(), causes))
    }
}

fn sum(scores: &[(Arc<dyn Score>, u32)], shape: &Shape, node: &NodeState) -> u32 {
    let weighted = scores
        .iter()
        .map(|(score, weight)| score.score(shape, node).min(MAX_SCORE).saturating_mul(*weight));
    weighted.fold(0, u32::saturating_add)
}

/// The last step of the splitmix64 generator, which scatters neighbouring numbers.
fn tie_break(position: usize, seed: u64) -> u64 {
    let mut bits = (position as u64)
        .wrapping_add(seed)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits >> 32
}
