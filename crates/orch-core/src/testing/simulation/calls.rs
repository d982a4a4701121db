//! Which calls components made, and at which of them a crash would come to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Call, Fault, Point, Strike};

/// The calls of a run, in the order of each component.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls {
    by: BTreeMap<Arc<str>, Made>,
    /// How often the world was touched, by whomever.
    touches: u64,
}

/// What one component did.
#[derive(Clone, Debug, Default)]
struct Made {
    /// How many of all touches were its own and changed nothing.
    looks: u64,
    calls: BTreeMap<Call, Vec<Moments>>,
}

/// When a component would crash that crashed before or after a call.
#[derive(Clone, Debug)]
struct Moments {
    can_fail: bool,
    before: Moment,
    /// None for calls that are not over, or after which none crashes.
    after: Option<Moment>,
}

/// All that was before a crash and outlives it: the time, and how often the world was touched by others, or changed by the
/// component itself. What it has only looked at dies with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    at: Duration,
    touches: u64,
}

impl Calls {
    /// A component begins a call.
    pub(super) fn begin(&mut self, component: &Arc<str>, call: Call, at: Duration) -> Point {
        let made = self.by.entry(component.clone()).or_default();
        let calls = made.calls.entry(call).or_default();
        let touches = self.touches - made.looks;
        calls.push(Moments {
            can_fail: true,
            before: Moment { at, touches },
            after: None,
        });
        self.touches += 1;
        made.looks += 1;
        Point {
            component: component.clone(),
            call,
            nth: calls.len() as u64,
        }
    }

    /// Somebody is about to change something, and it may be changed long before the call is done: a program that is told to
    /// stop does at once what it does then, and its grace passes.
    pub(super) fn touch(&mut self) {
        self.touches += 1;
    }

    /// The answer to this call, if there is one, is never that it has failed.
    pub(super) fn cannot_fail(&mut self, point: &Point) {
        if let Some(call) = self.moments(point) {
            call.can_fail = false;
        }
    }

    /// The call is done, and has perhaps changed something.
    pub(super) fn end(&mut self, point: &Point, at: Duration, has_changed: bool) {
        self.touches += u64::from(has_changed);
        let looks = self.by.get(&point.component).map_or(0, |made| made.looks);
        let touches = self.touches - looks;
        if let Some(call) = self.moments(point) {
            call.after = Some(Moment { at, touches });
        }
    }

    fn moments(&mut self, point: &Point) -> Option<&mut Moments> {
        let calls = self.by.get_mut(&point.component)?.calls.get_mut(&point.call)?;
        let nth = usize::try_from(point.nth).unwrap_or(usize::MAX);
        calls.get_mut(nth.saturating_sub(1))
    }

    /// How often the world was touched.
    pub(super) fn touches(&self) -> u64 {
        self.touches
    }

    /// How many calls of this kind a component made; none if it made no call at all.
    pub(super) fn count(&self, component: &str, call: Call) -> Option<usize> {
        let made = self.by.get(component)?;
        Some(made.calls.get(&call).map_or(0, Vec::len))
    }

    /// The first views that a component took after it crashed at this call, as of its next life.
    pub(super) fn views_after(&self, crash: &Point, most: usize) -> Vec<Point> {
        let Some(made) = self.by.get(&crash.component) else {
            return Vec::new();
        };
        let at = |call: Call, nth: u64| {
            let nth = usize::try_from(nth).unwrap_or(usize::MAX);
            made.calls.get(&call)?.get(nth.checked_sub(1)?)
        };
        let Some(crashed) = at(crash.call, crash.nth) else {
            return Vec::new();
        };
        // It takes a second until it lives again.
        let died = crashed.after.map_or(crashed.before.at, |after| after.at);
        let views = made.calls.get(&Call::View).into_iter().flatten();
        (1..)
            .zip(views)
            .filter(|(_, view)| view.before.at > died)
            .map(|(nth, _)| Point {
                component: crash.component.clone(),
                call: Call::View,
                nth,
            })
            .take(most)
            .collect()
    }

