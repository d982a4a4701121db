//! What a search tells: that all went well, or what failed and how to see it again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use super::fault::Strike;
use super::replay::the_only_test;
use super::trace::{Trace, TraceEntry, What};
use crate::store::Revision;

/// How many entries of the trace are shown.
const SHOWN: usize = 60;

/// All runs went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// How many there were, those apart that they were compared with.
    pub runs: u64,
    /// How much went wrong in them.
    pub faults: u64,
    /// How many [states](super::Setup::state) users asked for in them.
    pub steps: u64,
    /// How long they lasted together, in virtual time.
    pub lasted: Duration,
    /// How many changes came, in the run in which nothing goes wrong, when the scenario had ended already, heartbeats apart. A
    /// [sweep](super::Simulation::sweep) tries nothing with them: the scenario should wait for them
    /// ([`World::until`](super::World::until)). Of other searches it is 0.
    pub untried: u64,
}

impl Passed {
    pub(super) fn add(&mut self, run: &Run) {
        let is_step = |strike: &&Strike| matches!(strike, Strike::Step { .. });
        let steps = run.strikes.iter().filter(is_step).count() as u64;
        self.runs += 1;
        self.steps += steps;
        self.faults += run.strikes.len() as u64 - steps;
        self.lasted += run.lasted;
    }
}

impl std::ops::AddAssign for Passed {
    fn add_assign(&mut self, more: Self) {
        self.runs += more.runs;
        self.faults += more.faults;
        self.steps += more.steps;
        self.lasted += more.lasted;
        self.untried += more.untried;
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let hours = self.lasted.as_secs_f64() / 3600.0;
        // How much one run can show: where it is little, rates should be more.
        let in_each = self.faults as f64 / self.runs.max(1) as f64;
        write!(f, "{}, ", counted(self.runs, "run"))?;
        write!(f, "{} ({in_each:.1} a run), ", counted(self.faults, "fault"))?;
        if self.steps > 0 {
            write!(f, "{} asked for, ", counted(self.steps, "state"))?;
        }
        write!(f, "{hours:.1} virtual hours")?;
        match self.untried {
            0 => Ok(()),
            untried => write!(
                f,
                "; {} came after the scenario had ended, with which nothing was tried",
                counted(untried, "change")
            ),
        }
    }
}

/// What is known of whether a failure needs all that happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    All,
    /// To find out would have taken too long.
    Perhaps,
    /// With the same done on purpose it does not fail as it did.
    Unknown,
}

/// A run that failed.
///
/// Shown, it gives the seed, the shortest list of faults found that still fails, the end of the trace, and the command
/// that replays it. So it does when it is shown for debugging: as what `unwrap` or `expect` says, it can be read.
#[derive(Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The simulation.
    pub simulation: Arc<str>,
    /// The run's seed.
    pub seed: u64,
    /// What is wrong.
    pub why: String,
    /// What happens to the shortest run found that fails as this one did. Nothing more could be taken away; or, as it says when it
    /// is [shown](fmt::Display), to find out would have taken too long (that ends after 300 runs, 80 virtual hours, a
    /// minute of real time, or five runs that stood still), or nothing was taken away, for the same faults did not fail the run
    /// when they were no longer chance's.
    pub strikes: Vec<Strike>,
    /// What happens in it.
    pub trace: Trace,
    /// The commit that is wrong, if one is.
    pub(super) at: Option<Revision>,
    /// Whether less might do.
    pub(super) needs: Needs,
    /// Whether the run alone is wrong, and not what a search makes of it.
    pub(super) is_of_run: bool,
    /// The line that asks for it.
    pub(super) line: String,
    /// The name of the thread that looked for it.
    pub(super) thread: Option<Arc<str>>,
}

impl Failure {
    /// The value of the environment variable `ORCH_SIM` with which the simulation runs this and nothing else. Where a sweep has
    /// nothing to try it is the run that gives nothing to try, which passes.
    pub fn replay(&self) -> String {
        self.line.clone()
    }

