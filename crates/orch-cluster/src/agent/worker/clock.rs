//! The wall clock, and whether it was set.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_core::time;
use tokio::time::Instant;

/// What a clock may be off by when it is read twice without having been set: it runs a little fast or slow.
const TOLERANCE: Duration = Duration::from_millis(500);

/// Reads the wall clock beside one that nobody sets.
pub(super) struct Clock {
    wall: Timestamp,
    steady: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            wall: time::now(),
            steady: Instant::now(),
        }
    }

    /// The time, and by how much the clock was set since it was read last, if it was.
    pub(super) fn read(&mut self) -> (Timestamp, Option<SignedDuration>) {
        let (wall, steady) = (time::now(), Instant::now());
        let passed = SignedDuration::try_from(steady - self.steady).unwrap_or(SignedDuration::MAX);
        let set = wall.duration_since(self.wall).saturating_sub(passed);
        *self = Self { wall, steady };
        (wall, (set.unsigned_abs() > TOLERANCE).then_some(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_told_from_one_that_runs() {
        let _anchor = time::anchor_thread(Timestamp::UNIX_EPOCH);
        let mut clock = Clock::new();
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.read().1, None);
        for by in [-900, 900] {
            let by = SignedDuration::from_secs(by);
            time::shift_thread(by);
            tokio::time::advance(Duration::from_secs(10)).await;
            let (now, set) = clock.read();
            assert_eq!((now, set), (time::now(), Some(by)));
            assert_eq!(clock.read().1, None, "it is told once");
        }
    }
}
