//! What a run is made of, and what is refused of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::component::{Component, Life};
use super::oracle::Oracle;
use super::power::{Powered, StoreOnDisk};
use super::sequence::Wish;
use super::world::{MakeClient, World};
use crate::client::{Client, ClientBuilder};
use crate::random::Random;
use crate::store::MemoryStore;

type Scenario = dyn Fn(World) -> BoxFuture<'static, Result<(), String>> + Send + Sync;
type Act = dyn Fn(World, Random) -> BoxFuture<'static, ()> + Send + Sync;

/// In traces they stand for who is no component.
const RESERVED: [&str; 2] = ["scenario", "world"];

/// The most disasters of a name in an hour: one in each millisecond, in which their times are counted.
const MOST_PER_HOUR: f64 = 3_600_000.0;

/// Something that happens to the world, rather than to one call.
#[derive(Clone)]
pub(super) struct Disaster {
    pub(super) name: Arc<str>,
    pub(super) per_hour: f64,
    pub(super) act: Arc<Act>,
}

/// What one run is made of; filled anew for each run, so that what components share (a machine that outlives them, say)
/// belongs to one run alone.
pub struct Setup {
    pub(super) client: Arc<MakeClient>,
    pub(super) store: Box<dyn Fn(u64) -> Powered>,
    pub(super) components: Vec<Component>,
    pub(super) disasters: Vec<Disaster>,
    pub(super) oracles: Vec<Box<dyn Oracle>>,
    pub(super) scenario: Option<Box<Scenario>>,
    pub(super) wishes: Vec<Wish>,
}

impl Setup {
    pub(super) fn empty() -> Self {
        Self {
            client: Arc::new(ClientBuilder::build),
            store: Box::new(|_| Powered::always(MemoryStore::new())),
            components: Vec::new(),
            disasters: Vec::new(),
            oracles: Vec::new(),
            scenario: None,
            wishes: Vec::new(),
        }
    }

    /// Kinds, rules and admission of the clients, the scenario's among them; by default a client that knows none.
    pub fn client(&mut self, build: impl Fn(ClientBuilder) -> Client + Send + Sync + 'static) {
        self.client = Arc::new(build);
    }

    /// The store of the run, on the disk that `disk` makes of a seed: one that keeps what it acknowledged when its
    /// [power is cut](World::power_cut), as `orch_store::SimulatedDisk` is made for. The disk must be a new and empty one for
    /// each run: what it holds at first, nobody is known to have made. It fails by losing power alone, so not with what
    /// `SimulatedDisk::fails` brings. By default a [`MemoryStore`], which has no power to lose.
    pub fn store<D: StoreOnDisk>(&mut self, disk: impl Fn(u64) -> D + 'static) {
        self.store = Box::new(move |seed| Powered::by(Box::new(disk(seed))));
    }

    /// Adds a component: `start` makes it, and what it makes is polled until it dies. When that is, or when it returns,
    /// it is started anew a second later.
    ///
    /// What it spawns by itself must not outlive it, or only with calls that its [`Life`] stops. If it panics, or anything
    /// that runs in its name, the run has failed.
    ///
    /// # Panics
    ///
    /// If there is one of this name, if the name is one that traces use (`scenario`, `world`), or if it does not fit into the
    /// line that replays a run: spaces, quotes, `=` and `#` do not.
    pub fn component<F>(
        &mut self,
        name: impl Into<Arc<str>>,
        start: impl Fn(Life) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = as_word("component", name.into());
        let is_new = self.components.iter().all(|component| component.name != name);
        assert!(is_new, "there are two components named {name:?}");
        assert!(
            !RESERVED.contains(&&*name),
            "component {name:?}: traces use this name for what no component does"
        );
        self.components.push(Component {
            name,
            start: Arc::new(move |life| Box::pin(start(life)) as Pin<Box<dyn Future<Output = ()> + Send>>),
        });
    }

