//! What users ask for, one state after the other: each must be reached from every other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::fault::Strike;
use super::panics::guarded;
use super::report::{Failure, Passed};
use super::search::Case;
use super::world::{World, listed};
use super::{CALM_SEED, Run, Setup, Simulation};

/// How long users let a state stand that is to be reached.
const STANDS: Duration = Duration::from_secs(30);

/// How long they let each stand that they ask for on a tour of all: a sweep has a run for each call that is made meanwhile.
const PASSES: Duration = Duration::from_secs(5);

/// How long they let one stand before they ask for the next: not at all, until the first is half reached, and until it
/// is.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(700), STANDS];

/// The most states that they ask for in a run in which things go wrong.
const STEPS_MAX: u64 = 6;

type Ask = dyn Fn(World) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// A state that users may ask for.
#[derive(Clone)]
pub(super) struct Wish {
    pub(super) name: Arc<str>,
    pub(super) ask: Arc<Ask>,
    /// Whether a run may end with it.
    pub(super) is_end: bool,
}

/// How a run must end, by the state that was asked for last; by none, if none was.
#[derive(Default)]
pub(super) struct Ends(BTreeMap<Option<Arc<str>>, Vec<String>>);

impl Ends {
    /// How a run must end in which this happened; none if it may end anyhow.
    pub(super) fn of(&self, strikes: &[Strike]) -> Option<&[String]> {
        let steps = strikes.iter().filter_map(|strike| match strike {
            Strike::Step { nth, state, .. } => Some((nth, state)),
            _ => None,
        });
        let last = steps.max().map(|(_, state)| state.clone());
        self.0.get(&last).map(Vec::as_slice)
    }
}

impl Simulation {
    /// Asks for each [state](super::Setup::state) after each other, which was let stand for no time, a little, and long,
    /// with nothing going wrong. Every run must satisfy the oracles and end as if nothing had been asked for but its last
    /// state.
    ///
    /// In [`seeds`](Self::seeds) it is chance that draws up to six states, and things go wrong meanwhile.
    ///
    /// # Errors
    ///
    /// The first that is not reached.
    ///
    /// # Panics
    ///
    /// If there are no two states to go between, or no component.
    pub fn transitions(&self) -> Result<Passed, Box<Failure>> {
        if let Some(replayed) = self.replayed() {
            return replayed;
        }
        let ends = self.ends()?;
        let wishes = self.wishes();
        let pairs = wishes.iter().flat_map(|first| {
            let others = wishes
                .iter()
                .filter(|then| then.is_end && then.name != first.name);
            others.map(move |then| (first, then))
        });
        let sequences: Vec<Case> = pairs
            .flat_map(|(first, then)| PAUSES.map(|pause| [step(1, first, STANDS), step(2, then, pause)]))
            .map(|steps| Case::Exactly(CALM_SEED, steps.to_vec()))
            .collect();
        assert!(
            !sequences.is_empty(),
            "{}: there are no two states to go between",
            self.name
        );
        self.search(sequences.len(), |nth| sequences[nth].clone(), &ends, |_, _| {})
    }

    /// What a run is made of.
    pub(super) fn setup(&self) -> Setup {
        let mut setup = Setup::empty();
        (self.build)(&mut setup);
        setup
    }

    /// The states that users may ask for.
    pub(super) fn wishes(&self) -> Vec<Wish> {
        self.setup().wishes
    }

    /// All states, those first with which no run ends.
    pub(super) fn tour(&self) -> Vec<Strike> {
        let mut wishes = self.wishes();
        wishes.sort_by_key(|wish| wish.is_end);
        let tour = wishes.iter().zip(1..);
        tour.map(|(wish, nth)| step(nth, wish, PASSES)).collect()
    }

    /// How runs must end: as they do when nothing goes wrong and nothing else was asked for.
    ///
    /// # Panics
    ///
    /// If there is no component.
    pub(super) fn ends(&self) -> Result<Ends, Box<Failure>> {
        let Setup {
            wishes, components, ..
        } = self.setup();
        assert!(
            !components.is_empty(),
            "{}: there is no component, so nothing is tried (Setup::component)",
            self.name
        );
        let mut ends = Ends::default();
        let calm = std::iter::once(None).chain(wishes.iter().filter(|wish| wish.is_end).map(Some));
        for wish in calm {
            let steps = wish.map(|wish| step(1, wish, Duration::ZERO));
            let run = self.silent().run_exactly(CALM_SEED, steps.clone());
            if run.failure.is_some() {
                let case = Case::Exactly(CALM_SEED, steps.into_iter().collect());
                return Err(self.failure(&case, run, &|run| run));
            }
            ends.0.insert(wish.map(|wish| wish.name.clone()), run.end);
        }
        Ok(ends)
    }

