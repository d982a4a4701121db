//! How soon pods that failed are replaced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::controllers::pod_view::PodView;

/// How long replacements that failed wait for theirs: the first time this, then twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(300);

/// What is known of the failures of one set's pods.
///
/// A pod that failed (it was evicted, say, or its node refused it) is replaced at once. If a replacement fails too, the
/// next ones wait, ever longer, until one of them has been available for as long as it had waited. Kubernetes' controller
/// has no such wait and makes pods as fast as they fail; its DaemonSet controller has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    /// Which set, and its generation: whoever changes it wants to see at once what comes of that.
    of: Option<(String, i64)>,
    /// The finished pods there were when it was last looked at; none if it never was.
    finished: Option<HashSet<Box<str>>>,
    /// How often in a row replacements failed, the failure that they followed included.
    rounds: u32,
    /// When the last round began. Times of objects are whole seconds, so this is, too.
    since: Timestamp,
    /// Until when the failed pods of the last round are not replaced, and how many they are.
    until: Timestamp,
    held: usize,
}

/// What a set has to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// How many pods are not to be created yet.
    pub(super) held: usize,
    /// When to look again at the latest.
    pub(super) next: Option<Duration>,
    /// How long a wait is that has just begun.
    pub(super) begun: Option<Duration>,
}

