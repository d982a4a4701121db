//! Looks for a run that fails: seed by seed, fault by fault.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::fault::{Fault, Point, Strike};
use super::report::{Failure, Passed};
use super::sequence::Ends;
use super::{CALM_SEED, Run, Simulation, plan};

/// In a sweep of so many places at most each crash is tried with old views thereafter, too: one of more takes long enough,
/// and its simulation makes so many calls that chance brings such pairs.
const PLACES_FOR_PAIRS: usize = 400;

/// How many of the views that a component takes when it lives again are tried.
const VIEWS: usize = 3;

/// A run to be made.
#[derive(Clone, Debug)]
pub(super) enum Case {
    /// Things go wrong by chance.
    Chance(u64),
    /// With this seed, exactly this happens.
    Exactly(u64, Vec<Strike>),
}

impl Case {
    pub(super) fn seed(&self) -> u64 {
        match self {
            Self::Chance(seed) | Self::Exactly(seed, _) => *seed,
        }
    }

    /// The line that asks for it.
    pub(super) fn line(&self, simulation: &str) -> String {
        match self {
            Self::Chance(seed) => format!("{simulation} {seed}"),
            Self::Exactly(seed, strikes) => plan::line(simulation, *seed, strikes),
        }
    }
}

impl Simulation {
    /// Runs the simulation once for each seed, with faults at the [rates](Self::rates), on all processors. Every run
    /// must satisfy the oracles and end as one in which nothing goes wrong; of [states](super::Setup::state) chance
    /// draws some, and then the last of them counts. The first is made twice, and must be the same both times.
    ///
    /// # Errors
    ///
    /// The first seed that fails, with the fewest faults that it takes.
    ///
    /// With the environment variable `ORCH_SIM` set to what a [`Failure`] says, only that run is made, and its trace
    /// goes to standard error.
    ///
    /// # Panics
    ///
    /// If there are no seeds, or no component. If the storm and the quiet thereafter last longer than the deadline allows. If
    /// `ORCH_SIM` cannot be read; if it names another simulation, this one runs as always, and standard error says so once.
    pub fn seeds(&self, seeds: std::ops::Range<u64>) -> Result<Passed, Box<Failure>> {
        assert!(
            !seeds.is_empty(),
            "{}: there are no seeds in {seeds:?}",
            self.name
        );
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let ends = self.ends()?;
        let count = usize::try_from(seeds.end - seeds.start).unwrap_or(usize::MAX);
        self.search(
            count,
            |nth| Case::Chance(seeds.start + nth as u64),
            &ends,
            |_, _| {},
        )
    }

    /// Makes a run in which nothing goes wrong, and then one for each place at which that run touched the world until its scenario
    /// had ended: with a crash before and after each commit, a commit that fails and one whose answer is lost, with a crash and a lost
    /// answer at each call of a runtime, with each change that a watch brings late or skipped, with each list stale.
    /// Every run must satisfy the oracles and end as the first. Of crashes between which a component has only looked at the
    /// world, and no other has touched it, one is tried.
    ///
    /// With what happens thereafter nothing is tried, and [`Passed::untried`] counts it.
    ///
    /// If there are no more than four hundred such places, each crash is then tried together with each of the first three lists
    /// that the component takes when it lives again, stale.
    ///
    /// Of [states](super::Setup::state) that users may ask for, each run asks for all, one after the other.
    ///
    /// # Errors
    ///
    /// The first fault that fails, or the first two. That no component touches the world before the scenario has ended is one, too:
    /// there is nothing to try then.
    ///
    /// # Panics
    ///
    /// As [`seeds`](Self::seeds).
    pub fn sweep(&self) -> Result<Passed, Box<Failure>> {
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let ends = self.ends()?;
        let mut calm = self.judged(self.silent().run_calm(CALM_SEED), &ends);
        let tour = Case::Exactly(CALM_SEED, self.tour());
        let places: Vec<Strike> = calm.calls.places();
        if calm.failure.is_none() && places.is_empty() {
            let why = "a sweep has nothing to try: no component touches the world before the scenario has ended, which should wait \
                 for what they do (World::until)";
            let nothing = |mut run: Run| {
                run.fail(why.to_owned());
                run
            };
            calm.fail(why.to_owned());
            let mut failure = self.failure(&tour, calm, &nothing);
            failure.is_of_run = false;
            return Err(failure);
        }
        if calm.failure.is_some() {
            return Err(self.failure(&tour, calm, &|run| self.judged(run, &ends)));
        }
        let tries_pairs = places.len() <= PLACES_FOR_PAIRS;
        let with = |strikes: &[&Strike]| {
            let strikes = calm.strikes.iter().chain(strikes.iter().copied());
            Case::Exactly(CALM_SEED, strikes.cloned().collect())
        };
        let views: Mutex<BTreeMap<usize, Vec<Point>>> = Mutex::default();
        let single = |index: usize| with(&[&places[index]]);
        let mut passed = self.search(places.len(), single, &ends, |index, run| {
            let place = &places[index];
            if let Strike::Call(point, Fault::CrashBefore | Fault::CrashAfter) = place
                && tries_pairs
            {
                views.lock().insert(index, run.made.views_after(point, VIEWS));
            }
        })?;
        let stale = views.into_inner().into_iter().flat_map(|(index, views)| {
            let stale = views.into_iter().map(|view| Strike::Call(view, Fault::Stale));
            stale.map(move |stale| (index, stale))
        });
        let pairs: Vec<(usize, Strike)> = stale.collect();
        if !pairs.is_empty() {
            let pair = |index: usize| {
                let (crash, stale) = &pairs[index];
                with(&[&places[*crash], stale])
            };
            passed += self.search(pairs.len(), pair, &ends, |_, _| {})?;
        }
        passed.untried = calm.later;
        Ok(passed)
    }

