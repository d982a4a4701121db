//! Makes one run again: the one that `ORCH_SIM` asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::fault::Strike;
use super::plan::CALM;
use super::report::{Failure, Passed};
use super::search::Case;
use super::trace::Detail;
use super::world::listed;
use super::{Run, Simulation};

/// The environment variable that asks for one run, as [`Simulation::replay`] reads it.
const REPLAY: &str = "ORCH_SIM";

/// The names of all simulations that this process has made.
static NAMES: Mutex<BTreeSet<Arc<str>>> = Mutex::new(BTreeSet::new());

pub(super) fn add_name(name: &Arc<str>) {
    NAMES.lock().insert(name.clone());
}

impl Simulation {
    /// The run that the environment asks for, if it asks for one of this simulation.
    pub(super) fn replayed(&self) -> Option<Result<Passed, Box<Failure>>> {
        let asked = match std::env::var(REPLAY) {
            Ok(asked) if !asked.trim().is_empty() => asked,
            Err(std::env::VarError::NotUnicode(asked)) => panic!(
                "{REPLAY}={}: it is not UTF-8; expected NAME SEED [FAULT]...",
                asked.display()
            ),
            _ => return None,
        };
        if !self.is_asked(&asked) {
            return None;
        }
        let (run, replayed) = self.made_again(&asked);
        let lines: String = run.trace.entries().map(|entry| format!("{entry}\n")).collect();
        tell(&lines);
        Some(replayed)
    }

    /// Whether the line asks for a run of this simulation.
    ///
    /// A process has many simulations, and the line is for one of them, or for one of another process where each test has its
    /// own. So the others run as always. Whether the one that is asked for will yet be made nobody can know here: what is told
    /// are the names of those made so far.
    fn is_asked(&self, line: &str) -> bool {
        static HAS_TOLD: AtomicBool = AtomicBool::new(false);
        let asked = line.split_whitespace().next().unwrap_or_default();
        if asked == &*self.name {
            return true;
        }
        if !HAS_TOLD.swap(true, Ordering::Relaxed) {
            let names: Vec<Arc<str>> = NAMES.lock().iter().cloned().collect();
            let unknown = if names.iter().any(|name| **name == *asked) {
                String::new()
            } else {
                format!(
                    ". So far there is none of this name; {}",
                    listed("simulations", &names)
                )
            };
            tell(&format!(
                "{REPLAY}='{line}' asks for the simulation {asked:?}; those of other names, as {}, run as always{unknown}\n",
                self.name
            ));
        }
        false
    }

    /// Makes the run that `asked` names: the simulation's name, a seed, and what is to happen; nothing for what chance
    /// gives, or `calm` for a run to which nothing does. [`Failure::replay`] gives such a line.
    ///
    /// # Errors
    ///
    /// How the run fails. If something that is to happen does not (there is no such component, or it makes no call of that
    /// number), that fails the run, too.
    ///
    /// # Panics
    ///
    /// If the line cannot be read, for it was written by hand; if it has two faults for one call; or if it names another
    /// simulation.
    pub fn replay(&self, asked: &str) -> Result<Passed, Box<Failure>> {
        self.made_again(asked).1
    }

    fn made_again(&self, asked: &str) -> (Run, Result<Passed, Box<Failure>>) {
        let mut words = asked.split_whitespace();
        let name = words.next().unwrap_or_default();
        assert!(
            *name == *self.name,
            "{asked:?} is for the simulation {name:?}, and this is {:?}",
            self.name
        );
        let seed = match words.next() {
            Some(seed) => seed.parse().unwrap_or_else(|_| {
                panic!("{asked:?}: expected NAME SEED [FAULT]..., with a number for SEED, found {seed:?}")
            }),
            None => panic!("{asked:?}: expected NAME SEED [FAULT]..., found no seed"),
        };
        let words: Vec<&str> = words.collect();
        let read = |word: &&str| word.parse().unwrap_or_else(|error| panic!("{asked:?}: {error}"));
        let case = match words.as_slice() {
            [] => Case::Chance(seed),
            [CALM] => Case::Exactly(seed, Vec::new()),
            words => Case::Exactly(seed, words.iter().map(read).collect()),
        };
        if let Case::Exactly(_, strikes) = &case
            && let Err(why) = one_fault_each(strikes)
        {
            panic!("{asked:?}: {why}");
        }
        let telling = self.telling(Detail {
            tells_beats: true,
            keeps_all: true,
            ..Detail::default()
        });
        let ends = match self.ends() {
            Ok(ends) => ends,
            Err(failure) => return (telling.run_case(&case), Err(failure)),
        };
        let judge = |run| {
            let run = self.judged(run, &ends);
            match &case {
                Case::Exactly(_, strikes) => self.having_happened(run, strikes),
                Case::Chance(_) => run,
            }
        };
        let run = judge(telling.run_case(&case));
        let told = if run.failure.is_none() {
            let mut passed = Passed::default();
            passed.add(&run);
            Ok(passed)
        } else {
            Err(telling.failure(&case, run.clone(), &judge))
        };
        (run, told)
    }