    /// A run that ended otherwise than it should have failed, too.
    pub(super) fn judged(&self, mut run: Run, ends: &Ends) -> Run {
        if run.failure.is_none()
            && let Some(end) = ends.of(&run.strikes)
            && run.end != end
        {
            run.fail(difference(end, &run.end));
        }
        run
    }
}

/// Asks for what is to be asked for, in order, and lets the last stand for a while as well.
pub(super) async fn take(world: &World, wishes: &[Wish]) -> Result<(), String> {
    let steps = world.steps(wishes);
    let passes = if steps.is_empty() { Duration::ZERO } else { PASSES };
    for step in steps {
        let Strike::Step { state, after, .. } = &step else {
            continue;
        };
        let Some(wish) = wishes.iter().find(|wish| wish.name == *state) else {
            let states: Vec<_> = wishes.iter().map(|wish| wish.name.clone()).collect();
            return Err(format!(
                "there is no state {state:?} to ask for; {}",
                listed("states", &states)
            ));
        };
        tokio::time::sleep(*after).await;
        let what = format!("asking for {}", wish.name);
        // Before anything of it can panic: what was asked for is what the run needs.
        world.struck(step.clone());
        let asked = guarded(&what, async { (wish.ask)(world.clone()).await });
        asked.await?.map_err(|why| format!("{what}: {why}"))?;
    }
    tokio::time::sleep(passes).await;
    Ok(())
}

/// A sequence that hangs on the seed alone.
pub(super) fn drawn(seed: u64, wishes: &[Wish]) -> Vec<Strike> {
    let ends: Vec<&Wish> = wishes.iter().filter(|wish| wish.is_end).collect();
    if ends.is_empty() {
        return Vec::new();
    }
    let mut chance = fastrand::Rng::with_seed(super::plan::mix(seed, b"steps"));
    let count = chance.u64(1..=STEPS_MAX);
    let steps = (1..=count).map(|nth| {
        let wish = if nth == count {
            ends[chance.usize(..ends.len())]
        } else {
            &wishes[chance.usize(..wishes.len())]
        };
        let longest = PAUSES[chance.usize(..PAUSES.len())].as_millis();
        let pause = chance.u64(..=u64::try_from(longest).unwrap_or(u64::MAX));
        step(nth, wish, Duration::from_millis(pause))
    });
    steps.collect()
}

fn step(nth: u64, wish: &Wish, after: Duration) -> Strike {
    Strike::Step {
        nth,
        state: wish.name.clone(),
        after,
    }
}

/// Where an end state differs from the one it should be, in a few lines.
fn difference(expected: &[String], found: &[String]) -> String {
    const MOST: usize = 3;
    let mut counts = BTreeMap::<&str, (usize, usize)>::new();
    expected
        .iter()
        .for_each(|line| counts.entry(line).or_default().0 += 1);
    found
        .iter()
        .for_each(|line| counts.entry(line).or_default().1 += 1);
    let line = |(line, (expected, found)): (&&str, &(usize, usize))| match (expected, found) {
        (0, 1) | (1, 0) => (*line).to_owned(),
        _ => format!("{line} ({found}, not {expected})"),
    };
    let missing = counts.iter().filter(|(_, (expected, found))| found < expected);
    let surplus = counts.iter().filter(|(_, (expected, found))| found > expected);
    let mut text = "it does not end as it should: ".to_owned();
    text.push_str(&match (found.len(), expected.len()) {
        (found, expected) if found == expected => format!("{found} objects, but not the same"),
        (found, expected) => format!("{found} objects, not {expected}"),
    });
    for (sign, lines) in [
        ('-', missing.map(line).collect::<Vec<_>>()),
        ('+', surplus.map(line).collect()),
    ] {
        for line in lines.iter().take(MOST) {
            text.push_str(&format!("\n  {sign} {line}"));
        }
        if lines.len() > MOST {
            text.push_str(&format!("\n  {sign} and {} more", lines.len() - MOST));
        }
    }
    text
}
