//! Makes one run.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::calls::Calls;
use super::fault::Strike;
use super::panics::{self, guarded, guarded_call};
use super::plan::{self, Plan};
use super::power::Powered;
use super::setup::{Disaster, Setup};
use super::watchdog::{self, Pulse};
use super::world::{Parts, World};
use super::{Run, Simulation, sequence};
use crate::store::MemoryStore;

/// The date on which every run begins.
const DAY_ONE: &str = "2030-01-01T00:00:00Z";

/// What goes when a scenario does, in the midst of it perhaps.
const HELD: &str = "what the scenario held";

impl Simulation {
    /// # Panics
    ///
    /// If the run cannot be built, or cannot end in time.
    pub(super) fn run_as(&self, seed: u64, plan: Plan, storm: Duration) -> Run {
        assert!(
            storm.saturating_add(self.quiet) < self.deadline,
            "{}: no run could end in time: things go wrong until {storm:?} (storm, or what happens last), and then nothing may \
             change for {:?} (quiet), which must be less than {:?} together (deadline)",
            self.name,
            self.quiet,
            self.deadline
        );
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
        // What panics from here on is the run's, and not how it is built.
        let failed = watch::Sender::new(false);
        let plan = Arc::new(plan);
        let pulse = Arc::new(Pulse::new(self.name.clone(), seed, plan.clone(), self.patience));
        panics::watch_thread(failed.clone(), pulse.clone(), self.detail.is_silent);
        let _watched = watchdog::watch(pulse.clone());
        let components = setup.components();
        let made = guarded_call("what makes the store", || (setup.store)(seed));
        let (powered, broken) = match made {
            Ok(powered) => (powered, None),
            Err(why) => (Powered::always(MemoryStore::new()), Some(why)),
        };
        let parts = Parts {
            powered,
            client: setup.client,
            oracles: setup.oracles,
            components,
        };
        let world = World::new(seed, plan, parts, failed, self);
        if let Some(why) = broken {
            world.fail(why);
        }
        match guarded("the store's disk", world.power_up(None)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) | Err(why) => world.fail(why),
        }
        let (mut tasks, mut disasters) = (JoinSet::new(), JoinSet::new());
        for component in setup.components {
            tasks.spawn(component.keep(world.clone()));
        }
        for disaster in setup.disasters {
            disasters.spawn(disaster.happen(world.clone(), storm));
        }
        let mut calls = Calls::default();
        let whole = async {
            if let Some(scenario) = &setup.scenario {
                let played = guarded("the scenario", async { scenario(world.clone()).await }).await?;
                played.map_err(|why| format!("the scenario: {why}"))?;
            }
            sequence::take(&world, &setup.wishes).await?;
            if self.detail.keeps_calls {
                calls = world.calls();
                world.count_later();
            }
            tokio::time::sleep(storm.saturating_sub(world.elapsed())).await;
            world.calm();
            while disasters.join_next().await.is_some() {}
            world.relieved().await;
            world.settled(self.quiet).await;
            guarded("the store's disk", world.check_what_is_kept()).await?
        };
        // Polled when it is woken itself, and not when the watchdog wakes what is beside it: `tokio::join!` begins with another
        // of its futures at each poll, and the order of what they do must not hang on real time.
        let whole = async {
            // While it is told what had not ended, all that waits is there to say so.
            let mut whole = Box::pin(whole);
            let ended = tokio::time::timeout(self.deadline, whole.as_mut()).await;
            let ended = ended.unwrap_or_else(|_| Err(world.unsettled(self.deadline)));
            ended.and(guarded_call(HELD, || drop(whole)))
        };
        let mut whole = FuturesUnordered::from_iter([whole]);
        let ended = tokio::select! {
            biased;
            () = world.failed() => Ok(()),
            Some(ended) = whole.next() => ended,
            why = pulse.stands_still(&world) => Err(why),
        };
        match ended.and(guarded_call(HELD, || drop(whole))) {
            Ok(()) => world.fail_if_panicked(),
            Err(why) => world.fail(why),
        }
        if world.failure().is_none() {
            world.judge();
        }
        let end = world.end();
        world.fail_if_panicked();
        let lasted = world.elapsed();
        let failure = world.failure();
        let left = world.left();
        panics::no_longer_tell();
        // The run is over. What panics from here on does so because its component is gone, as a task does that waits for it.
        tasks.shutdown().await;
        Run {
            failure,
            failed_at: left.failed_at,
            trace: left.trace,
            strikes: left.struck,
            state: left.state,
            end,
            lasted,
            calls,
            made: left.calls,
            later: left.later,
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
                let what = format!("the disaster {}", self.name);
                let act = async { (self.act)(world.clone(), crate::random::Random::seeded(seed)).await };
                if let Err(why) = guarded(&what, act).await {
                    world.fail(why);
                }
            }
        }
    }
}