    /// A run of this case.
    pub(super) fn run_case(&self, case: &Case) -> Run {
        match case {
            Case::Chance(seed) => self.run(*seed),
            Case::Exactly(seed, strikes) => self.run_exactly(*seed, strikes.iter().cloned()),
        }
    }

    /// A run of this case; it has failed if it ended otherwise than it should, or if something did not happen in it that a run
    /// before says must.
    pub(super) fn judged_as(&self, case: &Case, run: Run, ends: &Ends) -> Run {
        let mut run = self.judged(run, ends);
        if let Case::Exactly(seed, strikes) = case
            && let Some(missing) = strikes.iter().find(|strike| !run.strikes.contains(strike))
        {
            run.fail(format!(
                "the run is not deterministic: {missing} happened to nobody, though a run that was the same up to there had a \
                 call of that number; Simulation::repeats({seed}) says where two runs part"
            ));
        }
        run
    }

    /// Makes a run of each case, several at once, and shows it to `look`; the first that fails is made shorter. The first of all
    /// is made twice.
    pub(super) fn search(
        &self,
        count: usize,
        case: impl Fn(usize) -> Case + Sync,
        ends: &Ends,
        look: impl Fn(usize, &Run) + Sync,
    ) -> Result<Passed, Box<Failure>> {
        let silent = self.silent();
        let next = AtomicUsize::new(0);
        let found: Mutex<Option<(usize, Run)>> = Mutex::new(None);
        let passed = Mutex::new(Passed::default());
        let firsts = Mutex::new(Vec::new());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index == count {
                    let again = silent.run_case(&case(0));
                    firsts.lock().push(again.trace.fingerprint());
                }
                if index >= count {
                    return;
                }
                if found.lock().as_ref().is_some_and(|(first, _)| *first < index) {
                    return;
                }
                let case = case(index);
                let run = silent.judged_as(&case, silent.run_case(&case), ends);
                look(index, &run);
                passed.lock().add(&run);
                if index == 0 {
                    firsts.lock().push(run.trace.fingerprint());
                }
                if run.failure.is_some() {
                    let mut found = found.lock();
                    if found.as_ref().is_none_or(|(first, _)| *first > index) {
                        *found = Some((index, run));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let worked = std::panic::catch_unwind(AssertUnwindSafe(work));
                        worked.unwrap_or_else(|panic| {
                            // Nobody else needs to go on.
                            next.store(count.saturating_add(1), Ordering::Relaxed);
                            std::panic::resume_unwind(panic);
                        });
                    })
                })
                .collect();
            for worker in workers {
                if let Err(panic) = worker.join() {
                    // With what it has to say, which the scope would not tell.
                    std::panic::resume_unwind(panic);
                }
            }
        });
        if let Some((index, run)) = found.into_inner() {
            return Err(self.reported(&case(index), run, ends));
        }
        if let [one, two] = **firsts.lock()
            && one != two
        {
            return Err(self.not_repeated(&case(0)));
        }
        Ok(passed.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Call;
    use super::*;

    #[test]
    fn the_calls_of_a_next_life_are_told_from_those_before() {
        let component: std::sync::Arc<str> = "it".into();
        let mut calls = super::super::calls::Calls::default();
        let second = std::time::Duration::from_secs(1);
        for life in 0..2 {
            for _ in 0..2 {
                let view = calls.begin(&component, Call::View, second * life);
                calls.end(&view, second * life, false);
            }
            let commit = calls.begin(&component, Call::Commit, second * life);
            calls.end(&commit, second * life, true);
        }
        let crash: Point = "it/commit#1".parse().unwrap();
        let views = |most| -> Vec<String> {
            let views = calls.views_after(&crash, most);
            views.iter().map(ToString::to_string).collect()
        };
        assert_eq!(views(3), ["it/view#3", "it/view#4"]);
        assert_eq!(views(1), ["it/view#3"]);
        assert!(calls.views_after(&"it/commit#2".parse().unwrap(), 3).is_empty());
        assert!(
            calls
                .views_after(&"other/commit#1".parse().unwrap(), 3)
                .is_empty()
        );
    }
}
