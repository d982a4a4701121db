//! What the components of a run share: the store, time, what goes wrong, and the record of it all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::calls::Calls;
use super::component::Life;
use super::fault::{Call, Fault, Point, Strike};
use super::oracle::Oracle;
use super::panics;
use super::plan::{Plan, point_seed};
use super::power::Powered;
use super::sequence::Wish;
use super::state::State;
use super::trace::{Trace, TraceEntry, What};
use super::trouble::Trouble;
use super::{Normal, Simulation};
use crate::client::{Client, ClientBuilder, Documents};
use crate::store::{Key, Op, Revision};

/// How often the world may be touched in one instant: more is a loop that waits for nothing.
const TOUCHES: u32 = 200_000;

/// Gives a client its kinds and rules.
pub(super) type MakeClient = dyn Fn(ClientBuilder) -> Client + Send + Sync;

/// What a scenario and its disasters can do and see. Clones are the same world.
#[derive(Clone)]
pub struct World(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) seed: u64,
    pub(super) powered: Powered,
    pub(super) client: Arc<MakeClient>,
    /// What was decoded, which all clients share: it cannot differ.
    pub(super) documents: Arc<Documents>,
    began: Instant,
    /// The latest that a lagging watch delivers.
    pub(super) lag: Duration,
    plan: Arc<Plan>,
    state: Mutex<Shared>,
    /// The names of all components.
    components: Vec<Arc<str>>,
    /// Rung at each commit. Who waits for it is woken in order, where a `watch` wakes them by chance.
    pub(super) moved: Notify,
    /// Where each component is told to die.
    pub(super) lives: Mutex<BTreeMap<Arc<str>, watch::Sender<bool>>>,
    /// Whether any life has ended.
    pub(super) has_died: AtomicBool,
    pub(super) troubles: Mutex<BTreeMap<Arc<str>, Trouble>>,
    /// Rung when a component gets into trouble, or the power goes: watches may have to end.
    pub(super) troubled: Notify,
    failed: watch::Sender<bool>,
    /// The scenario's client; it holds this world, and so is let go of in the end.
    scenario: Mutex<Option<Client>>,
}

/// What of it changes all the time.
pub(super) struct Shared {
    pub(super) began: Instant,
    pub(super) trace: Trace,
    calls: Calls,
    pub(super) struck: Vec<Strike>,
    stormy: bool,
    pub(super) state: State,
    /// Commits that were told before earlier ones.
    pub(super) early: BTreeMap<Revision, (Arc<str>, Vec<Op>)>,
    pub(super) oracles: Vec<Box<dyn Oracle>>,
    failure: Option<String>,
    failed_at: Option<Revision>,
    /// When something changed last.
    pub(super) changed: Instant,
    /// Whether the run is to settle.
    pub(super) settling: bool,
    pub(super) tells_beats: bool,
    pub(super) normal: Arc<Normal>,
    /// The form of what keys hold that were written since it counts.
    pub(super) forms: BTreeMap<Key, Option<String>>,
    touches: (Duration, u32),
    /// How many changes came since they are counted, heartbeats apart.
    pub(super) later: Option<u64>,
    /// How often each component returned.
    pub(super) returned: BTreeMap<Arc<str>, u64>,
    /// Where [`World::until`] waits, by a number of its own.
    pub(super) waits: BTreeMap<u64, &'static Location<'static>>,
}

/// What a run is made of, and its world knows.
pub(super) struct Parts {
    pub(super) powered: Powered,
    pub(super) client: Arc<MakeClient>,
    pub(super) oracles: Vec<Box<dyn Oracle>>,
    pub(super) components: Vec<Arc<str>>,
}

/// What a run leaves behind.
pub(super) struct Left {
    pub(super) trace: Trace,
    pub(super) struck: Vec<Strike>,
    pub(super) state: State,
    pub(super) calls: Calls,
    pub(super) later: u64,
    pub(super) failed_at: Option<Revision>,
}

thread_local! {
    /// Whether something looks at the state that everybody else has to wait for.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
}

/// As long as it lives, who else wants the state on this thread waits in vain.
pub(super) struct Looking {
    was: bool,
}

impl Looking {
    pub(super) fn new() -> Self {
        Self {
            was: LOOKING.replace(true),
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.set(self.was);
    }
}

impl Shared {
    /// Adds to the trace, which ends when the run has failed.
    pub(super) fn add(&mut self, component: &Arc<str>, what: What, detail: &[u8]) {
        if self.failure.is_none() {
            let entry = TraceEntry {
                at: self.began.elapsed(),
                component: component.clone(),
                what,
                is_beat: false,
            };
            self.trace.add(entry, detail);
        }
    }

