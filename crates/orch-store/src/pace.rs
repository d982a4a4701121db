//! When the file takes over what is in the journal: by the clock, or drawn where there is none.

use std::time::{Duration, Instant};

use orch_core::random::Random;

/// A checkpoint is begun no sooner than this after the one before, unless there is a lot for it. Under load it is for many
/// commits then: it writes a page once for all that change it, and each of its syncs holds up the journal's.
const PACE: Duration = Duration::from_millis(250);
/// After this long without a commit the file takes over what is in the journal.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// One of so many groups is followed by a pause, where it is drawn.
const GROUPS_TO_A_PAUSE: u64 = 16;
/// So many groups at most come while a checkpoint is under way, where it is drawn.
const GROUPS_TO_A_CHECKPOINT: u64 = 3;

pub(crate) struct Pace {
    /// When the last checkpoint was begun.
    begun: Instant,
    drawn: Option<Random>,
}

impl Pace {
    /// By the clock, unless there is something to draw from.
    pub(crate) fn new(drawn: Option<Random>) -> Self {
        Self {
            begun: Instant::now(),
            drawn,
        }
    }

    /// A checkpoint is begun.
    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Whether the last checkpoint lies back far enough for another that has little to do.
    pub(crate) fn is_due(&self) -> bool {
        match &self.drawn {
            Some(random) => random.below(2) == 0,
            None => self.begun.elapsed() >= PACE,
        }
    }

    /// Whether, where it is drawn, nobody comes for a while now.
    pub(crate) fn is_quiet(&self) -> bool {
        let drawn = self.drawn.as_ref();
        drawn.is_some_and(|random| random.below(GROUPS_TO_A_PAUSE) == 0)
    }

    /// How many groups come while a checkpoint is under way that is made in the calls of those who commit; none if it has a
    /// thread of its own.
    pub(crate) fn groups_meanwhile(&self) -> Option<u64> {
        let drawn = self.drawn.as_ref()?;
        Some(drawn.below(GROUPS_TO_A_CHECKPOINT + 1))
    }
}
