//! Which calls of a run go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fault::{Call, Fault, Point, Strike};
use super::sequence::{self, Wish};

/// How often what goes wrong.
///
/// ```
/// use orch_core::testing::simulation::{Fault, Rates};
///
/// let rates = Rates::none().of(Fault::CrashAfter, 0.01).of(Fault::Lags, 0.05);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates(BTreeMap<Fault, f64>);

impl Rates {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// A bad day: of a hundred calls a few meet some fault.
    pub fn storm() -> Self {
        let rates = [
            (Fault::Slow, 0.05),
            (Fault::CrashBefore, 0.002),
            (Fault::CrashAfter, 0.004),
            (Fault::Fails, 0.01),
            (Fault::Lost, 0.005),
            (Fault::Unanswered, 0.005),
            (Fault::Conflicts, 0.01),
            (Fault::Stale, 0.05),
            (Fault::Ends, 0.01),
            (Fault::Skips, 0.005),
            (Fault::Lags, 0.02),
            (Fault::Repeats, 0.005),
            (Fault::Hangs, 0.001),
        ];
        Self(rates.into())
    }

    /// Of the calls that this fault can befall, this part meets it: 0.01 is one of a hundred.
    ///
    /// # Panics
    ///
    /// If it is not from 0 to 1.
    #[must_use]
    pub fn of(mut self, fault: Fault, rate: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&rate),
            "the rate of {fault} must be from 0 to 1, got {rate}"
        );
        self.0.insert(fault, rate);
        self
    }

    /// All rates times `factor`: `Rates::storm().times(5.0)` is for a simulation whose components make but few calls in a
    /// run, and would meet hardly two faults in it.
    ///
    /// # Panics
    ///
    /// If the factor is negative or no finite number, or if a rate would be more than 1.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "the factor of rates must be a number from 0 up, got {factor}"
        );
        self.0.iter().fold(Self::none(), |rates, (fault, rate)| {
            rates.of(*fault, rate * factor)
        })
    }

    /// Panics if of the calls of some kind more than all would meet a fault: some faults would come less often than asked
    /// for, or never.
    pub(super) fn check(&self) {
        for call in Call::ALL {
            let befalling = self.0.iter().filter(|(fault, _)| fault.befalls(call));
            let all: f64 = befalling.clone().map(|(_, rate)| rate).sum();
            assert!(
                // What was added up may be off by a little.
                all <= 1.0 + 1e-9,
                "the rates of all that can befall a {} must be 1 at most together, got {all:.3}: {}",
                call.word(),
                befalling
                    .map(|(fault, rate)| format!("{fault} {rate}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
        }
    }
}

/// What goes wrong in one run.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// Each call by chance, which hangs on the seed and the call alone: what befalls one does not change what befalls
    /// another.
    Random { seed: u64, rates: Rates },
    /// These and nothing else.
    Exactly(BTreeSet<Strike>),
}

impl Plan {
    /// The line that asks for a run by this plan.
    pub(super) fn line(&self, simulation: &str, seed: u64) -> String {
        match self {
            Self::Random { .. } => format!("{simulation} {seed}"),
            Self::Exactly(strikes) => line(simulation, seed, strikes),
        }
    }

    pub(super) fn at(&self, point: &Point) -> Option<Fault> {
        match self {
            Self::Random { seed, rates } => {
                let mut left = fraction(*seed, point);
                rates
                    .0
                    .iter()
                    .filter(|(fault, _)| fault.befalls(point.call))
                    .find_map(|(fault, rate)| {
                        left -= rate;
                        (left < 0.0).then_some(*fault)
                    })
            }
            Self::Exactly(strikes) => {
                let from = Strike::Call(point.clone(), Fault::ALL[0]);
                strikes.range(from..).next().and_then(|strike| match strike {
                    Strike::Call(at, fault) if at == point => Some(*fault),
                    _ => None,
                })
            }
        }
    }

    /// What users ask for.
    pub(super) fn steps(&self, wishes: &[Wish]) -> Vec<Strike> {
        match self {
            Self::Random { seed, .. } => sequence::drawn(*seed, wishes),
            Self::Exactly(strikes) => {
                let steps = strikes.iter();
                steps
                    .filter(|strike| matches!(strike, Strike::Step { .. }))
                    .cloned()
                    .collect()
            }
        }
    }

    /// Disasters of this name in the first `during` of a run, of which there are `rate` in an hour.
    pub(super) fn disasters(&self, name: &str, rate: f64, during: Duration) -> Vec<(u64, Duration)> {
        match self {
            Self::Random { seed, .. } => {
                let mut chance = fastrand::Rng::with_seed(mix(*seed, name.as_bytes()));
                let mut at = Duration::ZERO;
                let mut disasters = Vec::new();
                for nth in 1.. {
                    // Times between independent events are distributed exponentially.
                    let hours = -(1.0 - chance.f64()).ln() / rate;
                    let Ok(pause) = Duration::try_from_secs_f64(hours * 3600.0) else {
                        break;
                    };
                    at = at.saturating_add(pause);
                    if at >= during {
                        break;
                    }
                    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
                    disasters.push((nth, Duration::from_millis(millis)));
                }
                disasters
            }
            Self::Exactly(strikes) => strikes
                .iter()
                .filter_map(|strike| match strike {
                    Strike::Disaster { name: given, nth, at } if **given == *name => Some((*nth, *at)),
                    _ => None,
                })
                .collect(),
        }
    }
}

/// The word for a run to which nothing happens.
pub(super) const CALM: &str = "calm";

/// The line that asks for a run in which exactly this happens.
pub(super) fn line<'a>(
    simulation: &str,
    seed: u64,
    strikes: impl IntoIterator<Item = &'a Strike, IntoIter: Clone>,
) -> String {
    let strikes = strikes.into_iter();
    if strikes.clone().next().is_none() {
        return format!("{simulation} {seed} {CALM}");
    }
    let strikes: String = strikes.map(|strike| format!(" {strike}")).collect();
    format!("{simulation} {seed}{strikes}")
}

