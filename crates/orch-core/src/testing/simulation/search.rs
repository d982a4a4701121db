//! Looks for a run that fails: seed by seed, fault by fault; and makes what it finds as short as it can.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::fault::Strike;
use super::report::{CALM, Failure, Passed};
use super::sequence::Ends;
use super::{CALM_SEED, Run, Simulation};

/// The environment variable that asks for one run, as [`Simulation::replay`] reads it.
const REPLAY: &str = "ORCH_SIM";

/// How many runs are spent on taking away what a failure does not need.
const SHRINKING_RUNS: usize = 300;

/// How long they may last together, in virtual time: those that never settle take long.
const SHRINKING_TIME: Duration = Duration::from_secs(80 * 3600);

impl Simulation {
    /// Runs the simulation once for each seed, with faults at the [rates](Self::rates), on all processors. Every run
    /// must satisfy the oracles and end as one in which nothing goes wrong; of [states](super::Setup::state) chance
    /// draws some, and then the last of them counts.
    ///
    /// # Errors
    ///
    /// The first seed that fails, with the fewest faults that it takes.
    ///
    /// With the environment variable `ORCH_SIM` set to what a [`Failure`] says, only that run is made, and its trace
    /// goes to standard error.
    pub fn seeds(&self, seeds: std::ops::Range<u64>) -> Result<Passed, Box<Failure>> {
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let ends = self.ends()?;
        self.search(seeds.collect(), &ends, |seed| (*seed, self.run(*seed)))
    }

    /// Makes a run in which nothing goes wrong, and then one for each place at which that run touched the world until its scenario
    /// had ended: with a crash before and after each commit and a commit whose answer is lost, with a crash and a lost
    /// answer at each call of a runtime, with each change that a watch brings late or skipped, with each list stale.
    /// Every run must satisfy the oracles and end as the first. Of crashes between which a component has only looked at the
    /// world, and no other has touched it, one is tried.
    ///
    /// Of [states](super::Setup::state) that users may ask for, each run asks for all, one after the other.
    ///
    /// # Errors
    ///
    /// The first fault that fails.
    pub fn sweep(&self) -> Result<Passed, Box<Failure>> {
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let ends = self.ends()?;
        let calm = self.judged(self.run_calm(CALM_SEED), &ends);
        if calm.failure.is_some() {
            return Err(self.failure(CALM_SEED, calm));
        }
        let strikes: Vec<Strike> = calm.calls.places();
        self.search(strikes, &ends, |strike| {
            let strikes = calm.strikes.iter().chain([strike]).cloned();
            (CALM_SEED, self.run_with(CALM_SEED, strikes))
        })
    }

    /// Makes the run with this seed twice.
    ///
    /// # Errors
    ///
    /// Where the two differ: a component has a source of chance, or a clock, that is not the simulation's.
    pub fn repeats(&self, seed: u64) -> Result<u64, String> {
        let (one, two) = (self.run(seed), self.run(seed));
        if one.trace.fingerprint() == two.trace.fingerprint() {
            return Ok(one.trace.fingerprint());
        }
        let pairs = one.trace.entries().zip(two.trace.entries());
        let (mut same, mut differ) = (0, None);
        for (first, second) in pairs {
            if first != second {
                differ = Some(format!("\n  {first}\n  {second}"));
                break;
            }
            same += 1;
        }
        let differ = differ.unwrap_or_else(|| " in what was written, or in length".to_owned());
        Err(format!(
            "{}: two runs with seed {seed} are the same for {same} lines of the trace, and then differ:{differ}",
            self.name
        ))
    }

    /// Makes a run of each case, several at once; the first that fails is made shorter.
    pub(super) fn search<T: Sync>(
        &self,
        cases: Vec<T>,
        ends: &Ends,
        run: impl Fn(&T) -> (u64, Run) + Sync,
    ) -> Result<Passed, Box<Failure>> {
        let next = AtomicUsize::new(0);
        let found: Mutex<Option<(usize, u64, Run)>> = Mutex::new(None);
        let passed = Mutex::new(Passed::default());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(index) else { return };
                if found.lock().as_ref().is_some_and(|(first, ..)| *first < index) {
                    return;
                }
                let (seed, run) = run(case);
                let run = self.judged(run, ends);
                passed.lock().add(&run);
                if run.failure.is_some() {
                    let mut found = found.lock();
                    if found.as_ref().is_none_or(|(first, ..)| *first > index) {
                        *found = Some((index, seed, run));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            (0..threads).for_each(|_| drop(scope.spawn(work)));
        });
        match found.into_inner() {
            None => Ok(passed.into_inner()),
            Some((_, seed, run)) => {
                let shortest = self.shrink(seed, run, ends);
                Err(self.failure(seed, shortest))
            }
        }
    }