impl Backoff {
    /// Takes note of the set's own pods as they are now.
    pub(super) fn observe(
        &mut self,
        (uid, generation): (&str, i64),
        pods: &[Arc<PodView>],
        min_ready: Duration,
        now: Timestamp,
    ) -> Wait {
        let of = self
            .of
            .as_ref()
            .map(|(uid, generation)| (uid.as_str(), *generation));
        if of != Some((uid, generation)) {
            (self.rounds, self.held) = (0, 0);
            self.of = Some((uid.to_owned(), generation));
        }
        let mut begun = None;
        let failures = self.note(pods);
        let mut next = self.note_available(pods, min_ready, now);
        if self.held > 0 && now >= self.until {
            self.held = 0;
        }
        if self.held > 0 {
            // Pods of the same round fail one after the other.
            self.held += failures.len();
        } else if failures.iter().any(|pod| self.is_replacement(pod)) {
            self.since = whole_seconds(now);
            self.until = now + SignedDuration::try_from(self.wait()).unwrap_or_default();
            self.rounds = self.rounds.saturating_add(1);
            if self.until > now {
                self.held = failures.len();
                begun = Some(self.last_wait());
            }
        }
        if self.held > 0 {
            let left = Duration::try_from(self.until.duration_since(now)).unwrap_or_default();
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        Wait {
            held: self.held,
            next,
            begun,
        }
    }

    /// The pods that have finished since.
    fn note<'p>(&mut self, pods: &'p [Arc<PodView>]) -> Vec<&'p PodView> {
        let finished = || pods.iter().filter(|pod| pod.is_finished());
        let before = self
            .finished
            .replace(finished().map(|pod| pod.uid.clone()).collect());
        // Of those that were there before anybody looked, nobody knows what has replaced them.
        let Some(before) = before else {
            return Vec::new();
        };
        let new = finished().filter(|pod| !before.contains(&pod.uid));
        new.map(|pod| &**pod).collect()
    }

    /// Ends the row if a replacement has been available for long enough; or says when that may be.
    fn note_available(
        &mut self,
        pods: &[Arc<PodView>],
        min_ready: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        if self.rounds == 0 {
            return None;
        }
        let needed = min_ready.max(self.last_wait());
        let replacements = pods
            .iter()
            .filter(|pod| pod.is_active() && self.is_replacement(pod));
        let soonest = replacements
            .filter_map(|pod| pod.available_in(needed, now))
            .min()?;
        if soonest.is_zero() {
            (self.rounds, self.held) = (0, 0);
            return None;
        }
        Some(soonest)
    }

    /// Whether it was made since the last round began.
    fn is_replacement(&self, pod: &PodView) -> bool {
        self.rounds == 0 || pod.created.is_none_or(|created| created >= self.since)
    }

    /// How long the next round waits.
    fn wait(&self) -> Duration {
        match self.rounds {
            0 => Duration::ZERO,
            // Beyond this many doublings it is the longest wait anyway.
            rounds => FIRST.saturating_mul(1 << (rounds - 1).min(16)).min(LONGEST),
        }
    }

    /// How long the last round waited.
    fn last_wait(&self) -> Duration {
        let rounds = self.rounds.saturating_sub(1);
        Self {
            rounds,
            ..Self::default()
        }
        .wait()
    }
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::pod_view::Phase;

    /// A set of one replica, whose pods fail as told.
    struct World {
        backoff: Backoff,
        now: Timestamp,
        pods: Vec<Arc<PodView>>,
    }

    impl World {
        fn new() -> Self {
            let mut world = Self {
                backoff: Backoff::default(),
                now: "2026-06-01T12:00:00.25Z".parse().unwrap(),
                pods: Vec::new(),
            };
            world.observe();
            world
        }

        fn observe(&mut self) -> Wait {
            self.backoff
                .observe(("rs", 1), &self.pods, Duration::ZERO, self.now)
        }

        fn pass(&mut self, millis: i64) {
            self.now += SignedDuration::from_millis(millis);
        }

        fn create(&mut self) -> usize {
            self.pods.push(Arc::new(PodView {
                uid: self.pods.len().to_string().into(),
                created: Some(whole_seconds(self.now)),
                ..PodView::default()
            }));
            self.pods.len() - 1
        }

        fn change(&mut self, pod: usize, change: impl FnOnce(&mut PodView)) {
            change(Arc::make_mut(&mut self.pods[pod]));
        }

        fn fail(&mut self, pod: usize) {
            self.change(pod, |pod| pod.phase = Phase::Failed);
        }

        /// One pod after the other is made and fails a moment later; how long each waited for the next.
        fn waits(&mut self, count: usize) -> Vec<u64> {
            let waits = (0..count).map(|_| {
                let pod = self.create();
                self.pass(10);
                self.fail(pod);
                let wait = self.observe();
                if wait == Wait::default() {
                    return 0;
                }
                assert_eq!(wait.held, 1);
                self.pass(i64::try_from(wait.next.unwrap().as_millis()).unwrap());
                assert_eq!(self.observe(), Wait::default());
                wait.next.unwrap().as_secs()
            });
            waits.collect()
        }
    }

    #[test]
    fn each_replacement_that_fails_doubles_the_wait_up_to_five_minutes() {
        let mut world = World::new();
        let waits = world.waits(14);
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
    }

    #[test]
    fn a_row_of_failures_ends_when_a_replacement_was_available_for_as_long_as_it_waited() {
        for (ready_millis, wait) in [(7_000, Some(16)), (9_000, None)] {
            let mut world = World::new();
            assert_eq!(world.waits(5).last(), Some(&8));
            let pod = world.create();
            let now = world.now;
            world.change(pod, |pod| {
                (pod.ready, pod.ready_changed) = (true, Some(whole_seconds(now)));
            });
            let next = world.observe().next.unwrap();
            assert!(next <= Duration::from_secs(8), "{next:?}");
            world.pass(ready_millis);
            world.observe();
            world.fail(pod);
            world.change(pod, |pod| pod.ready = false);
            let next = world.observe().next.map(|next| next.as_secs());
            assert_eq!(next, wait, "ready for {ready_millis} ms");
        }
    }

    #[test]
    fn pods_that_fail_one_after_the_other_are_one_round() {
        let mut world = World::new();
        let pods: Vec<_> = (0..100).map(|_| world.create()).collect();
        // Long after, so none of them is a replacement of another.
        world.pass(60_000);
        for pod in pods {
            world.fail(pod);
            assert_eq!(world.observe().held, 0);
            world.pass(1);
        }
        let pods: Vec<_> = (0..100).map(|_| world.create()).collect();
        for (count, pod) in pods.into_iter().enumerate() {
            world.pass(1);
            world.fail(pod);
            let wait = world.observe();
            assert_eq!(wait.held, count + 1);
            assert!(wait.next.unwrap() <= FIRST);
        }
    }

    #[test]
    fn a_set_that_was_changed_and_one_that_nobody_watched_begin_anew() {
        let mut world = World::new();
        assert_eq!(world.waits(5).last(), Some(&8));
        let pod = world.create();
        world.fail(pod);
        assert_eq!(world.observe().held, 1);
        let mut anew = Backoff::default();
        assert_eq!(
            anew.observe(("rs", 1), &world.pods, Duration::ZERO, world.now),
            Wait::default()
        );
        let changed = world
            .backoff
            .observe(("rs", 2), &world.pods, Duration::ZERO, world.now);
        assert_eq!(changed, Wait::default());
    }
}