    /// Adds something that happens to the world now and then, `per_hour` times in an hour on average. What it hits is to
    /// be drawn from the randomness that it is given. If it panics, the run has failed.
    ///
    /// # Panics
    ///
    /// If there is one of this name, if the name does not fit into the line that replays a run (spaces, quotes, `=` and `#`
    /// do not), or if `per_hour` is not from 0 to 3 600 000.
    pub fn disaster<F>(
        &mut self,
        name: impl Into<Arc<str>>,
        per_hour: f64,
        act: impl Fn(World, Random) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = as_word("disaster", name.into());
        let is_new = self.disasters.iter().all(|disaster| disaster.name != name);
        assert!(is_new, "there are two disasters named {name:?}");
        assert!(
            (0.0..=MOST_PER_HOUR).contains(&per_hour),
            "disaster {name:?}: per_hour must be from 0 to {MOST_PER_HOUR}, got {per_hour}"
        );
        self.disasters.push(Disaster {
            name,
            per_hour,
            act: Arc::new(move |world, random| Box::pin(act(world, random))),
        });
    }

    /// Adds a judge.
    pub fn oracle(&mut self, oracle: impl Oracle + 'static) {
        self.oracles.push(Box::new(oracle));
    }

    /// What users do, and wait for. An error fails the run, and so does a panic.
    ///
    /// # Panics
    ///
    /// If there is one.
    pub fn scenario<F>(&mut self, scenario: impl Fn(World) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        assert!(
            self.scenario.is_none(),
            "there are two scenarios: a run has one, in which several things can be done at once"
        );
        self.scenario = Some(Box::new(move |world| Box::pin(scenario(world))));
    }

    /// Adds a state that users may ask for once the scenario has ended, whatever they asked for before: `ask` says what
    /// they do then, and need not wait until it is so. A run must end as one does in which they asked for nothing but
    /// its last state. See [`Simulation::transitions`](super::Simulation::transitions).
    ///
    /// # Panics
    ///
    /// If there is one of this name, spaces and dashes being the same, or if the name is empty or has a quote in it.
    pub fn state<F>(&mut self, name: impl Into<Arc<str>>, ask: impl Fn(World) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.wish(name.into(), true, ask);
    }

    /// Adds one that no run ends with: what comes of it hangs on what there was before, as with one that cannot be
    /// reached and halts halfway. From there, too, each other state must be reached.
    ///
    /// # Panics
    ///
    /// As [`state`](Self::state).
    pub fn passing_state<F>(
        &mut self,
        name: impl Into<Arc<str>>,
        ask: impl Fn(World) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.wish(name.into(), false, ask);
    }

    fn wish<F>(&mut self, name: Arc<str>, is_end: bool, ask: impl Fn(World) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let name = one_word("state", &name);
        let is_new = self.wishes.iter().all(|wish| wish.name != name);
        assert!(is_new, "there are two states named {name:?}");
        self.wishes.push(Wish {
            name,
            ask: Arc::new(move |world| Box::pin(ask(world))),
            is_end,
        });
    }

    /// The names of all components.
    pub(super) fn components(&self) -> Vec<Arc<str>> {
        self.components
            .iter()
            .map(|component| component.name.clone())
            .collect()
    }
}

/// The name as one word of the line that replays a run, with dashes for spaces.
pub(super) fn one_word(what: &str, name: &str) -> Arc<str> {
    let words: Vec<_> = name.split_whitespace().collect();
    let word = words.join("-");
    // The line stands in quotes.
    refuse(what, name, word.chars().find(|sign| is_quote(*sign)));
    assert!(!word.is_empty(), "{what} {name:?}: it needs a name");
    word.into()
}

/// The name, if it can be a part of a word of the line that replays a run.
fn as_word(what: &str, name: Arc<str>) -> Arc<str> {
    let does_not_fit = |sign: &char| {
        is_quote(*sign) || sign.is_whitespace() || sign.is_control() || matches!(sign, '=' | '#')
    };
    refuse(what, &name, name.chars().find(does_not_fit));
    assert!(!name.is_empty(), "{what} {name:?}: it needs a name");
    name
}

fn is_quote(sign: char) -> bool {
    matches!(sign, '\'' | '"' | '`')
}

fn refuse(what: &str, name: &str, sign: Option<char>) {
    if let Some(sign) = sign {
        panic!(
            "{what} {name:?}: the name is part of the line that replays a run, which has no place for {sign:?} in it"
        );
    }
}
