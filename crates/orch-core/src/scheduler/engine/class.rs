//! All requests of one shape, their group aside: the best node for them, or why there is none.

use super::super::{Cause, Profile, Reason, Refusal, Requirements, Shape};
use super::applied::{Applied, Key};
use super::ledger::{Ledger, Slot};
use super::ranking::Ranking;
use super::recent::Recent;
use super::tree::Descent;

/// A node chosen: its entry and its key.
pub(super) type Choice = (usize, Key);

/// Rankings of single groups. Few need one; see [`Class::choose`].
pub(super) type Groups = Recent<Shape, Ranking>;

/// What is known about the requests of one shape whatever their group.
pub(super) struct Class {
    shape: Shape,
    /// None if there is no such profile; then nothing fits.
    applied: Option<Applied>,
    /// The only nodes that can fit, if the shape names them.
    only: Option<Box<[String]>>,
    /// By keys without the group's part.
    pub(super) ranking: Ranking,
    /// The last refusal, to whom, and the number of changes at which it was made.
    refusal: Option<(u64, Shape, Refusal)>,
}

/// What a search works on, what it may cost, and what it leaves behind for the next.
pub(super) struct Search<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) seed: u64,
    /// Fitting nodes compared in a sample.
    pub(super) sample: usize,
    /// Nodes looked at, from the best down, for one that the group does not spoil.
    pub(super) peeks: usize,
    /// Where the next sample starts.
    pub(super) start: &'a mut usize,
    /// Reused from search to search.
    pub(super) descent: &'a mut Descent,
    /// Whether a ranking came into being.
    pub(super) built: bool,
}

/// What came of looking down a ranking.
enum Peek {
    /// The best node, or that none fits.
    Found(Option<Choice>),
    /// The first so many are all spoilt by the group.
    Spoilt,
    /// The ranking is too far behind.
    Behind,
}

impl Class {
    pub(super) fn new(shape: Shape, profile: Option<&Profile>) -> Self {
        let only = shape.named_nodes();
        Self {
            applied: profile.map(|profile| Applied::new(&shape, profile)),
            only: only.map(|names| names.into_iter().map(str::to_owned).collect()),
            ranking: Ranking::default(),
            refusal: None,
            shape,
        }
    }

    /// Forgets everything that was derived from nodes.
    pub(super) fn clear(&mut self) {
        self.ranking.clear();
        self.refusal = None;
    }

    /// Whether the node passes every filter.
    pub(super) fn fits(&self, needs: &Requirements, slot: &Slot) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|applied| applied.fits(needs, slot))
    }

    /// The refusal made before, if nothing has changed since.
    pub(super) fn known_refusal(&self, shape: &Shape, ledger: &Ledger) -> Option<Refusal> {
        let (as_of, to, refusal) = self.refusal.as_ref()?;
        let by_group = self.applied.as_ref().is_some_and(Applied::filter_by_group);
        let same = *as_of == ledger.changes() && (!by_group || to == shape);
        same.then(|| refusal.clone())
    }

    /// A good node, if any fits: the best of all, or of a sample.
    ///
    /// One ranking serves all groups: looked down from the best, a node without members of the group, and so
    /// without their penalty, is soon found. For a group so large that it is not, a ranking of its own is kept.
    pub(super) fn choose(
        &mut self,
        shape: &Shape,
        search: &mut Search<'_>,
        groups: &mut Groups,
    ) -> Option<Choice> {
        let applied = self.applied.as_ref()?;
        if let Some(names) = &self.only {
            return search.named(applied, shape, names);
        }
        if applied.read_group()
            && let Some(own) = groups.get(shape)
            && own.behind(search.ledger) <= search.peeks
        {
            return search.own(applied, shape, own);
        }
        match search.peek(applied, shape, &mut self.ranking) {
            Peek::Found(choice) => choice,
            Peek::Spoilt => search.own(
                applied,
                shape,
                groups.get_or_insert(shape.clone(), Ranking::default),
            ),
            Peek::Behind => search.sample(applied, shape, &mut self.ranking),
        }
    }

    /// Asks every node again, to say why none fits. A node that fits after all is returned instead: a plugin
    /// that is not the pure function it should be must not make the engine refuse what it could place.
    pub(super) fn explain(&mut self, shape: &Shape, ledger: &Ledger) -> Result<Refusal, usize> {
        let refusal = match &self.applied {
            Some(applied) => applied.explain(shape, ledger)?,
            None => {
                let profile = self.shape.profile.clone();
                let detail = format!("cannot be judged: there is no profile {profile:?}");
                let (reason, nodes) = (Reason::Profile(profile), ledger.present());
                let cause = Cause {
                    reason,
                    nodes,
                    detail,
                };
                Refusal::new(nodes, vec![cause])
            }
        };
        self.refusal = Some((ledger.changes(), shape.clone(), refusal.clone()));
        Ok(refusal)
    }
}