    /// The run has failed; at this commit, if it is one's fault. The first reason counts.
    pub(super) fn fail(&mut self, why: String, at: Option<Revision>) {
        if self.failure.is_none() {
            self.add(&"world".into(), What::failed(&why), &[]);
            (self.failure, self.failed_at) = (Some(why), at);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

impl World {
    pub(super) fn new(
        seed: u64,
        plan: Arc<Plan>,
        parts: Parts,
        failed: watch::Sender<bool>,
        simulation: &Simulation,
    ) -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            seed,
            powered: parts.powered,
            client: parts.client,
            documents: Arc::new(Documents::new()),
            began: now,
            lag: simulation.lag,
            plan,
            state: Mutex::new(Shared {
                began: now,
                trace: Trace::new(simulation.detail),
                calls: Calls::default(),
                struck: Vec::new(),
                stormy: true,
                state: State::default(),
                early: BTreeMap::new(),
                oracles: parts.oracles,
                failure: None,
                failed_at: None,
                changed: now,
                settling: false,
                tells_beats: simulation.detail.tells_beats,
                normal: simulation.normal.clone(),
                forms: BTreeMap::new(),
                touches: (Duration::ZERO, 0),
                later: None,
                returned: BTreeMap::new(),
                waits: BTreeMap::new(),
            }),
            components: parts.components,
            moved: Notify::new(),
            lives: Mutex::default(),
            has_died: AtomicBool::new(false),
            troubles: Mutex::default(),
            troubled: Notify::new(),
            failed,
            scenario: Mutex::default(),
        }))
    }

