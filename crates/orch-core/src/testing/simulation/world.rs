//! What the components of a run share: the store, time, what goes wrong, and the record of it all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::calls::Calls;
use super::component::Life;
use super::fault::{Call, Fault, Point, Strike};
use super::oracle::Oracle;
use super::plan::{Plan, point_seed};
use super::power::Powered;
use super::sequence::Wish;
use super::state::{Held, State, Written};
use super::trace::{Trace, TraceEntry, What};
use super::trouble::Trouble;
use super::{Normal, Simulation};
use crate::client::{Client, ClientBuilder, Documents};
use crate::store::{CommitError, Committed, Key, Op, Revision, Store, Txn};

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
    plan: Plan,
    state: Mutex<Shared>,
    /// Counts commits.
    moved: watch::Sender<u64>,
    /// Where each component is told to die.
    pub(super) lives: Mutex<BTreeMap<Arc<str>, watch::Sender<bool>>>,
    pub(super) troubles: Mutex<BTreeMap<Arc<str>, Trouble>>,
    /// Rung when a component gets into trouble, or the power goes: watches may have to end.
    pub(super) troubled: Notify,
    failed: watch::Sender<bool>,
    /// The scenario's client; it holds this world, and so is let go of in the end.
    scenario: Mutex<Option<Client>>,
}

struct Shared {
    trace: Trace,
    calls: Calls,
    struck: Vec<Strike>,
    stormy: bool,
    state: State,
    /// Commits that were told before earlier ones.
    early: BTreeMap<Revision, (Arc<str>, Vec<Op>)>,
    oracles: Vec<Box<dyn Oracle>>,
    failure: Option<String>,
    /// When something changed last.
    changed: Instant,
    /// Whether the run is to settle.
    settling: bool,
    /// Whether heartbeats are told from other changes all the time.
    tells_beats: bool,
    normal: Arc<Normal>,
    /// The form of what keys hold that were written since it counts.
    forms: BTreeMap<Key, Option<String>>,
    touches: (Duration, u32),
}

impl Shared {
    /// Whether a change changes nothing that counts.
    fn is_beat(&mut self, key: &Key, before: Option<&Held>) -> bool {
        if !self.settling && !self.tells_beats {
            return false;
        }
        let form = |held: Option<&Held>| (self.normal)(held?.document.as_ref()?);
        let now = form(self.state.held(key));
        // Once it is asked, it is asked of every change: what was kept is the form of what the key held before.
        match self.forms.get_mut(key) {
            Some(kept) => std::mem::replace(kept, now.clone()) == now,
            None => {
                let is_same = form(before) == now;
                self.forms.insert(key.clone(), now);
                is_same
            }
        }
    }
}