impl Search<'_> {
    /// The best of the nodes with these names.
    fn named(&self, applied: &Applied, needs: &Requirements, names: &[String]) -> Option<Choice> {
        let slots = names.iter().filter_map(|name| self.ledger.find(name));
        let keys = slots.map(|slot| {
            let key = applied.whole(needs, &self.ledger.slots()[slot], slot, self.seed);
            (slot, key)
        });
        keys.filter(|(_, key)| *key > 0).max_by_key(|(_, key)| *key)
    }

    /// The best by a ranking that leaves the group aside.
    fn peek(&mut self, applied: &Applied, needs: &Requirements, ranking: &mut Ranking) -> Peek {
        let (slots, seed) = (self.ledger.slots(), self.seed);
        let rank =
            |slot: &Slot, fixed: &mut _, position| applied.without_group(needs, slot, fixed, position, seed);
        let was_built = ranking.is_built();
        let Some(tree) = ranking.current(self.ledger, self.sample, rank) else {
            return Peek::Behind;
        };
        self.built |= !was_built;
        if !applied.read_group() {
            return Peek::Found(tree.best());
        }
        let bonus = applied.group_bonus();
        let mut best: Option<Choice> = None;
        self.descent.start(tree);
        for peeked in 0.. {
            let Some((position, key)) = self.descent.next(tree) else {
                break;
            };
            if best.is_some_and(|(_, most)| most >= key.saturating_add(bonus)) {
                break; // no other can be better
            }
            if peeked == self.peeks {
                return Peek::Spoilt;
            }
            let whole = applied.with_group(needs, &slots[position], key);
            if whole > best.map_or(0, |(_, most)| most) {
                best = Some((position, whole));
            }
        }
        Peek::Found(best)
    }

    /// The best by a ranking of the group's own, or of a sample while that is behind.
    fn own(&mut self, applied: &Applied, needs: &Requirements, ranking: &mut Ranking) -> Option<Choice> {
        let seed = self.seed;
        let rank = |slot: &Slot, fixed: &mut _, position| {
            let key = applied.without_group(needs, slot, fixed, position, seed);
            applied.with_group(needs, slot, key)
        };
        let was_built = ranking.is_built();
        match ranking.current(self.ledger, self.sample, rank) {
            Some(tree) => {
                self.built |= !was_built;
                tree.best()
            }
            None => self.sample(applied, needs, ranking),
        }
    }

    /// The best of the first so many nodes that fit, from where the last sample ended. Puts the cost on `ranking`.
    fn sample(&mut self, applied: &Applied, needs: &Requirements, ranking: &mut Ranking) -> Option<Choice> {
        let slots = self.ledger.slots();
        let from = *self.start % slots.len().max(1);
        let (mut best, mut fitting, mut seen) = (None, 0, 0);
        for position in (from..slots.len()).chain(0..from) {
            let key = applied.whole(needs, &slots[position], position, self.seed);
            seen += 1;
            if key > 0 {
                fitting += 1;
                if best.is_none_or(|(_, most)| key > most) {
                    best = Some((position, key));
                }
                if fitting == self.sample {
                    break;
                }
            }
        }
        *self.start = from + seen;
        ranking.owe(seen);
        best
    }
}
