//! How far a log was read, to go on from there by another request.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// How far entries can be from the order of their times (both streams are read side by side).
pub(super) const DISORDER: SignedDuration = SignedDuration::from_millis(250);

/// The entries read last.
#[derive(Debug)]
pub(super) struct Seen {
    last: Timestamp,
    /// The times of all that are not much older than the last.
    recent: VecDeque<Timestamp>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            last: Timestamp::UNIX_EPOCH,
            recent: VecDeque::new(),
        }
    }
}

impl Seen {
    pub(super) fn add(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
        self.recent.push_back(at);
        let old = self.since();
        // Twice the time, for those before the oldest can be younger than it.
        let older = old.checked_sub(DISORDER).unwrap_or(old);
        while self.recent.front().is_some_and(|at| *at < older) {
            self.recent.pop_front();
        }
    }

    /// From when on to read, and how many entries since then were read already. Entries are only ever added to
    /// a log, so those are its first since then; `from` is when reading began, if not at the log's beginning.
    pub(super) fn resume(&self, from: Option<Timestamp>) -> (Timestamp, usize) {
        // The first entry read may be a later piece of a line, and the earlier ones have its time.
        let after = |from: Timestamp| from.checked_add(SignedDuration::from_nanos(1)).unwrap_or(from);
        let since = self.since().max(from.map_or(Timestamp::UNIX_EPOCH, after));
        (since, self.recent.iter().filter(|at| **at >= since).count())
    }

    fn since(&self) -> Timestamp {
        self.last
            .checked_sub(DISORDER)
            .unwrap_or(self.last)
            .max(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_behind_the_last_entry_even_if_two_came_in_the_wrong_order() {
        let at = |millis| Timestamp::from_millisecond(10_000 + millis).unwrap();
        let log = [0, 100, 300, 290, 500, 480, 490, 510];
        for read in 0..log.len() {
            let mut seen = Seen::default();
            log[..read].iter().for_each(|millis| seen.add(at(*millis)));
            let (since, skip) = seen.resume(None);
            let rest: Vec<i64> = log
                .into_iter()
                .filter(|millis| at(*millis) >= since)
                .skip(skip)
                .collect();
            assert_eq!(rest, log[read..], "after {read}");
        }
    }

    #[test]
    fn what_was_written_before_reading_began_is_not_read_then() {
        let at = |millis| Timestamp::from_millisecond(10_000 + millis).unwrap();
        let log = [0, 10, 20, 30, 40];
        let mut seen = Seen::default();
        log[2..4].iter().for_each(|millis| seen.add(at(*millis)));
        let (since, skip) = seen.resume(Some(at(20)));
        let rest: Vec<i64> = log
            .into_iter()
            .filter(|millis| at(*millis) >= since)
            .skip(skip)
            .collect();
        assert_eq!(rest, [40]);
    }

    #[test]
    fn only_recent_entries_are_kept() {
        let mut seen = Seen::default();
        (0..10_000).for_each(|second| seen.add(Timestamp::from_second(second).unwrap()));
        assert!(seen.recent.len() < 3);
    }
}
