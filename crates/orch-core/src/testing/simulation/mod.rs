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
//!
//! ```
//! use orch_core::store::Txn;
//! use orch_core::testing::simulation::Simulation;
//!
//! let simulation = Simulation::new("greeting", |run| {
//!     run.component("greeter", |life| async move {
//!         while life.store().commit(Txn::new().put("greeting", "hello")).await.is_err() {}
//!         std::future::pending().await
//!     });
//!     run.scenario(|world| async move {
//!         world.until(|state| state.entries().next().is_some()).await;
//!         Ok(())
//!     });
//! });
//! let swept = simulation.sweep().unwrap_or_else(|failure| panic!("{failure}"));
//! let tried = simulation.seeds(0..20).unwrap_or_else(|failure| panic!("{failure}"));
//! assert!(swept.runs > 2 && tried.runs == 20, "{swept}; {tried}");
//! ```
//!
//! It takes the feature `testing`, which belongs into `[dev-dependencies]`, and is some six times as fast optimised a
//! little: `docs/SIMULATION.md` in the repository has the profile, and more.
//!
//! A panic on the thread of a run fails it, wherever it is, also one that somebody catches. Of panics on other threads
//! (`tokio::task::spawn_blocking`, `std::thread`) it knows nothing, and nothing of any that are caught once somebody else has
//! called [`std::panic::set_hook`]: call it before the first run, if need be.

mod alike;
mod calls;
mod commits;
mod component;
mod ends;
mod fault;
mod normal;
mod oracle;
mod panics;
mod plan;
mod play;
mod power;
mod replay;
mod report;
mod runtime;
mod search;
mod sequence;
mod setup;
mod shrink;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod trace;
mod trouble;
mod watchdog;
mod world;

use std::sync::Arc;
use std::time::Duration;

pub use component::Life;
pub use fault::{Call, Fault, HANG, LAG, LATE, Point, SLOW, Strike, UnreadableFault};
pub use oracle::Oracle;
pub use plan::Rates;
pub use power::StoreOnDisk;
pub use report::{Failure, Passed};
pub use setup::Setup;
pub use state::{State, Written};
pub use trace::{Trace, TraceEntry, What};
pub use world::World;

use calls::Calls;
use plan::Plan;
use trace::Detail;

use crate::object::Document;
use crate::store::Revision;

/// How long, in virtual time, a run may take until its scenario has ended and everything has settled.
const DEADLINE: Duration = Duration::from_secs(3600);

/// How long nothing may change for a run to count as settled.
const QUIET: Duration = Duration::from_secs(300);

/// For how long things go wrong at most.
const STORM: Duration = Duration::from_secs(600);

/// The seed of sweeps, and of the runs that others are compared with.
const CALM_SEED: u64 = 0;

type Normal = dyn Fn(&Document) -> Option<String> + Send + Sync;

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
    patience: Duration,
    /// How much is told of its runs.
    detail: Detail,
}

/// What came of one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// What failed it; none if all went well.
    pub failure: Option<String>,
    /// The commit that failed it, if one did.
    failed_at: Option<Revision>,
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
    /// The calls that components made until the scenario had ended, if they are kept.
    calls: Calls,
    /// All that they made.
    made: Calls,
    /// How many changes came after the scenario had ended, heartbeats apart.
    later: u64,
}

impl Run {
    /// It has failed, for a reason that shows only now that it is over. The first reason counts.
    fn fail(&mut self, why: String) {
        if self.failure.is_none() {
            let entry = TraceEntry {
                at: self.lasted,
                component: "world".into(),
                what: What::failed(&why),
                is_beat: false,
            };
            self.trace.add(entry, &[]);
            self.failure = Some(why);
        }
    }
}

impl Simulation {
    /// A simulation of this name, whose runs are made of what `build` adds.
    ///
    /// # Panics
    ///
    /// If the name is empty or has a quote in it: it is part of the line that replays a run. Spaces become dashes.
    ///
    /// What `build` panics with, because [`Setup`] refuses something, say, every method that makes a run panics with.
    pub fn new(name: impl AsRef<str>, build: impl Fn(&mut Setup) + Send + Sync + 'static) -> Self {
        let name = setup::one_word("simulation", name.as_ref());
        replay::add_name(&name);
        Self {
            name,
            build: Arc::new(build),
            normal: Arc::new(normal::normal),
            rates: Rates::storm(),
            storm: STORM,
            quiet: QUIET,
            deadline: DEADLINE,
            lag: LAG,
            patience: watchdog::PATIENCE,
            detail: Detail::default(),
        }
    }