    /// The run; it has failed if something of this did not happen in it.
    pub(super) fn having_happened(&self, mut run: Run, strikes: &[Strike]) -> Run {
        let missing = strikes.iter().find(|strike| !run.strikes.contains(strike));
        if let Some(missing) = missing
            && run.failure.is_none()
        {
            let why_not = self.why_not(missing, &run);
            run.fail(format!("{missing} did not happen: {why_not}"));
        }
        run
    }

    fn why_not(&self, strike: &Strike, run: &Run) -> String {
        let setup = self.setup();
        match strike {
            Strike::Call(point, _) => {
                let component = &point.component;
                let components = listed("components", &setup.components());
                let is_one = setup.components().contains(component);
                let count = run.made.count(component, point.call).unwrap_or(0);
                match (is_one, count) {
                    (false, _) => format!("there is no component {component:?}; {components}"),
                    (true, 1) => format!("{component} made 1 {} call; {components}", point.call.word()),
                    (true, count) => {
                        format!(
                            "{component} made {count} {} calls; {components}",
                            point.call.word()
                        )
                    }
                }
            }
            Strike::Disaster { name, .. } => {
                let disasters: Vec<_> = setup.disasters.iter().map(|known| known.name.clone()).collect();
                if disasters.contains(name) {
                    "the run was over before".to_owned()
                } else {
                    format!(
                        "there is no disaster {name:?}; {}",
                        listed("disasters", &disasters)
                    )
                }
            }
            Strike::Step { state, .. } => {
                let states: Vec<_> = setup.wishes.iter().map(|wish| wish.name.clone()).collect();
                format!("nobody asked for {state:?}; {}", listed("states", &states))
            }
        }
    }
}

/// To a call there happens one thing; said twice, it is the same.
pub(super) fn one_fault_each(strikes: &[Strike]) -> Result<(), String> {
    let mut points = BTreeMap::new();
    for strike in strikes {
        if let Strike::Call(point, fault) = strike
            && let Some(other) = points.insert(point, fault)
            && other != fault
        {
            return Err(format!(
                "to {point} there happens one fault at most, found {other} and {fault}"
            ));
        }
    }
    Ok(())
}

fn tell(lines: &str) {
    // Who asks for a replay reads it; there is nothing to be done about an error stream that is closed.
    drop(std::io::stderr().write_all(lines.as_bytes()));
}

/// The only test that this process runs, if it runs one alone and can know it.
pub(super) fn the_only_test() -> Option<String> {
    let arguments = std::env::args_os().skip(1);
    only_test(arguments.map(|argument| argument.to_string_lossy().into_owned()))
}

/// The only test that a process with these arguments runs.
fn only_test(arguments: impl Iterator<Item = String>) -> Option<String> {
    /// What takes the next argument as its value.
    const VALUED: [&str; 7] = [
        "--test-threads",
        "--skip",
        "--logfile",
        "--color",
        "--format",
        "--shuffle-seed",
        "-Z",
    ];
    let (mut is_exact, mut names) = (false, Vec::new());
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if VALUED.contains(&argument.as_str()) {
            arguments.next();
        } else if argument == "--exact" {
            is_exact = true;
        } else if !argument.starts_with('-') {
            names.push(argument);
        }
    }
    match names.as_slice() {
        [_] if is_exact => names.pop(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_whether_it_runs_one_test_alone() {
        let cases = [
            ("a::b --exact --include-ignored --nocapture", Some("a::b")),
            ("--test-threads 1 --exact a --color=never", Some("a")),
            ("--exact --skip b a", Some("a")),
            ("a", None),
            ("--exact", None),
            ("--exact a b", None),
            ("", None),
        ];
        for (arguments, expected) in cases {
            let only = only_test(arguments.split_whitespace().map(str::to_owned));
            assert_eq!(only.as_deref(), expected, "{arguments}");
        }
    }
}