    /// What changes all the time.
    ///
    /// # Panics
    ///
    /// If it is asked for by what looks at it already, which would wait for itself for ever.
    pub(super) fn shared(&self) -> MutexGuard<'_, Shared> {
        if let Some(shared) = self.0.state.try_lock() {
            return shared;
        }
        assert!(
            !LOOKING.get(),
            "the world was called from within World::look, World::until, an oracle or `normal`, which hold it: call it \
             before or after"
        );
        // Something on another thread has it, which is no part of the simulation.
        self.0.state.lock()
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// How long the run has lasted, in virtual time.
    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Looks at what the store holds.
    ///
    /// # Panics
    ///
    /// If `look` calls the world, which waits for it meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let shared = self.shared();
        let _looking = Looking::new();
        look(&shared.state)
    }

    /// Writes a line into the trace.
    pub fn note(&self, what: impl Into<String>) {
        self.record(&"scenario".into(), What::Note(what.into()), &[]);
    }

    /// Says that the run has failed, and why; it ends then. The first reason counts.
    pub fn fail(&self, why: impl Into<String>) {
        // What panicked and was caught by others came before.
        let why = self.unreported().unwrap_or_else(|| why.into());
        self.shared().fail(why, None);
        self.tell_failure();
    }

    /// Says so of a panic that others have caught.
    pub(super) fn fail_if_panicked(&self) {
        if let Some(why) = self.unreported() {
            self.fail(why);
        }
    }

    /// What to say of the first panic that others have caught, if there was one.
    fn unreported(&self) -> Option<String> {
        let why = panics::unreported()?;
        let is_dead = |alive: &watch::Sender<bool>| !*alive.borrow();
        if self.0.has_died.load(Relaxed) || self.0.lives.lock().values().any(is_dead) {
            return Some(format!(
                "{why}\nIt may be of a task that a dead life left behind: hold tasks in a JoinSet, which ends them with it"
            ));
        }
        Some(why)
    }

    /// Has the run end.
    pub(super) fn tell_failure(&self) {
        self.0.failed.send_replace(true);
    }

    /// Whether there is such a component; the run fails if `what` asks for another.
    pub(super) fn knows(&self, what: &str, component: &str) -> bool {
        let is_known = self.0.components.iter().any(|known| **known == *component);
        if !is_known {
            self.fail(format!(
                "World::{what}: there is no component {component:?}; {}",
                listed("components", &self.0.components)
            ));
        }
        is_known
    }

    /// Counts a call; what goes wrong with it.
    pub(super) fn next(&self, component: &Arc<str>, call: Call) -> (Point, Option<Fault>) {
        let now = self.elapsed();
        let mut state = self.shared();
        let point = state.calls.begin(component, call, now);
        if state.touches.0 != now {
            state.touches = (now, 0);
        }
        state.touches.1 += 1;
        let loops = state.touches.1 == TOUCHES;
        let is_random = matches!(*self.0.plan, Plan::Random { .. });
        let fault = if is_random && !state.stormy {
            None
        } else {
            self.0.plan.at(&point)
        };
        if let Some(fault) = fault {
            let strike = Strike::Call(point.clone(), fault);
            state.add(component, What::Fault(strike.to_string()), &[]);
            state.struck.push(strike);
        }
        drop(state);
        if loops {
            self.fail(format!(
                "at {now:?} the world was touched {TOUCHES} times without time passing, last by {component}"
            ));
        }
        (point, fault)
    }

    /// A number below `bound` that hangs on the seed and the point alone.
    pub(super) fn draw(&self, point: &Point, bound: u64) -> u64 {
        fastrand::Rng::with_seed(point_seed(!self.0.seed, point)).u64(..bound.max(1))
    }

    /// A time up to `longest`, in whole milliseconds, that hangs on the seed and the point alone.
    pub(super) fn draw_time(&self, point: &Point, longest: Duration) -> Duration {
        let most = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.draw(point, most))
    }

    pub(super) fn disasters(&self, name: &str, rate: f64, during: Duration) -> Vec<(u64, Duration)> {
        self.0.plan.disasters(name, rate, during)
    }

    /// What users ask for, in order.
    pub(super) fn steps(&self, wishes: &[Wish]) -> Vec<Strike> {
        self.0.plan.steps(wishes)
    }

    /// Whether there are still disasters.
    pub(super) fn is_stormy(&self) -> bool {
        let is_random = matches!(*self.0.plan, Plan::Random { .. });
        !is_random || self.shared().stormy
    }

    /// Takes note of what happens to this run.
    pub(super) fn struck(&self, strike: Strike) {
        match &strike {
            Strike::Step { .. } => self.record(&"scenario".into(), What::Asked(strike.to_string()), &[]),
            _ => self.record(&"world".into(), What::Fault(strike.to_string()), &[]),
        }
        self.shared().struck.push(strike);
    }

    /// From now on nothing goes wrong by chance; what went wrong before takes its time.
    pub(super) fn calm(&self) {
        self.shared().stormy = false;
    }

    pub(super) fn record(&self, component: &Arc<str>, what: What, detail: &[u8]) {
        self.shared().add(component, what, detail);
    }

    /// Returns when the run has failed.
    pub(super) async fn failed(&self) {
        let mut failed = self.0.failed.subscribe();
        // The sender lives in this very world.
        let _ = failed.wait_for(|failed| *failed).await;
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.shared().failure.clone()
    }

    /// What the run leaves behind.
    pub(super) fn left(&self) -> Left {
        self.0.scenario.lock().take();
        let mut state = self.shared();
        Left {
            trace: std::mem::take(&mut state.trace),
            struck: std::mem::take(&mut state.struck),
            state: std::mem::take(&mut state.state),
            calls: std::mem::take(&mut state.calls),
            later: state.later.unwrap_or_default(),
            failed_at: state.failed_at,
        }
    }

    /// A call begins that may change something before it is done.
    pub(super) fn touch(&self) {
        self.shared().calls.touch();
    }

    /// This call has no way to tell that it has failed.
    pub(super) fn cannot_fail(&self, point: Option<&Point>) {
        if let Some(point) = point {
            self.shared().calls.cannot_fail(point);
        }
    }

    /// A call that can be crashed after is done, and has perhaps changed something.
    pub(super) fn done(&self, point: Option<&Point>, has_changed: bool) {
        if let Some(point) = point {
            let now = self.elapsed();
            self.shared().calls.end(point, now, has_changed);
        }
    }

    /// The calls that components have made.
    pub(super) fn calls(&self) -> Calls {
        self.shared().calls.clone()
    }

    /// A client that nothing goes wrong with.
    pub fn client(&self) -> Client {
        if let Some(client) = &*self.0.scenario.lock() {
            return client.clone();
        }
        let client = Life::of_the_scenario(self).client();
        self.0.scenario.lock().get_or_insert(client).clone()
    }

    /// How often the world was touched so far.
    pub(super) fn touches(&self) -> u64 {
        self.shared().calls.touches()
    }
}

/// Names in a sentence.
pub(super) fn listed(what: &str, names: &[Arc<str>]) -> String {
    if names.is_empty() {
        return format!("{what}: none");
    }
    format!("{what}: {}", names.join(", "))
}
