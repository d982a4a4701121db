//! What a search tells: that all went well, or what failed and how to see it again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use super::fault::Strike;
use super::trace::Trace;

/// The word for a run to which nothing happens.
pub(super) const CALM: &str = "calm";

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

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.lasted.as_secs_f64() / 3600.0;
        write!(f, "{} runs, {} faults, ", self.runs, self.faults)?;
        if self.steps > 0 {
            write!(f, "{} states asked for, ", self.steps)?;
        }
        write!(f, "{hours:.1} virtual hours")
    }
}

/// A run that failed.
///
/// Shown, it gives the seed, the shortest list of faults found that still fails, the end of the trace, and the command
/// that replays it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The simulation.
    pub simulation: Arc<str>,
    /// The run's seed.
    pub seed: u64,
    /// What is wrong.
    pub why: String,
    /// What happens to the shortest run found that fails; nothing more could be taken away.
    pub strikes: Vec<Strike>,
    /// What happens in it.
    pub trace: Trace,
}

impl Failure {
    /// The value of the environment variable `ORCH_SIM` with which the simulation runs this and nothing else.
    pub fn replay(&self) -> String {
        let strikes = self.strikes.iter().map(|strike| format!(" {strike}"));
        let strikes = if self.strikes.is_empty() {
            format!(" {CALM}")
        } else {
            strikes.collect()
        };
        format!("{} {}{strikes}", self.simulation, self.seed)
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
                writeln!(f, "it needs that:")?;
                strikes.iter().try_for_each(|strike| writeln!(f, "  {strike}"))?;
            }
        }
        let entries: Vec<_> = self.trace.entries().filter(|entry| !entry.is_beat).collect();
        let hidden = entries.len().saturating_sub(SHOWN);
        writeln!(
            f,
            "what happens, heartbeats and {} earlier lines apart:",
            hidden + self.trace.left_out()
        )?;
        for entry in &entries[hidden..] {
            writeln!(f, "  {entry}")?;
        }
        let replay = self.replay();
        let thread = std::thread::current();
        // Tests run in threads of their names.
        let Some(test) = thread.name().filter(|name| *name != "main") else {
            return write!(
                f,
                "to see it again, with the whole trace: with ORCH_SIM='{replay}' in the environment"
            );
        };
        let package = std::env::var("CARGO_PKG_NAME").ok();
        let command = command(test, package.as_deref());
        write!(
            f,
            "to see it again, with the whole trace:\n  ORCH_SIM='{replay}' {command}"
        )
    }
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

    #[test]
    fn a_failure_ends_with_the_command_that_runs_its_test_and_no_other_again() {
        let failure = Failure {
            simulation: "roll".into(),
            seed: 0,
            why: "it is wrong".to_owned(),
            strikes: vec!["agent/commit#3=lost".parse().unwrap()],
            trace: Trace::default(),
        };
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