impl World {
    pub(super) fn new(
        seed: u64,
        powered: Powered,
        client: Arc<MakeClient>,
        plan: Plan,
        oracles: Vec<Box<dyn Oracle>>,
        simulation: &Simulation,
    ) -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            seed,
            powered,
            client,
            documents: Arc::new(Documents::new()),
            began: now,
            lag: simulation.lag,
            plan,
            state: Mutex::new(Shared {
                trace: Trace::default(),
                calls: Calls::default(),
                struck: Vec::new(),
                stormy: true,
                state: State::default(),
                early: BTreeMap::new(),
                oracles,
                failure: None,
                changed: now,
                settling: false,
                tells_beats: simulation.tells_beats,
                normal: simulation.normal.clone(),
                forms: BTreeMap::new(),
                touches: (Duration::ZERO, 0),
            }),
            moved: watch::Sender::new(0),
            lives: Mutex::default(),
            troubles: Mutex::default(),
            troubled: Notify::new(),
            failed: watch::Sender::new(false),
            scenario: Mutex::default(),
        }))
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
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.lock().state)
    }

    /// Waits until what the store holds is as `wanted`.
    pub async fn until(&self, wanted: impl Fn(&State) -> bool) {
        let mut moved = self.0.moved.subscribe();
        while !self.look(&wanted) {
            // The sender lives in this very world.
            let _ = moved.changed().await;
        }
    }

    /// Writes a line into the trace.
    pub fn note(&self, what: impl Into<String>) {
        self.record("scenario", What::Note(what.into()), &[]);
    }

    /// Says that the run has failed, and why; it ends then. The first reason counts.
    pub fn fail(&self, why: impl Into<String>) {
        self.0.state.lock().failure.get_or_insert_with(|| why.into());
        self.0.failed.send_replace(true);
    }

    /// Counts a call; what goes wrong with it.
    pub(super) fn next(&self, component: &Arc<str>, call: Call) -> (Point, Option<Fault>) {
        let now = self.elapsed();
        let mut state = self.0.state.lock();
        let point = state.calls.begin(component, call, now);
        if state.touches.0 != now {
            state.touches = (now, 0);
        }
        state.touches.1 += 1;
        let loops = state.touches.1 == TOUCHES;
        let is_random = matches!(self.0.plan, Plan::Random { .. });
        let fault = if is_random && !state.stormy {
            None
        } else {
            self.0.plan.at(&point)
        };
        if let Some(fault) = fault {
            let strike = Strike::Call(point.clone(), fault);
            let entry = TraceEntry {
                at: now,
                component: component.clone(),
                what: What::Fault(strike.to_string()),
                is_beat: false,
            };
            state.trace.add(entry, &[]);
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
        let is_random = matches!(self.0.plan, Plan::Random { .. });
        !is_random || self.0.state.lock().stormy
    }

    /// Takes note of what happens to this run.
    pub(super) fn struck(&self, strike: Strike) {
        self.record("world", What::Fault(strike.to_string()), &[]);
        self.0.state.lock().struck.push(strike);
    }

    /// From now on nothing goes wrong by chance; what went wrong before takes its time.
    pub(super) fn calm(&self) {
        self.0.state.lock().stormy = false;
    }

    pub(super) fn record(&self, component: &str, what: What, detail: &[u8]) {
        let entry = TraceEntry {
            at: self.elapsed(),
            component: component.into(),
            what,
            is_beat: false,
        };
        self.0.state.lock().trace.add(entry, detail);
    }

    /// Commits; where it is not known what came of it, by which number it can be [asked for](Powered::landed).
    pub(super) async fn commit(
        &self,
        component: &Arc<str>,
        store: &dyn Store,
        txn: Txn,
    ) -> (Result<Committed, CommitError>, Option<u64>) {
        let mut unsure = None;
        let committed = store.commit(txn.clone()).await;
        match &committed {
            Ok(committed) if committed.changed => self.committed(component, committed.revision, txn.ops),
            Ok(_) => {}
            Err(error) => {
                self.record(component, What::Refused(error.to_string()), &[]);
                if let CommitError::Unknown(_) = error {
                    unsure = Some(self.0.powered.note(component, txn));
                    self.must_know_with_power();
                }
            }
        }
        self.look_at_power();
        (committed, unsure)
    }

    /// Takes note of a commit, shows it to the oracles, and wakes who waits for it.
    pub(super) fn committed(&self, component: &Arc<str>, revision: Revision, ops: Vec<Op>) {
        let at = self.elapsed();
        let mut failure = None;
        {
            let mut guard = self.0.state.lock();
            let shared = &mut *guard;
            let is_calm = shared
                .struck
                .iter()
                .all(|strike| matches!(strike, Strike::Step { .. }));
            shared.early.insert(revision, (component.clone(), ops));
            while let Some(first) = shared.early.first_entry() {
                if *first.key() != shared.state.revision.next() {
                    break;
                }
                let (revision, (by, ops)) = first.remove_entry();
                shared.state.revision = revision;
                for op in ops {
                    let key = op.key().clone();
                    let (before, written) = match op {
                        Op::Put { value, .. } => {
                            let held = Held {
                                revision,
                                document: self.0.documents.decode_value(&key, &value, revision).ok(),
                                value: value.clone(),
                            };
                            (shared.state.put(&key, held), Some(value))
                        }
                        Op::Delete { .. } => match shared.state.delete(&key) {
                            None => continue,
                            before => (before, None),
                        },
                    };
                    let is_beat = shared.is_beat(&key, before.as_ref());
                    if !is_beat {
                        shared.changed = Instant::now();
                    }
                    let entry = TraceEntry {
                        at,
                        component: by.clone(),
                        what: What::Wrote {
                            revision,
                            key: key.clone(),
                            deleted: written.is_none(),
                        },
                        is_beat,
                    };
                    shared.trace.add(entry, written.as_deref().unwrap_or_default());
                    let written = Written {
                        at,
                        by: &by,
                        key: &key,
                        before: before.as_ref(),
                        state: &shared.state,
                        is_calm,
                    };
                    for oracle in &mut shared.oracles {
                        if let Err(why) = oracle.written(&written) {
                            let name = oracle.name();
                            failure.get_or_insert_with(|| {
                                format!("{name}: {why} (written by {by} at {revision})")
                            });
                        }
                    }
                }
            }
        }
        if let Some(why) = failure {
            self.fail(why);
        }
        self.0.moved.send_modify(|count| *count += 1);
    }

    /// Asks the oracles about the end.
    pub(super) fn judge(&self) {
        let mut failure = None;
        {
            let mut guard = self.0.state.lock();
            let shared = &mut *guard;
            for oracle in &mut shared.oracles {
                if let Err(why) = oracle.settled(&shared.state) {
                    failure.get_or_insert_with(|| format!("{}: {why}", oracle.name()));
                }
            }
        }
        if let Some(why) = failure {
            self.fail(why);
        }
    }

    /// Returns when the run has failed.
    pub(super) async fn failed(&self) {
        let mut failed = self.0.failed.subscribe();
        // The sender lives in this very world.
        let _ = failed.wait_for(|failed| *failed).await;
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.0.state.lock().failure.clone()
    }

    /// What the run leaves behind.
    pub(super) fn left(&self) -> (Trace, Vec<Strike>, State) {
        self.0.scenario.lock().take();
        let mut state = self.0.state.lock();
        (
            std::mem::take(&mut state.trace),
            std::mem::take(&mut state.struck),
            std::mem::take(&mut state.state),
        )
    }

    /// A call begins that may change something before it is done.
    pub(super) fn touch(&self) {
        self.0.state.lock().calls.touch();
    }

    /// This call has no way to tell that it has failed.
    pub(super) fn cannot_fail(&self, point: Option<&Point>) {
        if let Some(point) = point {
            self.0.state.lock().calls.cannot_fail(point);
        }
    }

    /// A call that can be crashed after is done, and has perhaps changed something.
    pub(super) fn done(&self, point: Option<&Point>, has_changed: bool) {
        if let Some(point) = point {
            let now = self.elapsed();
            self.0.state.lock().calls.end(point, now, has_changed);
        }
    }

    /// The calls that components have made.
    pub(super) fn calls(&self) -> Calls {
        self.0.state.lock().calls.clone()
    }

    /// Returns when nothing has changed for `quiet`, heartbeats apart.
    pub(super) async fn settled(&self, quiet: Duration) {
        {
            let mut state = self.0.state.lock();
            state.changed = Instant::now();
            state.settling = true;
        }
        loop {
            let changed = self.0.state.lock().changed;
            if changed.elapsed() >= quiet {
                return;
            }
            tokio::time::sleep_until(changed + quiet).await;
        }
    }

    /// What to say of a run that has not settled by its deadline.
    pub(super) fn unsettled(&self, deadline: Duration) -> String {
        let state = self.0.state.lock();
        if state.settling {
            format!(
                "it had not settled after {deadline:?}: the last change was {:?} before",
                state.changed.elapsed()
            )
        } else {
            format!("the scenario had not ended after {deadline:?}")
        }
    }

    /// A client that nothing goes wrong with.
    pub fn client(&self) -> Client {
        if let Some(client) = &*self.0.scenario.lock() {
            return client.clone();
        }
        let client = Life::of_the_scenario(self).client();
        self.0.scenario.lock().get_or_insert(client).clone()
    }

    /// The objects that the store holds in the form in which they are compared.
    pub(super) fn end(&self) -> Vec<String> {
        let state = self.0.state.lock();
        let mut lines: Vec<String> = state
            .state
            .documents()
            .filter_map(|document| (state.normal)(document))
            .collect();
        lines.sort_unstable();
        lines
    }
}
