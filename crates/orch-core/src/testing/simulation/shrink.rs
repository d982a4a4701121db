//! Makes a run that fails as short as it can be, and tells of it.

use std::time::{Duration, Instant};

use super::report::{Failure, Needs};
use super::search::Case;
use super::sequence::Ends;
use super::trace::Detail;
use super::watchdog::STANDS_STILL;
use super::{Run, Simulation};

/// How many runs are spent on taking away what a failure does not need.
const SHRINKING_RUNS: usize = 300;

/// How long they may last together, in virtual time: those that never settle take long.
const SHRINKING_TIME: Duration = Duration::from_secs(80 * 3600);

/// How long they may last together, in real time: somebody waits.
const SHRINKING_REAL: Duration = Duration::from_secs(60);

/// How many of them may stand still until [patience](Simulation::patience) ends.
const SHRINKING_STILL: usize = 5;

/// What was spent on taking away what a failure does not need.
struct Spent {
    began: Instant,
    runs: usize,
    lasted: Duration,
    still: usize,
}

impl Spent {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            runs: 0,
            lasted: Duration::ZERO,
            still: 0,
        }
    }

    fn add(&mut self, run: &Run) {
        let failure = run.failure.as_deref();
        self.runs += 1;
        self.lasted += run.lasted;
        self.still += usize::from(failure.is_some_and(|why| why.contains(STANDS_STILL)));
    }

    fn is_all(&self) -> bool {
        self.runs >= SHRINKING_RUNS
            || self.lasted >= SHRINKING_TIME
            || self.still >= SHRINKING_STILL
            || self.began.elapsed() >= SHRINKING_REAL
    }
}

/// What kind of failure it is: by the oracle or whoever says so, without what differs from run to run.
fn kind(why: &str) -> String {
    let who = why.split([':', '\n']).next().unwrap_or_default();
    let has_number = |word: &&str| word.contains(|sign: char| sign.is_ascii_digit());
    let words: Vec<_> = who.split_whitespace().filter(|word| !has_number(word)).collect();
    words.join(" ")
}

impl Run {
    /// Whether it failed as the other did.
    fn fails_as(&self, other: &Self) -> bool {
        match (&self.failure, &other.failure) {
            (Some(why), Some(other)) => kind(why) == kind(other),
            _ => false,
        }
    }
}

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
        // What chance did must fail when it is done on purpose, too.
        let again = self.judged(silent.run_exactly(seed, run.strikes.clone()), ends);
        if !again.fails_as(&run) {
            // With the same faults it does not: unless it lasts as long, or a component has chance of its own.
            let mut failure = self.failure(case, run, &|run| self.judged_as(case, run, ends));
            failure.needs = Needs::Unknown;
            return failure;
        }
        let (shortest, needs) = silent.shrink(seed, again, ends);
        let case = Case::Exactly(seed, shortest.strikes.clone());
        let mut failure = self.failure(&case, shortest, &|run| self.judged(run, ends));
        failure.needs = needs;
        failure
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
                Some(other) => {
                    let before: Vec<&str> = why.lines().collect();
                    let differs = other.lines().find(|line| !before.contains(line));
                    let differs = differs.unwrap_or("without some of it").trim();
                    format!("it fails otherwise: {}", differs.trim_end_matches(':'))
                }
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
            needs: Needs::All,
            is_of_run: true,
            line: case.line(&self.name),
            thread: std::thread::current().name().map(Into::into),
        })
    }

    /// Takes faults away for as long as the run still fails as it did: halves, quarters, and at last one by one (delta
    /// debugging). Also says whether that took too long, and less might do.
    fn shrink(&self, seed: u64, mut failed: Run, ends: &Ends) -> (Run, Needs) {
        let mut chunk = failed.strikes.len();
        let mut spent = Spent::new();
        while chunk > 0 {
            let mut at = 0;
            let mut shorter = false;
            while at < failed.strikes.len() && !spent.is_all() {
                let mut fewer = failed.strikes.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                if ends.of(&fewer).is_none() {
                    // It would fail, if it did, for no better reason than that it ends with a passing state.
                    at += chunk;
                    continue;
                }
                let run = self.judged(self.run_exactly(seed, fewer), ends);
                spent.add(&run);
                if run.fails_as(&failed) && run.strikes.len() < failed.strikes.len() {
                    failed = run;
                    shorter = true;
                } else {
                    at += chunk;
                }
            }
            if spent.is_all() {
                return (failed, Needs::Perhaps);
            }
            if !shorter || chunk > 1 {
                chunk /= 2;
            }
        }
        (failed, Needs::All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_differ_in_numbers_and_in_what_comes_after_who_says_so() {
        let still = "at 10s virtual time has stood still for 10s of real time while tasks run: one waits";
        for (one, two, is_same) in [
            (
                "no surplus: 6 kittens (written by it at 9)",
                "no surplus: 7 kittens (written by it at 3)",
                true,
            ),
            (
                "no surplus: 6 kittens",
                "it does not end as it should: 5 objects, not 4",
                false,
            ),
            (
                "it had not settled after 100s: the last change",
                "it had not settled after 5s: the last change",
                true,
            ),
            ("the scenario had not ended after 5s", "the scenario: no", false),
            (still, &still.replace("at 10s", "at 7.5s"), true),
        ] {
            assert_eq!(kind(one) == kind(two), is_same, "{one}; {two}");
        }
    }

    #[test]
    fn runs_that_stand_still_are_soon_enough() {
        let simulation = Simulation::new("still", |_| {});
        let mut run = simulation.run_calm(0);
        let mut spent = Spent::new();
        (0..SHRINKING_STILL).for_each(|_| spent.add(&run));
        assert!(!spent.is_all());
        run.failure = Some(format!("at 0ns {STANDS_STILL} for 10s"));
        (1..SHRINKING_STILL).for_each(|_| spent.add(&run));
        assert!(!spent.is_all());
        spent.add(&run);
        assert!(spent.is_all());
    }

    #[test]
    fn a_failure_that_was_not_cut_down_as_far_as_it_could_be_says_so() {
        let simulation = Simulation::new("cut", |_| {});
        let strikes: Vec<_> = ["it/commit#1=lost".parse().unwrap()].into();
        let case = Case::Exactly(0, strikes.clone());
        let run = Run {
            strikes,
            ..simulation.run_calm(0)
        };
        let mut failure = simulation.failure_of(&case, "it is wrong".to_owned(), run);
        assert!(
            failure
                .to_string()
                .contains("it needs that:\n  it/commit#1=lost\n"),
            "{failure}"
        );
        for (needs, heading) in [
            (Needs::Perhaps, "it needs that, or less (to take more"),
            (Needs::Unknown, "all that went wrong in it (less may do;"),
        ] {
            failure.needs = needs;
            let told = failure.to_string();
            assert!(
                told.contains(heading) && told.contains("):\n  it/commit#1=lost\n"),
                "{told}"
            );
        }
    }
}
