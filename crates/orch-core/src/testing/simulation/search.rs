//! Looks for a run that fails: seed by seed, fault by fault; and makes what it finds as short as it can.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::fault::{Call, Fault, Point, Strike};
use super::report::{Failure, Passed};
use super::{Run, Simulation};

/// The environment variable that asks for one run: a simulation's name, a seed, and faults, or none for those that
/// chance gives.
const REPLAY: &str = "ORCH_SIM";

/// How many runs are spent on making a list of faults shorter.
const SHRINKING: usize = 300;

/// The seed of sweeps, and of the run that others are compared with.
const CALM_SEED: u64 = 0;

impl Simulation {
    /// Runs the simulation once for each seed, with faults at the [rates](Self::rates), on all processors. Every run
    /// must satisfy the oracles and end as a run without faults ends.
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
        let end = self.calm_end()?.end;
        self.search(seeds.collect(), |seed| {
            (*seed, self.judged(self.run(*seed), &end))
        })
    }

    /// Makes a run without faults, and then one for each place at which that run touched the world until its scenario
    /// had ended: with a crash before and after each commit and a commit whose answer is lost, with a crash and a lost
    /// answer at each call of a runtime, with each change that a watch brings late or skipped, with each list stale.
    /// Every run must satisfy the oracles and end as the first.
    ///
    /// # Errors
    ///
    /// The first fault that fails.
    pub fn sweep(&self) -> Result<Passed, Box<Failure>> {
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let calm = self.calm_end()?;
        let strikes: Vec<Strike> = calm.calls.iter().flat_map(places).collect();
        self.search(strikes, |strike| {
            let run = self.run_with(CALM_SEED, [strike.clone()]);
            (CALM_SEED, self.judged(run, &calm.end))
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

    /// The run without faults.
    fn calm_end(&self) -> Result<Run, Box<Failure>> {
        let run = self.run_calm(CALM_SEED);
        match run.failure {
            None => Ok(run),
            Some(_) => Err(self.failure(CALM_SEED, run)),
        }
    }

    /// A run that ended otherwise than it should have failed, too.
    fn judged(&self, mut run: Run, end: &[String]) -> Run {
        if run.failure.is_none() && run.end != end {
            run.failure = Some(difference(end, &run.end));
        }
        run
    }

    /// Makes a run of each case, several at once; the first that fails is made shorter.
    fn search<T: Sync>(
        &self,
        cases: Vec<T>,
        run: impl Fn(&T) -> (u64, Run) + Sync,
    ) -> Result<Passed, Box<Failure>> {
        let next = AtomicUsize::new(0);
        let found: Mutex<Option<(usize, u64, Run)>> = Mutex::new(None);
        let passed = Mutex::new(Passed {
            runs: 1,
            ..Passed::default()
        });
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(index) else { return };
                if found.lock().as_ref().is_some_and(|(first, ..)| *first < index) {
                    return;
                }
                let (seed, run) = run(case);
                {
                    let mut passed = passed.lock();
                    passed.runs += 1;
                    passed.strikes += run.strikes.len() as u64;
                    passed.lasted += run.lasted;
                }
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
                let end = self.calm_end()?.end;
                let shortest = self.shrink(seed, run, &end);
                Err(self.failure(seed, shortest))
            }
        }
    }

    /// Tells of a run, which is made once more for the trace.
    fn failure(&self, seed: u64, run: Run) -> Box<Failure> {
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
    fn shrink(&self, seed: u64, mut failed: Run, end: &[String]) -> Run {
        let mut chunk = failed.strikes.len();
        let mut left = SHRINKING;
        while chunk > 0 {
            let mut at = 0;
            let mut shorter = false;
            while at < failed.strikes.len() && left > 0 {
                left -= 1;
                let mut fewer = failed.strikes.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                let run = self.judged(self.run_with(seed, fewer), end);
                if run.failure.is_some() && run.strikes.len() < failed.strikes.len() {
                    failed = run;
                    shorter = true;
                } else {
                    at += chunk;
                }
            }
            if left == 0 {
                break;
            }
            if !shorter || chunk > 1 {
                chunk /= 2;
            }
        }
        failed
    }

    /// The run that the environment asks for, if it asks for one of this simulation.
    fn replayed(&self) -> Option<Result<Passed, Box<Failure>>> {
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

    /// Makes the run that `asked` names: the simulation's name, a seed, and what is to go wrong, or nothing for what
    /// chance gives. [`Failure::replay`] gives such a line.
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
        let strikes: Vec<Strike> = words
            .map(|word| word.parse().unwrap_or_else(|error| panic!("{asked:?}: {error}")))
            .collect();
        let end = self.calm_end()?.end;
        let run = if strikes.is_empty() {
            self.run(seed)
        } else {
            self.run_with(seed, strikes)
        };
        let run = self.judged(run, &end);
        match run.failure {
            None => Ok(Passed {
                runs: 1,
                strikes: run.strikes.len() as u64,
                lasted: run.lasted,
            }),
            Some(_) => Err(self.failure(seed, run)),
        }
    }
}

/// What a sweep tries with the calls of one kind that a component made.
fn places((component, call, count): &(std::sync::Arc<str>, Call, u64)) -> Vec<Strike> {
    let faults: &[Fault] = match call {
        Call::Commit => &[Fault::CrashBefore, Fault::CrashAfter, Fault::Unanswered],
        Call::Runtime => &[Fault::CrashAfter, Fault::Unanswered],
        Call::Watch => &[Fault::Skips, Fault::Lags],
        Call::View => &[Fault::Stale],
        // A read that fails is tried again, or what needed it is.
        Call::Read => &[],
    };
    let points = (1..=*count).map(|nth| Point {
        component: component.clone(),
        call: *call,
        nth,
    });
    points
        .flat_map(|point| {
            faults
                .iter()
                .map(move |fault| Strike::Call(point.clone(), *fault))
        })
        .collect()
}

/// Where an end state differs from the one without faults, in a few lines.
fn difference(expected: &[String], found: &[String]) -> String {
    const MOST: usize = 3;
    let missing = expected.iter().filter(|line| !found.contains(line));
    let surplus = found.iter().filter(|line| !expected.contains(line));
    let mut text = format!(
        "it does not end as without faults: {} objects where there were {}",
        found.len(),
        expected.len()
    );
    for (sign, lines) in [
        ('-', missing.take(MOST).collect::<Vec<_>>()),
        ('+', surplus.take(MOST).collect()),
    ] {
        for line in lines {
            text.push_str(&format!("\n  {sign} {line}"));
        }
    }
    text
}
