//! The shipped scheduler: exact, indexed by the shape of requests.

mod applied;
mod class;
mod ledger;
mod ranking;
mod recent;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use parking_lot::Mutex;

use super::request::Core;
use super::{Key, Node, NodeState, Placement, Profile, Refusal, Request, Scheduler, Shape};
use applied::score_of;
use class::{Choice, Class, Groups, Search};
use ledger::Ledger;
use ranking::Ranking;
use recent::Recent;
use tree::Descent;

/// Most shapes, and most groups, remembered at once; beyond that the half used longest ago is forgotten.
const CLASSES: usize = 4096;

/// Most shapes, and most groups, that have a ranking of all nodes at once (200 KB each for 5,000 nodes).
const RANKINGS: usize = 64;

/// Most nodes looked at, from the best down, for one without placements of the request's group.
const PEEKS: usize = 32;

/// The shipped [`Scheduler`].
///
/// For each [`Shape`] of requests that it meets often it keeps a ranking of all nodes, and looks again only at
/// nodes that changed since the last request of that shape. Placing then takes time logarithmic in the number of
/// nodes. Shapes that differ only in their group share one; a group that is on most nodes gets its own. A shape
/// met seldom is placed on the best of the first [`sample`](EngineBuilder::sample) nodes that fit, counted from where
/// the last such search ended, as kube-scheduler does with `percentageOfNodesToScore`. Which of the two is done
/// follows from what each has cost so far.
///
/// What remains guaranteed:
/// - A request is refused only if no node fits: without a fitting node in the sample all are searched.
/// - Of a shape's requests made one after the other, all but about the first `nodes / sample` go to the best
///   node there is. With no more nodes than the sample, all do.
/// - The same calls in the same order give the same placements, whatever machine they run on.
///
/// All its state is under one lock, held for microseconds.
pub struct Engine {
    profiles: Vec<Profile>,
    seed: u64,
    sample: usize,
    peeks: usize,
    state: Mutex<State>,
}

struct State {
    ledger: Ledger,
    classes: Recent<Core, Class>,
    groups: Groups,
    /// Where the next sample starts.
    start: usize,
    descent: Descent,
}

/// Builds an [`Engine`].
///
/// ```
/// use orch_core::scheduler::{Engine, Profile};
///
/// let engine = Engine::builder()
///     .profile(Profile::spreading("default"))
///     .profile(Profile::packing("batch"))
///     .seed(7)
///     .build();
/// assert!(engine.has_profile("batch"));
/// ```
#[derive(Debug)]
pub struct EngineBuilder {
    profiles: Vec<Profile>,
    seed: u64,
    sample: usize,
}