    /// How often calls go wrong in [`seeds`](Self::seeds).
    ///
    /// Where components make but a few calls in a run, little goes wrong at the rates of a [storm](Rates::storm): what
    /// [`Passed`] says of faults in a run should be ten, better than two. [`Rates::times`] has more go wrong.
    ///
    /// # Panics
    ///
    /// If of some kind of calls more than all would meet a fault.
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        rates.check();
        self.rates = rates;
        self
    }

    /// For how long things go wrong, from the start; ten minutes unless said otherwise. A run by chance lasts at least that long,
    /// and its calls fail for longer if its scenario has not ended by then.
    #[must_use]
    pub fn storm(mut self, storm: Duration) -> Self {
        self.storm = storm;
        self
    }

    /// How long nothing may change for a run to have settled; five minutes unless said otherwise. It has to be longer
    /// than anything that a component waits for before it tries again: with no time at all, a run ends as soon as its scenario and its storm have.
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

    /// How long a run may last until it has settled; an hour unless said otherwise. It has to be longer than
    /// [storm](Self::storm) and [quiet](Self::quiet) together: whatever makes a run panics if it is not.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a run may stand still in real time: tasks run, or one blocks the thread, and no virtual time passes and
    /// nothing touches the world. Ten seconds unless said otherwise. Tasks that only make room for each other fail the run
    /// then. Of code that does not return at all (a lock of its own that it holds, a blocking call) the error stream is told;
    /// nothing can end it.
    #[must_use]
    pub fn patience(mut self, real: Duration) -> Self {
        self.patience = real;
        self
    }

    /// The form of an object in which end states are compared: what may differ between runs that are equally good, such
    /// as names that were drawn, is to be left out. Objects that it makes nothing of are not compared, and changes
    /// that do not change the form do not count as changes once a run settles: heartbeats, say.
    ///
    /// Unless said otherwise it is the whole object but uid, versions, times and the drawn end of names. One that makes
    /// nothing of any object leaves all to the oracles.
    #[must_use]
    pub fn normal(mut self, normal: impl Fn(&Document) -> Option<String> + Send + Sync + 'static) -> Self {
        self.normal = Arc::new(normal);
        self
    }

    /// One run in which nothing goes wrong, and users ask for one [state](Setup::state) after the other.
    pub fn run_calm(&self, seed: u64) -> Run {
        let telling = self.telling(Detail {
            keeps_calls: true,
            ..self.detail
        });
        telling.run_exactly(seed, self.tour())
    }

    /// One run in which things go wrong by chance, at the [rates](Self::rates), and users ask for what chance wants.
    ///
    /// # Panics
    ///
    /// If [storm](Self::storm) and [quiet](Self::quiet) leave it no time to end by its [deadline](Self::deadline).
    pub fn run(&self, seed: u64) -> Run {
        let plan = Plan::Random {
            seed,
            rates: self.rates.clone(),
        };
        self.run_as(seed, plan, self.storm)
    }

    /// One run in which exactly this happens. It fails if something of it does not: a call of that number was not made,
    /// or there is no such component.
    ///
    /// # Panics
    ///
    /// If two faults are to happen to one call, or something so late that no run could [end in time](Self::deadline).
    pub fn run_with(&self, seed: u64, strikes: impl IntoIterator<Item = Strike>) -> Run {
        let strikes: Vec<Strike> = strikes.into_iter().collect();
        if let Err(why) = replay::one_fault_each(&strikes) {
            panic!("{}: {why}", self.name);
        }
        self.having_happened(self.run_exactly(seed, strikes.clone()), &strikes)
    }

    /// One run in which nothing but this happens.
    fn run_exactly(&self, seed: u64, strikes: impl IntoIterator<Item = Strike>) -> Run {
        let strikes: std::collections::BTreeSet<_> = strikes.into_iter().collect();
        // It lasts as long as it takes until what is to happen by itself has happened.
        let storm = strikes.iter().map(Strike::instant).max().unwrap_or_default();
        self.run_as(seed, Plan::Exactly(strikes), storm)
    }
}
