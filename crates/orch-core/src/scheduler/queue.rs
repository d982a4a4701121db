//! The requests that wait for a place: by priority, parked while none fits, woken when that may have changed.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Key, Request, Shape};

/// How a [`Queue`] waits.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How long a request waits after its first failure; doubled for each further one. 1 s as in
    /// kube-scheduler (`podInitialBackoffSeconds`).
    pub initial_backoff: Duration,
    /// The longest such wait. 10 s as in kube-scheduler (`podMaxBackoffSeconds`).
    pub max_backoff: Duration,
    /// How long requests stay parked without being woken, in case a reason to wake them was missed. 5 min as in
    /// kube-scheduler.
    pub flush_interval: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            flush_interval: Duration::from_secs(300),
        }
    }
}

/// The requests that wait for a place.
///
/// A request is *active* (will be popped, by priority and then order), *in flight* (popped, outcome not yet
/// reported), *parked* (refused, waits for the cluster to change), *binding* (has a place, which is being
/// written), or *backing off* (failed, waits for its time). Every popped request must be reported, by
/// [`placed`](Self::placed), [`refused`](Self::refused) or [`failed`](Self::failed), before the next pop for
/// priorities to hold exactly; and [removed](Self::remove) once it is seen bound or gone.
///
/// Requests of one [`Shape`] are interchangeable, so when room appears only the first parked one of each shape
/// that fits becomes active, and the next one of its shape once that has been placed. An event thus costs
/// time in the number of parked shapes, not of parked requests.
///
/// It holds each request once, so it is no larger than the set of requests that exist.
///
/// ```
/// use orch_core::scheduler::{Queue, Request, Requirements};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let queue = Queue::default();
/// queue.push(Request::new("batch", Requirements::default()));
/// queue.push(Request::new("urgent", Requirements::default()).priority(1));
///
/// let urgent = queue.pop().await.unwrap();
/// assert_eq!(&*urgent.request.key, "urgent");
/// queue.refused("urgent"); // parked: no node fits
///
/// assert_eq!(&*queue.pop().await.unwrap().request.key, "batch");
/// queue.placed("batch");
/// queue.remove("batch"); // seen bound
///
/// queue.wake(|_request| true); // the cluster changed
/// assert_eq!(&*queue.pop().await.unwrap().request.key, "urgent");
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Queue {
    options: QueueOptions,
    state: Mutex<State>,
    /// Told when a request becomes active, a time to wait for gets nearer, or the queue closes.
    changed: Notify,
}

/// A request to be placed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Popped {
    /// The request.
    pub request: Request,
    /// How many times it has failed; refusals do not count.
    pub failures: u32,
}

/// How many requests are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// To be popped.
    pub active: usize,
    /// Popped and not yet reported.
    pub in_flight: usize,
    /// Having a place that is being written.
    pub binding: usize,
    /// Waiting for their time after a failure.
    pub backing_off: usize,
    /// Waiting for the cluster to change.
    pub parked: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    active: BTreeSet<Rank>,
    backing_off: BTreeSet<(Instant, Key)>,
    parked: HashMap<Shape, BTreeSet<Rank>>,
    binding: usize,
    /// How many times the parked were woken.
    wakes: u64,
    /// When to wake all; set while any is parked.
    flush_at: Option<Instant>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    stage: Stage,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Active,
    /// `wakes` as of the pop; `changed` if the request was replaced since.
    InFlight {
        wakes: u64,
        changed: bool,
    },
    Binding,
    BackingOff {
        until: Instant,
    },
    Parked,
}

/// Sorts by priority, then order, then key.
type Rank = (Reverse<i32>, u64, Key);

fn rank(request: &Request) -> Rank {
    (Reverse(request.priority), request.order, request.key.clone())
}

