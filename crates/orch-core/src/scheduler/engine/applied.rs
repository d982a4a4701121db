//! The plugins that concern one shape, and what they say of a node.

use std::sync::Arc;

use super::super::{
    Cause, Filter, MAX_SCORE, NodeState, Profile, Reads, Reason, Refusal, Requirements, Score,
};
use super::ledger::{Ledger, Slot};

/// How well a node suits a request: 0 if it does not fit; else its score plus one in the upper half, and in the
/// lower half bits that depend on the entry and the seed, to break ties. Better nodes have larger keys.
pub(super) type Key = u64;

/// The key of a score.
fn key(score: u32, position: usize, seed: u64) -> Key {
    (u64::from(score.min(u32::MAX - 1)) + 1) << 32 | tie_break(position, seed)
}

/// The score in a key that is not 0.
pub(super) fn score_of(key: Key) -> u32 {
    ((key >> 32) as u32).saturating_sub(1)
}

/// The plugins of a profile that apply to a shape, apart by what they read: what they said is remembered for as
/// long as that stays the same.
pub(super) struct Applied {
    /// All filters, in the profile's order.
    filters: Vec<Arc<dyn Filter>>,
    node: Plugins,
    usage: Plugins,
    group: Plugins,
}

#[derive(Default)]
struct Plugins {
    filters: Vec<Arc<dyn Filter>>,
    scores: Vec<(Arc<dyn Score>, u32)>,
}

/// What the plugins say of a node that read nothing else of it.
#[derive(Clone, Copy)]
pub(super) struct Fixed {
    /// The change to the node that they looked at.
    as_of: u64,
    /// Their weighted sum; none if a filter refuses.
    score: Option<u32>,
}

impl Fixed {
    /// Older than any node.
    pub(super) const STALE: Self = Self {
        as_of: 0,
        score: None,
    };
}

impl Applied {
    pub(super) fn new(needs: &Requirements, profile: &Profile) -> Self {
        let applying = profile.filters.iter().filter(|filter| filter.applies(needs));
        let filters: Vec<_> = applying.cloned().collect();
        let scores = profile.scores.iter();
        let scores: Vec<_> = scores
            .filter(|(score, weight)| *weight > 0 && score.applies(needs))
            .collect();
        let reading = |reads: Reads| Plugins {
            filters: filters
                .iter()
                .filter(|filter| filter.reads() == reads)
                .cloned()
                .collect(),
            scores: scores
                .iter()
                .filter(|(score, _)| score.reads() == reads)
                .map(|score| (*score).clone())
                .collect(),
        };
        Self {
            node: reading(Reads::Node),
            usage: reading(Reads::Usage),
            group: reading(Reads::Group),
            filters,
        }
    }

    /// Whether any plugin looks at the request's group.
    pub(super) fn read_group(&self) -> bool {
        !self.group.filters.is_empty() || !self.group.scores.is_empty()
    }

    /// Whether any filter does, so that what is refused to one group may be granted to another.
    pub(super) fn filter_by_group(&self) -> bool {
        !self.group.filters.is_empty()
    }

    /// The most that [`with_group`](Self::with_group) can add to a key.
    pub(super) fn group_bonus(&self) -> Key {
        let weights = self
            .group
            .scores
            .iter()
            .map(|(_, weight)| MAX_SCORE.saturating_mul(*weight));
        u64::from(weights.fold(0, u32::saturating_add)) << 32
    }

    /// Whether the node passes every filter.
    pub(super) fn fits(&self, needs: &Requirements, slot: &Slot) -> bool {
        let mut filters = self.filters.iter();
        slot.present && filters.all(|filter| filter.check(needs, &slot.state))
    }

    /// The key of a node as far as it does not depend on the request's group. `fixed` is used if it is current, and
    /// else brought up to date.
    pub(super) fn without_group(
        &self,
        needs: &Requirements,
        slot: &Slot,
        fixed: &mut Fixed,
        position: usize,
        seed: u64,
    ) -> Key {
        if !slot.present {
            return 0;
        }
        if fixed.as_of < slot.described_at {
            *fixed = Fixed {
                as_of: slot.described_at,
                score: self.node.judge(needs, &slot.state),
            };
        }
        let Some(score) = fixed.score else { return 0 };
        match self.usage.judge(needs, &slot.state) {
            Some(more) => key(score.saturating_add(more), position, seed),
            None => 0,
        }
    }

    /// The whole key, from the one [`without_group`](Self::without_group).
    pub(super) fn with_group(&self, needs: &Requirements, slot: &Slot, key: Key) -> Key {
        if key == 0 {
            return 0;
        }
        match self.group.judge(needs, &slot.state) {
            // Below the upper end, where a sum of scores never comes, adding does not carry.
            Some(more) => key.saturating_add(u64::from(more) << 32),
            None => 0,
        }
    }

    /// The whole key of a node that nothing is remembered about.
    pub(super) fn whole(&self, needs: &Requirements, slot: &Slot, position: usize, seed: u64) -> Key {
        let key = self.without_group(needs, slot, &mut Fixed::STALE.clone(), position, seed);
        self.with_group(needs, slot, key)
    }

    /// Asks about every node, to say why none fits; the entry of one that fits after all.
    pub(super) fn explain(&self, needs: &Requirements, ledger: &Ledger) -> Result<Refusal, usize> {
        let mut failed: Vec<Vec<&NodeState>> = vec![Vec::new(); self.filters.len()];
        for (position, slot) in ledger.slots().iter().enumerate().filter(|(_, slot)| slot.present) {
            let mut filters = self.filters.iter();
            match filters.position(|filter| !filter.check(needs, &slot.state)) {
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
            let told = filter.explain(needs, failed);
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

impl Plugins {
    /// The weighted sum of the scores; none if a filter refuses.
    fn judge(&self, needs: &Requirements, node: &NodeState) -> Option<u32> {
        if !self.filters.iter().all(|filter| filter.check(needs, node)) {
            return None;
        }
        let weighted = self
            .scores
            .iter()
            .map(|(score, weight)| score.score(needs, node).min(MAX_SCORE).saturating_mul(*weight));
        Some(weighted.fold(0, u32::saturating_add))
    }
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
