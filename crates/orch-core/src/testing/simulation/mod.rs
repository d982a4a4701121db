//! A whole cluster in one thread, under virtual time, in which things go wrong on purpose, and any failure can be had
//! again from its seed.
//!
//! A [`Simulation`] is made of components: whatever reads and writes the store, each started by a function that is
//! given its [`Life`]. They can be the reader's own controllers on this crate's engine, or anything else that knows only
//! a store, a client and a runtime. Beside them runs a scenario, which does what users do; [`Oracle`]s watch. The store
//! is one in memory, or one on a disk whose power fails in the midst of its writes ([`Setup::store`]). A
//! [run](Simulation::run) with the same seed is the same to the byte; [`Simulation::seeds`] tries many seeds,
//! [`Simulation::sweep`] tries a crash, a stale view and a missed change at each place where one could be, and
//! [`Simulation::transitions`] goes to each [state](Setup::state) that users may ask for from every other.

mod calls;
mod component;
mod fault;
mod normal;
mod oracle;
mod plan;
mod power;
#[cfg(test)]
mod power_tests;
mod report;
mod runtime;
mod search;
mod sequence;
#[cfg(test)]
mod simulation_tests;
mod state;
mod store;
mod trace;
mod trouble;
mod world;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

pub use component::Life;
pub use fault::{Call, Fault, HANG, LAG, LATE, Point, SLOW, Strike, UnreadableFault};
pub use oracle::Oracle;
pub use plan::Rates;
pub use power::StoreOnDisk;
pub use report::{Failure, Passed};
pub use state::{State, Written};
pub use trace::{Trace, TraceEntry, What};
pub use world::World;

use calls::Calls;
use component::Component;
use plan::Plan;
use power::Powered;
use sequence::Wish;
use world::MakeClient;

use crate::client::{Client, ClientBuilder};
use crate::object::Document;
use crate::store::MemoryStore;

/// The date on which every run begins.
const DAY_ONE: &str = "2030-01-01T00:00:00Z";

/// How long, in virtual time, a run may take until its scenario has ended and everything has settled.
const DEADLINE: Duration = Duration::from_secs(3600);

/// How long nothing may change for a run to count as settled.
const QUIET: Duration = Duration::from_secs(300);

/// For how long things go wrong at most.
const STORM: Duration = Duration::from_secs(600);

/// The seed of sweeps, and of the runs that others are compared with.
const CALM_SEED: u64 = 0;

type Scenario = dyn Fn(World) -> BoxFuture<'static, Result<(), String>> + Send + Sync;
type Normal = dyn Fn(&Document) -> Option<String> + Send + Sync;
type Act = dyn Fn(World, crate::random::Random) -> BoxFuture<'static, ()> + Send + Sync;

/// Something that happens to the world, rather than to one call.
#[derive(Clone)]
struct Disaster {
    name: Arc<str>,
    per_hour: f64,
    act: Arc<Act>,
}

/// What one run is made of; filled anew for each run, so that what components share (a machine that outlives them, say)
/// belongs to one run alone.
pub struct Setup {
    client: Arc<MakeClient>,
    store: Box<dyn Fn(u64) -> Powered>,
    components: Vec<Component>,
    disasters: Vec<Disaster>,
    oracles: Vec<Box<dyn Oracle>>,
    scenario: Option<Box<Scenario>>,
    wishes: Vec<Wish>,
}