    /// What a sweep tries: each fault at each call that it can befall, crashes that come to the same only once.
    pub(super) fn places(&self) -> Vec<Strike> {
        let mut places = Vec::new();
        for (component, made) in &self.by {
            let mut crashed = BTreeSet::new();
            for (call, calls) in &made.calls {
                for (nth, moments) in (1..).zip(calls) {
                    let point = Point {
                        component: component.clone(),
                        call: *call,
                        nth,
                    };
                    let is_new = |fault: &&Fault| match fault {
                        Fault::CrashBefore => crashed.insert(moments.before),
                        Fault::CrashAfter => moments.after.is_none_or(|after| crashed.insert(after)),
                        Fault::Unanswered | Fault::Fails => moments.can_fail,
                        _ => true,
                    };
                    let faults = swept(*call).iter().filter(is_new);
                    places.extend(faults.map(|fault| Strike::Call(point.clone(), *fault)));
                }
            }
        }
        places
    }
}

/// What a sweep tries with a call of this kind.
fn swept(call: Call) -> &'static [Fault] {
    match call {
        // The crash after it first: most that come before a commit are the same as one after an earlier call.
        Call::Commit => &[
            Fault::CrashAfter,
            Fault::CrashBefore,
            Fault::Unanswered,
            Fault::Fails,
        ],
        Call::Runtime => &[Fault::CrashAfter, Fault::Unanswered],
        Call::Watch => &[Fault::Skips, Fault::Lags],
        Call::View => &[Fault::Stale],
        // A read that fails is tried again, or what needed it is.
        Call::Read => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(calls: &Calls) -> Vec<String> {
        calls.places().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_crash_is_tried_where_it_would_find_another_world() {
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let mut calls = Calls::default();
        let (now, later) = (Duration::ZERO, Duration::from_secs(1));
        let commit = |calls: &mut Calls, by, at, has_changed| {
            let point = calls.begin(by, Call::Commit, at);
            calls.end(&point, at, has_changed);
        };
        commit(&mut calls, &one, now, true);
        // Between the two it only looks, and the other does nothing.
        calls.begin(&one, Call::Read, now);
        commit(&mut calls, &one, now, true);
        calls.begin(&other, Call::Read, now);
        commit(&mut calls, &one, now, true);
        // Time has passed; and the commit changes nothing.
        commit(&mut calls, &one, later, false);
        let expected = "one/commit#1=crash-after one/commit#1=crash-before one/commit#1=unanswered one/commit#1=fails \
            one/commit#2=crash-after one/commit#2=unanswered one/commit#2=fails \
            one/commit#3=crash-after one/commit#3=crash-before one/commit#3=unanswered one/commit#3=fails \
            one/commit#4=crash-after one/commit#4=unanswered one/commit#4=fails";
        assert_eq!(places(&calls), expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn what_runtimes_are_asked_is_a_place_only_if_something_came_between() {
        let (look, change) = (|_: &mut Calls| false, |_: &mut Calls| true);
        // It has told a container to stop, and waits: that call is not done yet, but the container is not what it was.
        let look_while_one_stops = |calls: &mut Calls| {
            calls.touch();
            false
        };
        let cases: [(&[fn(&mut Calls) -> bool], &[u64]); 4] = [
            (&[look, look], &[1]),
            (&[look, look, change, look], &[1, 3]),
            (&[look, look_while_one_stops, look], &[1, 2]),
            (&[change, change], &[1, 2]),
        ];
        for (made, expected) in cases {
            let (agent, mut calls): (Arc<str>, _) = ("agent".into(), Calls::default());
            for make in made {
                let point = calls.begin(&agent, Call::Runtime, Duration::ZERO);
                let has_changed = make(&mut calls);
                calls.end(&point, Duration::ZERO, has_changed);
            }
            let crashes = places(&calls).into_iter().filter(|place| place.contains("crash"));
            let expected = expected
                .iter()
                .map(|nth| format!("agent/runtime#{nth}=crash-after"));
            assert!(
                crashes.clone().eq(expected.clone()),
                "{crashes:?} instead of {expected:?}"
            );
        }
    }

    #[test]
    fn what_cannot_fail_is_not_left_unanswered() {
        let (agent, mut calls): (Arc<str>, _) = ("agent".into(), Calls::default());
        let point = calls.begin(&agent, Call::Runtime, Duration::ZERO);
        calls.cannot_fail(&point);
        calls.end(&point, Duration::ZERO, false);
        assert_eq!(places(&calls), ["agent/runtime#1=crash-after"]);
    }
}
