//! Whether two runs with the same seed are the same, and where they part.

use super::report::Failure;
use super::search::Case;
use super::trace::{Detail, What};
use super::{Run, Simulation};

/// How much is shown of values around the place where they part, in bytes.
const SHOWN: usize = 60;

impl Simulation {
    /// Makes the run with this seed twice.
    ///
    /// # Errors
    ///
    /// Where the two differ: a component has a source of chance, or a clock, that is not the simulation's. It names the
    /// first line of the traces that is not the same, or the commit that wrote not the same.
    pub fn repeats(&self, seed: u64) -> Result<u64, String> {
        self.repeats_case(&Case::Chance(seed))
    }

    fn repeats_case(&self, case: &Case) -> Result<u64, String> {
        let marking = self.telling(Detail {
            keeps_all: true,
            keeps_marks: true,
            ..self.detail
        });
        let (one, two) = (marking.run_case(case), marking.run_case(case));
        if one.trace.fingerprint() == two.trace.fingerprint() {
            return Ok(one.trace.fingerprint());
        }
        let (same, parting) = parting(&one, &two);
        Err(format!(
            "{}: two runs with seed {} are the same for {same} lines of the trace, and then differ{parting}",
            self.name,
            case.seed()
        ))
    }

    /// Tells of a run that was another when it was made again.
    pub(super) fn not_repeated(&self, case: &Case) -> Box<Failure> {
        let parting = match self.repeats_case(case) {
            Err(parting) => parting,
            Ok(_) => "two more were the same, so it is not so each time".to_owned(),
        };
        let run = self.run_case(case);
        let why = format!(
            "two runs with the same seed are not the same, so no failure could be had again. {parting}\n{}",
            self.advice(case.seed())
        );
        self.failure_of(case, why, run)
    }

    /// What to do about runs that differ.
    pub(super) fn advice(&self, seed: u64) -> String {
        format!(
            "A component has a clock or a source of chance that is not the simulation's, iterates over a HashMap, has a \
             tokio::select! without `biased;`, or knows of earlier runs (a static); Simulation::repeats({seed}) says where two runs part."
        )
    }
}

/// How many lines are the same, and what is not.
fn parting(one: &Run, two: &Run) -> (usize, String) {
    let pairs = one.trace.marks().iter().zip(two.trace.marks());
    let same = pairs.take_while(|(first, second)| first == second).count();
    let what = match (one.trace.entry(same), two.trace.entry(same)) {
        (Some(first), Some(second)) if first != second => format!(":\n  {first}\n  {second}"),
        (Some(both), Some(_)) => {
            let how = values(one, two, &both.what);
            format!(" in what was written:\n  {both}{how}")
        }
        (Some(longer), None) | (None, Some(longer)) => {
            format!(": one ends there, and the other goes on:\n  {longer}")
        }
        (None, None) => " in length".to_owned(),
    };
    (same, what)
}

/// Where the values part that both wrote; nothing if one is there no more.
fn values(one: &Run, two: &Run, what: &What) -> String {
    let What::Wrote { revision, key, .. } = what else {
        return String::new();
    };
    let value = |run: &Run| {
        let held = run.state.held(key)?;
        (held.revision == *revision).then(|| held.value.clone())
    };
    let (Some(first), Some(second)) = (value(one), value(two)) else {
        return String::new();
    };
    let same = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(SHOWN / 2);
    let around = |value: &[u8]| {
        let to = (same + SHOWN / 2).min(value.len());
        String::from_utf8_lossy(&value[from.min(to)..to]).into_owned()
    };
    format!("\n    …{}…\n    …{}…", around(&first), around(&second))
}
