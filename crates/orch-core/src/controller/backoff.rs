//! How long to wait before trying again.

use std::time::Duration;

use crate::random::Random;

/// Delays that double with each failure in a row, up to a bound, spread by a random part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
    /// The random part, as a fraction of the delay that is added at most: 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    /// From 5 ms (client-go's) to 5 min, with a tenth of jitter.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(5),
            longest: Duration::from_secs(300),
            jitter: 0.1,
        }
    }
}

impl Backoff {
    /// The delay after `failures` failures in a row (1 for the first).
    pub fn delay(&self, failures: u32, random: &Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let delay = self.first.saturating_mul(1 << doublings).min(self.longest);
        delay + delay.mul_f64(self.jitter.clamp(0.0, 1.0) * random.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_jitter_only_adds() {
        let backoff = Backoff {
            first: Duration::from_millis(10),
            longest: Duration::from_secs(1),
            jitter: 0.5,
        };
        let random = Random::seeded(1);
        for (failures, base) in [(1, 10), (2, 20), (3, 40), (7, 640), (8, 1000), (4_000_000, 1000)] {
            let base = Duration::from_millis(base);
            let delay = backoff.delay(failures, &random);
            assert!(
                delay >= base && delay <= base.mul_f64(1.5),
                "{failures}: {delay:?}"
            );
        }
    }
}