impl Setup {
    fn empty() -> Self {
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
    /// What it spawns by itself must not outlive it, or only with calls that its [`Life`] stops.
    pub fn component<F>(
        &mut self,
        name: impl Into<Arc<str>>,
        start: impl Fn(Life) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.components.push(Component {
            name: name.into(),
            start: Arc::new(move |life| Box::pin(start(life)) as Pin<Box<dyn Future<Output = ()> + Send>>),
        });
    }

    /// Adds something that happens to the world now and then, `per_hour` times in an hour on average. What it hits is to
    /// be drawn from the randomness that it is given.
    pub fn disaster<F>(
        &mut self,
        name: impl Into<Arc<str>>,
        per_hour: f64,
        act: impl Fn(World, crate::random::Random) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.disasters.push(Disaster {
            name: name.into(),
            per_hour,
            act: Arc::new(move |world, random| Box::pin(act(world, random))),
        });
    }

    /// Adds a judge.
    pub fn oracle(&mut self, oracle: impl Oracle + 'static) {
        self.oracles.push(Box::new(oracle));
    }

    /// What users do, and wait for. An error fails the run.
    pub fn scenario<F>(&mut self, scenario: impl Fn(World) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.scenario = Some(Box::new(move |world| Box::pin(scenario(world))));
    }

    /// Adds a state that users may ask for once the scenario has ended, whatever they asked for before: `ask` says what
    /// they do then, and need not wait until it is so. A run must end as one does in which they asked for nothing but
    /// its last state. See [`Simulation::transitions`].
    ///
    /// # Panics
    ///
    /// If there is one of this name, spaces and dashes being the same.
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
        // It is part of a word of the line that replays a run.
        let name = one_word(&name);
        let is_new = self.wishes.iter().all(|wish| wish.name != name);
        assert!(is_new, "there are two states named {name:?}");
        self.wishes.push(Wish {
            name,
            ask: Arc::new(move |world| Box::pin(ask(world))),
            is_end,
        });
    }
}

fn one_word(name: &str) -> Arc<str> {
    let words: Vec<_> = name.split_whitespace().collect();
    words.join("-").into()
}

/// A cluster to be run under virtual time, with faults; see the [module](self).
#[derive(Clone)]
pub struct Simulation {
    name: Arc<str>,
    build: Arc<dyn Fn(&mut Setup) + Send + Sync>,
    normal: Arc<Normal>,
    rates: Rates,
    storm: Duration,
    quiet: Duration,
    deadline: Duration,
    lag: Duration,
    /// Whether traces tell heartbeats from other changes.
    tells_beats: bool,
}

/// What came of one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// What failed it; none if all went well.
    pub failure: Option<String>,
    /// What happened.
    pub trace: Trace,
    /// What happened to it, in the order of time; a run with exactly these is the same.
    pub strikes: Vec<Strike>,
    /// What the store held in the end.
    pub state: State,
    /// The end state in the form in which those of different runs are compared.
    pub end: Vec<String>,
    /// How long it lasted, in virtual time.
    pub lasted: Duration,
    /// The calls that components made until the scenario had ended.
    calls: Calls,
}

impl Simulation {
    /// A simulation of this name, whose runs are made of what `build` adds.
    pub fn new(name: impl AsRef<str>, build: impl Fn(&mut Setup) + Send + Sync + 'static) -> Self {
        Self {
            // It is one word of the line that replays a run.
            name: one_word(name.as_ref()),
            build: Arc::new(build),
            normal: Arc::new(normal::normal),
            rates: Rates::storm(),
            storm: STORM,
            quiet: QUIET,
            deadline: DEADLINE,
            lag: LAG,
            tells_beats: false,
        }
    }

    /// How often calls go wrong in [`seeds`](Self::seeds).
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// For how long things go wrong, from the start; ten minutes unless said otherwise. A run lasts at least that long.
    #[must_use]
    pub fn storm(mut self, storm: Duration) -> Self {
        self.storm = storm;
        self
    }

    /// How long nothing may change for a run to have settled; five minutes unless said otherwise. It has to be longer
    /// than anything that a component waits for before it tries again.
    #[must_use]
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// How late a watch that [lags](Fault::Lags) delivers at most; [`LAG`] unless said otherwise.
    #[must_use]
    pub fn lag(mut self, longest: Duration) -> Self {
        self.lag = longest;
        self
    }

    /// How long a run may last until it has settled; an hour unless said otherwise.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The form of an object in which end states are compared: what may differ between runs that are equally good, such
    /// as names that were drawn, is to be left out. Objects that it makes nothing of are not compared, and changes
    /// that do not change the form do not count as changes once a run settles: heartbeats, say.
    ///
    /// Unless said otherwise it is the whole object but uid, versions, times and the drawn end of names.
    #[must_use]
    pub fn normal(mut self, normal: impl Fn(&Document) -> Option<String> + Send + Sync + 'static) -> Self {
        self.normal = Arc::new(normal);
        self
    }