impl EngineBuilder {
    /// Adds a profile; the first one serves requests that name none. One of the same name is replaced.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        match self.profiles.iter_mut().find(|one| one.name == profile.name) {
            Some(one) => *one = profile,
            None => self.profiles.push(profile),
        }
        self
    }

    /// Which of equally good nodes is taken. Several schedulers of one cluster collide less with different
    /// seeds.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many fitting nodes are compared for a shape met seldom; 100 if not set, at least 1.
    /// `usize::MAX` always compares all.
    #[must_use]
    pub fn sample(mut self, sample: usize) -> Self {
        self.sample = sample.max(1);
        self
    }

    /// The engine. Without a profile it has [`Profile::spreading`], named `default`.
    pub fn build(mut self) -> Engine {
        if self.profiles.is_empty() {
            self.profiles.push(Profile::spreading("default"));
        }
        let state = State {
            ledger: Ledger::new(),
            classes: Recent::new(CLASSES),
            groups: Recent::new(CLASSES),
            start: 0,
            descent: Descent::default(),
        };
        Engine {
            profiles: self.profiles,
            seed: self.seed,
            sample: self.sample,
            peeks: PEEKS,
            state: Mutex::new(state),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts with no profile, seed 0 and a sample of 100.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            profiles: Vec::new(),
            seed: 0,
            sample: 100,
        }
    }

    /// Whether requests can name this profile.
    pub fn has_profile(&self, name: &str) -> bool {
        self.profile(name).is_some()
    }

    /// A node as it is now, with what is placed on it; none if it does not exist.
    pub fn node(&self, name: &str) -> Option<NodeState> {
        let state = self.state.lock();
        let slot = &state.ledger.slots()[state.ledger.find(name)?];
        slot.present.then(|| slot.state.clone())
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.state.lock().ledger.present()
    }

    /// The placements that are assumed and not yet bound, with their nodes, by key.
    pub fn assumed(&self) -> Vec<(Key, Arc<str>)> {
        let state = self.state.lock();
        let assumed = state.ledger.all_held().filter(|(_, held)| !held.bound);
        let mut assumed: Vec<_> = assumed
            .map(|(key, held)| {
                (
                    key.clone(),
                    state.ledger.slots()[held.slot as usize].state.shared_name(),
                )
            })
            .collect();
        assumed.sort();
        assumed
    }

    /// Forgets what plugins said. Needed only where one reads more than the requirements and the node, and
    /// that changed.
    pub fn invalidate(&self) {
        let mut state = self.state.lock();
        state.classes.values_mut().for_each(Class::clear);
        state.groups.clear();
    }

    fn profile(&self, name: &str) -> Option<&Profile> {
        if name.is_empty() {
            return self.profiles.first();
        }
        self.profiles.iter().find(|profile| profile.name == name)
    }

    fn choose(&self, state: &mut State, shape: &Shape) -> Result<Choice, Refusal> {
        let State {
            ledger,
            classes,
            groups,
            start,
            descent,
        } = state;
        let class = classes.get_or_insert(Core(shape.clone()), || {
            Class::new(shape.clone(), self.profile(&shape.profile))
        });
        if let Some(refusal) = class.known_refusal(shape, ledger) {
            return Err(refusal);
        }
        let mut search = Search {
            ledger,
            seed: self.seed,
            sample: self.sample,
            peeks: self.peeks,
            start,
            descent,
            built: false,
        };
        let choice = class.choose(shape, &mut search, groups);
        let built = search.built;
        let choice = match choice {
            Some(choice) => Ok(choice),
            None => class.explain(shape, ledger).map_or_else(
                |position| {
                    class.clear();
                    Ok((position, 0))
                },
                Err,
            ),
        };
        if built {
            classes.lighten(RANKINGS, |class| class.ranking.is_built(), Class::clear);
            groups.lighten(RANKINGS, Ranking::is_built, Ranking::clear);
        }
        choice
    }
}

impl Scheduler for Engine {
    fn set_node(&self, node: Node) -> bool {
        self.state.lock().ledger.describe(node)
    }

    fn remove_node(&self, name: &str) -> bool {
        self.state.lock().ledger.remove(name)
    }

    fn set_placement(&self, key: &Key, node: &str, shape: &Shape) {
        self.state.lock().ledger.bind(key, node, shape);
    }

    fn remove_placement(&self, key: &str) -> Option<Arc<str>> {
        self.state.lock().ledger.release(key)
    }

    fn place(&self, request: &Request) -> Result<Placement, Refusal> {
        let state = &mut *self.state.lock();
        if let Some(held) = state.ledger.held(&request.key) {
            let slot = &state.ledger.slots()[held.slot as usize];
            if held.bound || slot.present {
                let node = slot.state.shared_name();
                return Ok(Placement { node, score: 0 });
            }
            state.ledger.release(&request.key);
        }
        let (slot, key) = self.choose(state, &request.shape)?;
        state
            .ledger
            .hold(request.key.clone(), slot, request.shape.clone(), false);
        Ok(Placement {
            node: state.ledger.slots()[slot].state.shared_name(),
            score: score_of(key),
        })
    }

    fn forget(&self, key: &str) -> Option<Arc<str>> {
        let mut state = self.state.lock();
        let assumed = state.ledger.held(key).is_some_and(|held| !held.bound);
        if assumed { state.ledger.release(key) } else { None }
    }

    fn fits(&self, request: &Request, node: &str) -> bool {
        let state = self.state.lock();
        let Some(slot) = state.ledger.find(node) else {
            return false;
        };
        let slot = &state.ledger.slots()[slot];
        let shape = &request.shape;
        match state.classes.peek(&Core(shape.clone())) {
            Some(class) => class.fits(shape, slot),
            None => Class::new(shape.clone(), self.profile(&shape.profile)).fits(shape, slot),
        }
    }
}