impl Queue {
    /// An empty queue.
    pub fn new(options: QueueOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Adds a request, or replaces the one of the same key. One that differs from what was known becomes active,
    /// whatever it was waiting for, unless it is in flight or binding; an equal one stays where it is.
    pub fn push(&self, request: Request) {
        let mut state = self.state.lock();
        match state.entries.get_mut(&request.key) {
            Some(entry) if entry.request == request => return,
            Some(entry) => {
                if entry.stage == Stage::Binding {
                    entry.request = request; // counts if binding fails
                    return;
                }
                if let Stage::InFlight { changed, .. } = &mut entry.stage {
                    *changed = true;
                    entry.request = request;
                    return;
                }
                let before = state.take(&request.key);
                let failures = before.map_or(0, |entry| entry.failures);
                state.activate(request, failures);
            }
            None => state.activate(request, 0),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Removes a request, wherever it is: it was seen bound, or deleted. Does nothing if it is unknown.
    pub fn remove(&self, key: &str) {
        if self.state.lock().take(key).is_some() {
            self.changed.notify_one();
        }
    }

    /// Waits for an active request and takes the first. None once the queue is [closed](Self::close).
    ///
    /// Dropping the future loses no request. Several tasks may pop at once; each request goes to one.
    pub async fn pop(&self) -> Option<Popped> {
        loop {
            let changed = self.changed.notified();
            let deadline = {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                if let Some(popped) = state.pop(Instant::now(), self.options.flush_interval) {
                    if !state.active.is_empty() {
                        self.changed.notify_one(); // for another task that pops
                    }
                    return Some(popped);
                }
                state.deadline()
            };
            match deadline {
                Some(deadline) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = sleep_until(deadline) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Takes the first active request if there is one now.
    pub fn try_pop(&self) -> Option<Popped> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.pop(Instant::now(), self.options.flush_interval)
    }

    /// Reports that a popped request has a place, which the caller now writes. The next parked one of its
    /// shape becomes active, since there may be room for that too.
    pub fn placed(&self, key: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.entries.get_mut(key) else {
            return;
        };
        if !matches!(entry.stage, Stage::InFlight { .. }) {
            return;
        }
        entry.stage = Stage::Binding;
        let shape = entry.request.shape.clone();
        state.binding += 1;
        state.activate_parked(&shape);
        drop(state);
        self.changed.notify_one();
    }

    /// Reports that no node fits a popped request. It is parked until [woken](Self::wake), unless that
    /// happened, or the request was replaced, since it was popped: then it is active again at once.
    pub fn refused(&self, key: &str) {
        let mut state = self.state.lock();
        let wakes_now = state.wakes;
        let Some(entry) = state.entries.get_mut(key) else {
            return;
        };
        let Stage::InFlight { wakes, changed } = entry.stage else {
            return;
        };
        if changed || wakes != wakes_now {
            entry.stage = Stage::Active;
            let rank = rank(&entry.request);
            state.active.insert(rank);
        } else {
            entry.stage = Stage::Parked;
            let (shape, rank) = (entry.request.shape.clone(), rank(&entry.request));
            state.parked.entry(shape).or_default().insert(rank);
            let flush_at = Instant::now() + self.options.flush_interval;
            state.flush_at.get_or_insert(flush_at);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Reports that a popped request failed for another reason than lack of a fitting node, such as a place
    /// that could not be written. It becomes active again after a while, longer each time.
    pub fn failed(&self, key: &str) {
        let mut state = self.state.lock();
        let stage = state.entries.get(key).map(|entry| entry.stage);
        if !matches!(stage, Some(Stage::InFlight { .. } | Stage::Binding)) {
            return;
        }
        // Leaves, so that others of its shape get their turn, and comes back.
        let Some(mut entry) = state.take(key) else {
            return;
        };
        entry.failures = entry.failures.saturating_add(1);
        let doublings = (entry.failures - 1).min(31);
        let wait = self.options.initial_backoff.saturating_mul(1 << doublings);
        let until = Instant::now() + wait.min(self.options.max_backoff);
        let key = entry.request.key.clone();
        entry.stage = Stage::BackingOff { until };
        state.backing_off.insert((until, key.clone()));
        state.entries.insert(key, entry);
        drop(state);
        self.changed.notify_one();
    }

    /// Says that the cluster changed so that something refused before may fit now: a node was added or changed, or
    /// room became free. Of each parked shape for which `may_fit` holds the first request becomes active.
    ///
    /// `may_fit` is best [`Scheduler::fits`](super::Scheduler::fits) on the node concerned. It is called under the
    /// queue's lock and must not call the queue.
    pub fn wake(&self, may_fit: impl FnMut(&Request) -> bool) {
        let mut state = self.state.lock();
        state.wake(may_fit);
        if !state.active.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Makes every present and future [`pop`](Self::pop) return none.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// How many requests are in which state.
    pub fn depth(&self) -> Depth {
        let state = self.state.lock();
        let (active, binding, backing_off) = (state.active.len(), state.binding, state.backing_off.len());
        let parked: usize = state.parked.values().map(BTreeSet::len).sum();
        Depth {
            active,
            in_flight: state.entries.len() - active - binding - backing_off - parked,
            binding,
            backing_off,
            parked,
        }
    }
}

impl State {
    fn activate(&mut self, request: Request, failures: u32) {
        self.active.insert(rank(&request));
        let key = request.key.clone();
        let stage = Stage::Active;
        let entry = Entry {
            request,
            stage,
            failures,
        };
        self.entries.insert(key, entry);
    }

    /// Takes a request out. If it was on its way, the next parked one of its shape takes its turn: it may have
    /// been woken on behalf of them all.
    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        match entry.stage {
            Stage::Active => {
                self.active.remove(&rank(&entry.request));
                self.activate_parked(&entry.request.shape);
            }
            Stage::InFlight { .. } => self.activate_parked(&entry.request.shape),
            Stage::Binding => self.binding -= 1,
            Stage::BackingOff { until } => {
                self.backing_off.remove(&(until, entry.request.key.clone()));
            }
            Stage::Parked => {
                if let Some(ranks) = self.parked.get_mut(&entry.request.shape) {
                    ranks.remove(&rank(&entry.request));
                    if ranks.is_empty() {
                        self.parked.remove(&entry.request.shape);
                    }
                }
            }
        }
        Some(entry)
    }

    fn pop(&mut self, now: Instant, flush_interval: Duration) -> Option<Popped> {
        while let Some((until, _)) = self.backing_off.first()
            && *until <= now
            && let Some((_, key)) = self.backing_off.pop_first()
        {
            self.set_active(&key);
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.wake(|_| true);
            self.flush_at = (!self.parked.is_empty()).then(|| now + flush_interval);
        }
        let (_, _, key) = self.active.pop_first()?;
        let wakes = self.wakes;
        let entry = self.entries.get_mut(&key)?;
        entry.stage = Stage::InFlight {
            wakes,
            changed: false,
        };
        Some(Popped {
            request: entry.request.clone(),
            failures: entry.failures,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        let backed_off = self.backing_off.first().map(|(until, _)| *until);
        backed_off.into_iter().chain(self.flush_at).min()
    }

    fn wake(&mut self, mut may_fit: impl FnMut(&Request) -> bool) {
        self.wakes += 1;
        let mut shapes = Vec::new();
        for (shape, ranks) in &self.parked {
            let first = ranks.first().and_then(|(_, _, key)| self.entries.get(key));
            if first.is_some_and(|entry| may_fit(&entry.request)) {
                shapes.push(shape.clone());
            }
        }
        for shape in shapes {
            self.activate_parked(&shape);
        }
    }

    fn activate_parked(&mut self, shape: &Shape) {
        let Some(ranks) = self.parked.get_mut(shape) else {
            return;
        };
        let first = ranks.pop_first();
        if ranks.is_empty() {
            self.parked.remove(shape);
        }
        if let Some((_, _, key)) = first {
            self.set_active(&key);
        }
    }

    fn set_active(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.stage = Stage::Active;
            self.active.insert(rank(&entry.request));
        }
    }
}