    /// One run in which nothing goes wrong, and users ask for one [state](Setup::state) after the other.
    pub fn run_calm(&self, seed: u64) -> Run {
        self.run_with(seed, self.tour())
    }

    /// One run in which things go wrong by chance, at the [rates](Self::rates), and users ask for what chance wants.
    pub fn run(&self, seed: u64) -> Run {
        let plan = Plan::Random {
            seed,
            rates: self.rates.clone(),
        };
        self.run_as(seed, plan, self.storm)
    }

    /// One run in which exactly this happens.
    pub fn run_with(&self, seed: u64, strikes: impl IntoIterator<Item = Strike>) -> Run {
        let strikes: std::collections::BTreeSet<_> = strikes.into_iter().collect();
        // It lasts as long as it takes until what is to happen by itself has happened.
        let storm = strikes.iter().map(Strike::instant).max().unwrap_or_default();
        self.run_as(seed, Plan::Exactly(strikes), storm)
    }

    fn run_as(&self, seed: u64, plan: Plan, storm: Duration) -> Run {
        // A thread of its own: the clock's anchor is the thread's, and the caller may be in a runtime already.
        std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => panic!("the operating system gives no clock: {error}"),
                };
                runtime.block_on(self.play(seed, plan, storm))
            });
            match run.join() {
                Ok(run) => run,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    async fn play(&self, seed: u64, plan: Plan, storm: Duration) -> Run {
        let day_one: Timestamp = DAY_ONE.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let _anchor = crate::time::anchor_thread(day_one);
        let mut setup = Setup::empty();
        (self.build)(&mut setup);
        let world = World::new(seed, (setup.store)(seed), setup.client, plan, setup.oracles, self);
        if let Err(why) = world.power_up(None).await {
            world.fail(why);
        }
        let (mut tasks, mut disasters) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
        for component in setup.components {
            tasks.spawn(component.keep(world.clone()));
        }
        for disaster in setup.disasters {
            disasters.spawn(disaster.happen(world.clone(), storm));
        }
        let mut calls = Calls::default();
        let whole = async {
            if let Some(scenario) = &setup.scenario {
                scenario(world.clone())
                    .await
                    .map_err(|why| format!("the scenario: {why}"))?;
            }
            sequence::take(&world, &setup.wishes).await?;
            calls = world.calls();
            tokio::time::sleep(storm.saturating_sub(world.elapsed())).await;
            world.calm();
            while disasters.join_next().await.is_some() {}
            world.relieved().await;
            world.settled(self.quiet).await;
            world.check_what_is_kept().await
        };
        let ended = tokio::select! {
            biased;
            () = world.failed() => Ok(()),
            ended = tokio::time::timeout(self.deadline, whole) => {
                ended.unwrap_or_else(|_| Err(world.unsettled(self.deadline)))
            }
        };
        if let Err(why) = ended {
            world.fail(why);
        }
        if world.failure().is_none() {
            world.judge();
        }
        tasks.shutdown().await;
        let end = world.end();
        let lasted = world.elapsed();
        let failure = world.failure();
        let (trace, strikes, state) = world.left();
        Run {
            failure,
            trace,
            strikes,
            state,
            end,
            lasted,
            calls,
        }
    }
}

impl Disaster {
    async fn happen(self, world: World, storm: Duration) {
        for (nth, at) in world.disasters(&self.name, self.per_hour, storm) {
            tokio::time::sleep(at.saturating_sub(world.elapsed())).await;
            if world.is_stormy() {
                let name = self.name.clone();
                world.struck(Strike::Disaster { name, nth, at });
                let seed = plan::mix(world.seed() ^ nth, self.name.as_bytes());
                (self.act)(world.clone(), crate::random::Random::seeded(seed)).await;
            }
        }
    }
}