    /// Whether it is the entry of the commit that is wrong.
    fn is_it(&self, entry: &TraceEntry) -> bool {
        matches!(&entry.what, What::Wrote { revision, .. } if Some(*revision) == self.at)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "simulation {} fails with seed {}: {}",
            self.simulation, self.seed, self.why
        )?;
        match self.strikes.as_slice() {
            [] => writeln!(f, "nothing has to go wrong for that")?,
            strikes => {
                let heading = match self.needs {
                    Needs::All => "it needs that:",
                    Needs::Perhaps => "it needs that, or less (to take more away would have taken too long):",
                    Needs::Unknown => {
                        "all that went wrong in it (less may do; done on purpose, the same does not make it fail so):"
                    }
                };
                writeln!(f, "{heading}")?;
                strikes.iter().try_for_each(|strike| writeln!(f, "  {strike}"))?;
            }
        }
        let is_shown = |entry: &&TraceEntry| !entry.is_beat || self.is_it(entry);
        let entries: Vec<_> = self.trace.entries().filter(is_shown).collect();
        let beats = self.trace.entries().len() - entries.len();
        let hidden = entries.len().saturating_sub(SHOWN);
        writeln!(
            f,
            "what happens, {beats} heartbeats and {} earlier lines apart:",
            hidden + self.trace.left_out()
        )?;
        for entry in &entries[hidden..] {
            let mark = if self.is_it(entry) { "=>" } else { "  " };
            writeln!(f, "{mark}{entry}")?;
        }
        if !self.is_of_run {
            return write!(f, "to see it again, search again: the run by itself passes");
        }
        let shown_by = std::thread::current();
        let only = the_only_test();
        let test = test_name(only.as_deref(), self.thread.as_deref(), shown_by.name());
        let (test, note) = match test {
            Some(test) => (test, ""),
            None => (
                "TEST",
                "\nwhere TEST is the test that failed; in a program that is no test, with ORCH_SIM in its environment",
            ),
        };
        let command = command(test, std::env::var("CARGO_PKG_NAME").ok().as_deref());
        write!(
            f,
            "to see it again, with the whole trace:\n  ORCH_SIM='{}' {command}{note}",
            self.replay()
        )
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The name of the test that failed, if it can be known: the one that the process runs alone, or else that of the thread
/// that looked for the failure or shows it, for tests run in threads of their names, but what they start may not.
fn test_name<'a>(only: Option<&'a str>, looked: Option<&'a str>, shows: Option<&'a str>) -> Option<&'a str> {
    let could_be = |name: &&str| {
        *name != "main"
            && name
                .chars()
                .all(|sign| sign.is_alphanumeric() || matches!(sign, '_' | ':'))
    };
    let (looked, shows) = (looked.filter(could_be), shows.filter(could_be));
    let either = match (looked, shows) {
        (Some(looked), Some(shows)) if looked == shows => Some(looked),
        (Some(looked), Some(shows)) => match (looked.contains("::"), shows.contains("::")) {
            (true, false) => Some(looked),
            (false, true) => Some(shows),
            _ => None,
        },
        (looked, shows) => looked.or(shows),
    };
    only.or(either)
}

/// Runs this test and no other: one of another name may give a simulation of the same name less time. It may be ignored
/// as a rule, or be part of what some feature adds.
fn command(test: &str, package: Option<&str>) -> String {
    let package = package.map_or_else(String::new, |name| format!(" -p {name}"));
    format!("cargo test{package} --all-features {test} -- --exact --include-ignored --nocapture")
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Failure {
        Failure {
            simulation: "roll".into(),
            seed: 0,
            why: "it is wrong".to_owned(),
            strikes: vec!["agent/commit#3=lost".parse().unwrap()],
            trace: Trace::default(),
            at: None,
            needs: Needs::All,
            is_of_run: true,
            line: "roll 0 agent/commit#3=lost".to_owned(),
            thread: None,
        }
    }

    #[test]
    fn a_test_is_named_by_its_thread_if_that_can_be_one() {
        let cases = [
            (None, None, Some("a::b"), Some("a::b")),
            (None, Some("a::b"), Some("tokio-rt-worker"), Some("a::b")),
            (None, Some("worker"), Some("a::b"), Some("a::b")),
            (None, Some("worker"), Some("other"), None),
            (None, Some("main"), Some("main"), None),
            (None, Some("main"), None, None),
            (None, None, Some("tokio-rt-worker"), None),
            (None, Some("my helper"), None, None),
            (Some("c::d"), Some("worker"), Some("a::b"), Some("c::d")),
        ];
        for (only, looked, shows, expected) in cases {
            assert_eq!(
                test_name(only, looked, shows),
                expected,
                "{only:?} {looked:?} {shows:?}"
            );
        }
    }

    #[test]
    fn a_failure_shown_where_no_test_runs_says_how_to_name_one() {
        let told = std::thread::Builder::new().name("tokio-rt-worker".to_owned());
        let told = told.spawn(|| format!("{:?}", failure())).unwrap().join().unwrap();
        // Run alone, by its name, this test's is the name.
        if the_only_test().is_none() {
            assert!(
                told.contains(" TEST -- --exact") && told.contains("where TEST is the test"),
                "{told}"
            );
        }
        assert!(
            told.starts_with("simulation roll fails with seed 0: it is wrong\n"),
            "{told}"
        );
    }

    #[test]
    fn what_has_passed_is_counted_in_words_that_fit() {
        let mut passed = Passed {
            runs: 1,
            faults: 1,
            steps: 1,
            lasted: Duration::from_secs(3600),
            untried: 0,
        };
        assert_eq!(
            passed.to_string(),
            "1 run, 1 fault (1.0 a run), 1 state asked for, 1.0 virtual hours"
        );
        passed += Passed {
            runs: 3,
            faults: 4,
            ..Passed::default()
        };
        assert_eq!(
            passed.to_string(),
            "4 runs, 5 faults (1.2 a run), 1 state asked for, 1.0 virtual hours"
        );
    }

    #[test]
    fn a_failure_ends_with_the_command_that_runs_its_test_and_no_other_again() {
        let failure = failure();
        let told = std::thread::Builder::new()
            .name("roll::survives_each_fault_at_each_place".to_owned())
            .spawn(move || failure.to_string())
            .unwrap()
            .join()
            .unwrap();
        let command = told.lines().last().unwrap().trim();
        assert_eq!(
            command.replace(" -p orch-core", ""),
            "ORCH_SIM='roll 0 agent/commit#3=lost' cargo test --all-features \
             roll::survives_each_fault_at_each_place -- --exact --include-ignored --nocapture"
        );
        assert_eq!(
            super::command("a::b", Some("billing")),
            "cargo test -p billing --all-features a::b -- --exact --include-ignored --nocapture"
        );
    }
}
