//! Notices runs that stand still in real time: virtual time does not pass while anything still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use futures::task::AtomicWaker;
use parking_lot::Mutex;

use super::plan::Plan;
use super::state::State;
use super::world::World;

/// How often runs are asked, in real time.
const BEAT: Duration = Duration::from_millis(250);

/// For how many beats a run is left in peace at first: hardly any lasts as long.
const PEACE: u64 = 8;

/// How long a run may stand still, unless the simulation says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a failure says of a run that stood still.
pub(super) const STANDS_STILL: &str = "virtual time has stood still";

/// What the watchdog knows of a run.
pub(super) struct Pulse {
    pub(super) name: Arc<str>,
    pub(super) seed: u64,
    pub(super) plan: Arc<Plan>,
    /// How many beats it may stand still.
    patience: u64,
    beats: AtomicU64,
    /// At which beat it answered last.
    answered: AtomicU64,
    waker: AtomicWaker,
    has_been_told: AtomicBool,
}

/// The runs that there are. There is a thread that watches them while there are any.
struct Runs {
    pulses: Vec<Arc<Pulse>>,
    is_watched: bool,
}

static RUNS: Mutex<Runs> = Mutex::new(Runs {
    pulses: Vec::new(),
    is_watched: false,
});

/// As long as it lives, the run is watched.
pub(super) struct Watched(Arc<Pulse>);

impl Drop for Watched {
    fn drop(&mut self) {
        RUNS.lock().pulses.retain(|pulse| !Arc::ptr_eq(pulse, &self.0));
    }
}

impl Pulse {
    pub(super) fn new(name: Arc<str>, seed: u64, plan: Arc<Plan>, patience: Duration) -> Self {
        let beats = patience.as_millis().div_ceil(BEAT.as_millis()).max(1);
        Self {
            name,
            seed,
            plan,
            patience: u64::try_from(beats).unwrap_or(u64::MAX),
            beats: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            has_been_told: AtomicBool::new(false),
        }
    }

    /// Asks the run whether it lives. What to say of one that has not answered for too long; once.
    fn beat(&self) -> Option<String> {
        let beats = 1 + self.beats.fetch_add(1, Relaxed);
        if beats < PEACE {
            self.answered.store(beats, Relaxed);
            return None;
        }
        self.waker.wake();
        let unanswered = beats - self.answered.load(Relaxed);
        if unanswered < self.patience || self.has_been_told.swap(true, Relaxed) {
            return None;
        }
        Some(format!(
            "simulation {}: a run has been stuck for {:?} of real time in code that does not await: a loop, a blocking call \
             (std::thread::sleep, a channel of std's), or a lock that is held. If it does not return, \
             nothing can end it but the end of the process. It is the run of ORCH_SIM='{}'.\n",
            self.name,
            BEAT * u32::try_from(unanswered).unwrap_or(u32::MAX),
            self.line(),
        ))
    }

    /// The line that asks for the run.
    pub(super) fn line(&self) -> String {
        self.plan.line(&self.name, self.seed)
    }

    /// Returns what is wrong when the run has stood still for too long: tasks run, and no time passes.
    pub(super) async fn stands_still(&self, world: &World) -> String {
        let (mut still, mut before) = (0, None);
        std::future::poll_fn(|context| {
            self.waker.register(context.waker());
            let beats = self.beats.load(Relaxed);
            if beats < PEACE || self.answered.swap(beats, Relaxed) == beats {
                return Poll::Pending;
            }
            // What the scenario does counts as no touch; what it commits is one.
            let now = Some((world.elapsed(), world.touches(), world.look(State::revision)));
            still = if now == before { still + 1 } else { 0 };
            before = now;
            if still < self.patience {
                return Poll::Pending;
            }
            Poll::Ready(format!(
                "at {:?} {STANDS_STILL} for {:?} of real time while tasks run that do not touch the world: one \
                 waits in a loop that awaits no time and no change (tokio::task::yield_now, try_recv, an atomic)",
                world.elapsed(),
                BEAT * u32::try_from(still).unwrap_or(u32::MAX),
            ))
        })
        .await
    }
}

/// Has the run watched.
pub(super) fn watch(pulse: Arc<Pulse>) -> Watched {
    let mut runs = RUNS.lock();
    runs.pulses.push(pulse.clone());
    if !runs.is_watched {
        let watch = std::thread::Builder::new().name("simulation watchdog".to_owned());
        // Without a thread for it there is no watch now; the next run tries again.
        runs.is_watched = watch.spawn(keep_watch).is_ok();
    }
    Watched(pulse)
}

fn keep_watch() {
    use std::io::Write;
    loop {
        std::thread::sleep(BEAT);
        let pulses = {
            let mut runs = RUNS.lock();
            if runs.pulses.is_empty() {
                runs.is_watched = false;
                return;
            }
            runs.pulses.clone()
        };
        for told in pulses.iter().filter_map(|pulse| pulse.beat()) {
            // Past the capture of tests, which shows nothing of a test that does not end.
            drop(std::io::stderr().write_all(told.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::simulation::plan::Rates;

    #[test]
    fn of_a_run_that_does_not_answer_is_told_once() {
        let plan = Plan::Random {
            seed: 7,
            rates: Rates::none(),
        };
        let pulse = Pulse::new("roll".into(), 7, Arc::new(plan), Duration::from_secs(10));
        let told: Vec<_> = (0..100).filter_map(|_| pulse.beat()).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("stuck for 10s of real time"), "{told:?}");
        assert!(told[0].contains("ORCH_SIM='roll 7'"), "{told:?}");
        assert!(pulse.beats.load(Relaxed) == 100);
    }
}