/// A number from 0 up to 1 for this point.
fn fraction(seed: u64, point: &Point) -> f64 {
    fastrand::Rng::with_seed(point_seed(seed, point)).f64()
}

/// A seed for what is drawn at this point.
pub(super) fn point_seed(seed: u64, point: &Point) -> u64 {
    let call = match point.call {
        Call::Read => 0,
        Call::Commit => 1,
        Call::Watch => 2,
        Call::Runtime => 3,
        Call::View => 4,
    };
    mix(
        mix(seed, point.component.as_bytes()) ^ call,
        &point.nth.to_le_bytes(),
    )
}

/// FNV-1a over `bytes` from `seed`: the same on every machine and with every compiler.
pub(super) fn mix(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(call: Call, nth: u64) -> Point {
        Point {
            component: "controller".into(),
            call,
            nth,
        }
    }

    #[test]
    fn faults_come_as_often_as_their_rates_say() {
        let plan = Plan::Random {
            seed: 7,
            rates: Rates::none().of(Fault::Lost, 0.1).of(Fault::Hangs, 0.5),
        };
        let lost = (0..10_000)
            .filter(|nth| plan.at(&point(Call::Commit, *nth)) == Some(Fault::Lost))
            .count();
        assert!((800..1200).contains(&lost), "{lost}");
        assert!((0..1000).all(|nth| plan.at(&point(Call::Read, nth)).is_none()));
    }

    #[test]
    fn a_list_of_faults_is_kept_to_the_letter() {
        let strikes = [
            "controller/commit#2=lost",
            "controller/read#3=fails",
            "quake#1@90ms",
        ];
        let plan = Plan::Exactly(strikes.iter().map(|strike| strike.parse().unwrap()).collect());
        assert_eq!(plan.at(&point(Call::Commit, 2)), Some(Fault::Lost));
        assert_eq!(plan.at(&point(Call::Commit, 3)), None);
        assert_eq!(plan.at(&point(Call::Commit, 1)), None);
        assert_eq!(plan.at(&point(Call::Read, 3)), Some(Fault::Fails));
        let quakes = plan.disasters("quake", 5.0, Duration::from_secs(1));
        assert_eq!(quakes, [(1, Duration::from_millis(90))]);
        assert!(plan.disasters("flood", 5.0, Duration::from_secs(1)).is_empty());
    }

    #[test]
    fn disasters_come_as_often_as_their_rate_says() {
        let plan = Plan::Random {
            seed: 3,
            rates: Rates::none(),
        };
        let day = Duration::from_secs(24 * 3600);
        let quakes = plan.disasters("quake", 10.0, day);
        assert!((180..300).contains(&quakes.len()), "{}", quakes.len());
        assert!(quakes.is_sorted_by_key(|(_, at)| *at));
        assert!(plan.disasters("quake", 0.0, day).is_empty());
    }
}
