//! Makes a run that fails as short as it can be, and tells of it.

use std::time::Duration;

use super::report::Failure;
use super::search::Case;
use super::sequence::Ends;
use super::trace::Detail;
use super::{Run, Simulation};

/// How many runs are spent on taking away what a failure does not need.
const SHRINKING_RUNS: usize = 300;

/// How long they may last together, in virtual time: those that never settle take long.
const SHRINKING_TIME: Duration = Duration::from_secs(80 * 3600);

impl Simulation {
    /// The same, with more told of its runs, or less.
    pub(super) fn telling(&self, detail: Detail) -> Self {
        Self {
            detail,
            ..self.clone()
        }
    }

    /// The same, with nothing told of panics when they happen: what fails a run is told of one that is made once more.
    pub(super) fn silent(&self) -> Self {
        self.telling(Detail {
            is_silent: true,
            ..Detail::default()
        })
    }

    /// Tells of the shortest run that fails as this one does.
    pub(super) fn reported(&self, case: &Case, run: Run, ends: &Ends) -> Box<Failure> {
        let seed = case.seed();
        let silent = self.silent();
        let judge = |run| self.judged(run, ends);
        // What chance did must fail when it is done on purpose, too.
        let again = judge(silent.run_exactly(seed, run.strikes.clone()));
        if again.failure.is_none() {
            // With the same faults it does not: unless it lasts as long, or a component has chance of its own.
            return self.failure(case, run, &judge);
        }
        let shortest = silent.shrink(seed, again, ends);
        let case = Case::Exactly(seed, shortest.strikes.clone());
        self.failure(&case, shortest, &judge)
    }

    /// Tells of a run, which is made once more for the trace, and must fail again as it did.
    pub(super) fn failure(&self, case: &Case, run: Run, judge: &dyn Fn(Run) -> Run) -> Box<Failure> {
        let telling = self.telling(Detail {
            tells_beats: true,
            keeps_all: self.detail.keeps_all,
            ..Detail::default()
        });
        let told = judge(telling.run_case(case));
        let mut why = run.failure.clone().unwrap_or_default();
        let mut shown = told;
        if shown.failure != run.failure || shown.trace.fingerprint() != run.trace.fingerprint() {
            let comes_of_it = match &shown.failure {
                None => "it passes".to_owned(),
                Some(other) if *other == why => {
                    "it fails the same, but not all before is the same".to_owned()
                }
                Some(other) => format!("it fails otherwise: {other}"),
            };
            why.push_str(&format!(
                "\nThe run is not deterministic: made once more, {comes_of_it}. {}",
                self.advice(case.seed())
            ));
            // What is shown is what failed.
            shown = run;
        }
        self.failure_of(case, why, shown)
    }

    /// What is told of a run of this case.
    pub(super) fn failure_of(&self, case: &Case, why: String, shown: Run) -> Box<Failure> {
        Box::new(Failure {
            simulation: self.name.clone(),
            seed: case.seed(),
            why,
            at: shown.failed_at,
            trace: shown.trace,
            strikes: shown.strikes,
            line: case.line(&self.name),
            thread: std::thread::current().name().map(Into::into),
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
                let run = self.judged(self.run_exactly(seed, fewer), ends);
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
}