    /// Tells of a run, which is made once more for the trace.
    pub(super) fn failure(&self, seed: u64, run: Run) -> Box<Failure> {
        let telling = Self {
            tells_beats: true,
            ..self.clone()
        };
        Box::new(Failure {
            simulation: self.name.clone(),
            seed,
            why: run.failure.unwrap_or_default(),
            trace: telling.run_with(seed, run.strikes.clone()).trace,
            strikes: run.strikes,
        })
    }

    /// Takes faults away for as long as the run still fails: halves, quarters, and at last one by one (delta debugging).
    fn shrink(&self, seed: u64, mut failed: Run, ends: &Ends) -> Run {
        let mut chunk = failed.strikes.len();
        let (mut runs, mut lasted) = (0, Duration::ZERO);
        let is_over = |runs, lasted| runs >= SHRINKING_RUNS || lasted >= SHRINKING_TIME;
        while chunk > 0 {
            let mut at = 0;
            let mut shorter = false;
            while at < failed.strikes.len() && !is_over(runs, lasted) {
                let mut fewer = failed.strikes.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                if ends.of(&fewer).is_none() {
                    // It would fail, if it did, for no better reason than that it ends with a passing state.
                    at += chunk;
                    continue;
                }
                let run = self.judged(self.run_with(seed, fewer), ends);
                runs += 1;
                lasted += run.lasted;
                if run.failure.is_some() && run.strikes.len() < failed.strikes.len() {
                    failed = run;
                    shorter = true;
                } else {
                    at += chunk;
                }
            }
            if is_over(runs, lasted) {
                break;
            }
            if !shorter || chunk > 1 {
                chunk /= 2;
            }
        }
        failed
    }

    /// The run that the environment asks for, if it asks for one of this simulation.
    pub(super) fn replayed(&self) -> Option<Result<Passed, Box<Failure>>> {
        let asked = std::env::var(REPLAY).ok()?;
        if asked.split_whitespace().next() != Some(&*self.name) {
            return None;
        }
        let replayed = self.replay(&asked);
        if let Err(failure) = &replayed {
            let entries = failure.trace.entries().filter(|entry| !entry.is_beat);
            let lines: String = entries.map(|entry| format!("{entry}\n")).collect();
            // Who asks for a replay reads it; there is nothing to be done about an error stream that is closed.
            drop(std::io::stderr().write_all(lines.as_bytes()));
        }
        Some(replayed)
    }

    /// Makes the run that `asked` names: the simulation's name, a seed, and what is to happen; nothing for what chance
    /// gives, or `calm` for a run to which nothing does. [`Failure::replay`] gives such a line.
    ///
    /// # Errors
    ///
    /// How the run fails.
    ///
    /// # Panics
    ///
    /// If the line cannot be read; it was written by hand.
    pub fn replay(&self, asked: &str) -> Result<Passed, Box<Failure>> {
        let mut words = asked.split_whitespace().skip(1);
        let seed = match words.next().map(str::parse) {
            Some(Ok(seed)) => seed,
            seed => panic!("{asked:?}: expected NAME SEED [FAULT]..., found the seed {seed:?}"),
        };
        let words: Vec<&str> = words.collect();
        let ends = self.ends()?;
        let run = match words.as_slice() {
            [] => self.run(seed),
            [CALM] => self.run_with(seed, []),
            words => {
                let read = |word: &&str| word.parse().unwrap_or_else(|error| panic!("{asked:?}: {error}"));
                self.run_with(seed, words.iter().map(read))
            }
        };
        let run = self.judged(run, &ends);
        match run.failure {
            None => {
                let mut passed = Passed::default();
                passed.add(&run);
                Ok(passed)
            }
            Some(_) => Err(self.failure(seed, run)),
        }
    }
}
