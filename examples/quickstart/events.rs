//! Warning events, each told once, and again when it has been repeated ten times as often.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Event, ObjectReference};
use orch_core::cache::Cache;
use orch_core::client::Client;
use tokio::sync::watch;

use super::news::line;

/// How many events may wait to be told: of more the oldest are forgotten. And how many of those told are remembered: of
/// more all are, and told again if they come again.
const MOST: usize = 4096;

/// How many events may wait until it is seen what they are about. Of more the oldest are forgotten: most are of what is
/// gone.
const UNSEEN: usize = 256;

/// What a pod's own state tells already: that its containers do not start, or end too soon; or what was told before it
/// was made.
const TOLD_ALREADY: [&str; 3] = ["BackOff", "Failed", "Unsupported"];

/// One probe that fails is ordinary while a container starts: after how many it is told of (the usual
/// `failureThreshold`).
const FAILED_PROBES: i32 = 3;

/// What happened and was not told yet, what was told, and a bell that rings when something comes.
pub(crate) struct Events {
    waiting: Arc<Mutex<VecDeque<Arc<Event>>>>,
    told: Mutex<Told>,
    bell: watch::Receiver<()>,
    /// What feeds it.
    _cache: Cache<Event>,
}

#[derive(Default)]
struct Told {
    /// Events of what was not seen yet, in their order.
    unseen: VecDeque<Arc<Event>>,
    /// How often the event of this uid was counted when it was told, or else looked at, last.
    counts: HashMap<String, Count>,
    /// How many probes of an object have failed, by its uid.
    failed_probes: HashMap<String, i32>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    told: i32,
    seen: i32,
}

impl Events {
    /// Events there are by now are of an earlier run: they are not told.
    pub(crate) async fn open(client: &Client) -> Self {
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        let (ring, bell) = watch::channel(());
        let cache = Cache::<Event>::builder(client).start();
        cache.synced().await;
        let into = waiting.clone();
        cache
            .on_change(move |change| {
                if let Some(event) = change.new {
                    let mut waiting = into.lock().unwrap_or_else(PoisonError::into_inner);
                    if waiting.len() >= MOST {
                        waiting.pop_front();
                    }
                    waiting.push_back(event.clone());
                }
                ring.send_replace(());
            })
            .keep();
        let events = Self {
            waiting,
            told: Mutex::default(),
            bell,
            _cache: cache,
        };
        events.take(|_| Some(true), |_| false);
        let mut told = events.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.failed_probes.clear();
        drop(told);
        events
    }

    /// Rings when there may be something to tell.
    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.clone()
    }

    /// What is to be told of the objects that are `ours`: about what, and what. Where that is not known yet (none), for
    /// views come one after the other, the event waits for the next time. Reasons of which it `says_nothing` now are
    /// not told of later either.
    pub(crate) fn take(
        &self,
        ours: impl Fn(&ObjectReference) -> Option<bool>,
        says_nothing: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let came = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.take(came, ours, says_nothing)
    }
}

impl Told {
    fn take(
        &mut self,
        came: impl IntoIterator<Item = Arc<Event>>,
        ours: impl Fn(&ObjectReference) -> Option<bool>,
        says_nothing: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let mut events = std::mem::take(&mut self.unseen);
        let warnings = came
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning"));
        events.extend(warnings);
        let mut news = Vec::new();
        for event in events {
            if says_nothing(event.reason.as_deref().unwrap_or_default()) {
                continue;
            }
            match ours(&event.involved_object) {
                Some(true) => news.extend(self.hear(&event)),
                Some(false) => {}
                None => self.unseen.push_back(event),
            }
        }
        let too_many = self.unseen.len().saturating_sub(UNSEEN);
        self.unseen.drain(..too_many);
        news
    }

    /// What to say of it, if it is to be told now.
    fn hear(&mut self, event: &Event) -> Option<(String, String)> {
        let about = &event.involved_object;
        let reason = event.reason.as_deref().unwrap_or_default();
        if TOLD_ALREADY.contains(&reason) {
            return None;
        }
        if self.counts.len().max(self.failed_probes.len()) >= MOST {
            self.counts.clear();
            self.failed_probes.clear();
        }
        let count = self
            .counts
            .entry(event.metadata.uid.clone().unwrap_or_default())
            .or_default();
        let more = event.count.unwrap_or(1).max(1);
        let new = more.saturating_sub(count.seen).max(0);
        count.seen = more;
        if reason == "Unhealthy" {
            let failed = self
                .failed_probes
                .entry(about.uid.clone().unwrap_or_default())
                .or_default();
            *failed = failed.saturating_add(new);
            if *failed < FAILED_PROBES {
                return None;
            }
        }
        if count.told != 0 && more < count.told.saturating_mul(10) {
            return None;
        }
        count.told = more;
        let kind = about.kind.as_deref().unwrap_or_default().to_lowercase();
        let name = about.name.as_deref().unwrap_or_default();
        let message = line(event.message.as_deref().unwrap_or_default());
        let times = if more > 1 {
            format!(" ({more} times)")
        } else {
            String::new()
        };
        Some((
            format!("{kind} {name}"),
            format!("warning {reason}: {message}{times}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_warning_is_told_once_and_again_at_ten_times() {
        // (which event, its reason, its count; what is told)
        let cases = [
            (
                "a",
                "FailedScheduling",
                1,
                Some("warning FailedScheduling: no node fits"),
            ),
            ("a", "FailedScheduling", 2, None),
            (
                "a",
                "FailedScheduling",
                10,
                Some("warning FailedScheduling: no node fits (10 times)"),
            ),
            ("a", "FailedScheduling", 99, None),
            (
                "a",
                "FailedScheduling",
                100,
                Some("warning FailedScheduling: no node fits (100 times)"),
            ),
            (
                "b",
                "FailedScheduling",
                1,
                Some("warning FailedScheduling: no node fits"),
            ),
            ("c", "BackOff", 1, None),
            ("d", "Unhealthy", 1, None),
            ("d", "Unhealthy", 2, None),
            ("e", "Unhealthy", 1, Some("warning Unhealthy: no node fits")),
            (
                "d",
                "Unhealthy",
                3,
                Some("warning Unhealthy: no node fits (3 times)"),
            ),
            ("d", "Unhealthy", 4, None),
        ];
        let mut told = Told::default();
        for (uid, reason, count, said) in cases {
            let event = json!({"metadata": {"uid": uid}, "reason": reason, "message": "no\nnode fits",
                "involvedObject": {"kind": "Pod", "name": "web", "uid": "1"}, "count": count});
            let event: Event = serde_json::from_value(event).unwrap();
            let heard = told.hear(&event);
            let said = said.map(|said| ("pod web".to_owned(), said.to_owned()));
            assert_eq!(heard, said, "{uid} {count}");
        }
    }

    #[test]
    fn an_event_that_comes_before_what_it_is_about_is_told_when_that_has_come() {
        let event = |pod: usize| -> Arc<Event> {
            let event = json!({"metadata": {"uid": pod.to_string()}, "type": "Warning", "reason": "FailedMount",
                "message": "no", "involvedObject": {"kind": "Pod", "name": pod.to_string()}});
            Arc::new(serde_json::from_value(event).unwrap())
        };
        let name = |about: &ObjectReference| about.name.clone().unwrap();
        let said = |pod: usize| (format!("pod {pod}"), "warning FailedMount: no".to_owned());
        let no = |_: &str| false;
        let mut told = Told::default();
        assert_eq!(told.take([event(1), event(2), event(3)], |_| None, no), []);
        let second = |about: &ObjectReference| match name(about).as_str() {
            "1" => None,
            other => Some(other == "2"),
        };
        assert_eq!(told.take([], second, no), [said(2)]);
        assert_eq!(told.take([event(4)], |_| Some(true), no), [said(1), said(4)]);
        assert_eq!(told.take([], |_| Some(true), no), [], "each once");

        // What was told is forgotten when it has become too much; what was not told yet is not.
        let many = (0..MOST).map(|other| (format!("other {other}"), Count::default()));
        told.counts = many.collect();
        assert_eq!(told.take([event(1), event(2)], second, no), [said(2)]);
        assert_eq!(told.counts.len(), 1);
        assert_eq!(told.take([], |_| Some(true), no), [said(1)]);

        told.take((0..UNSEEN + 5).map(|pod| event(10 + pod)), |_| None, no);
        let kept = told.take([], |_| Some(true), no);
        assert_eq!(kept.len(), UNSEEN);
        assert_eq!(kept[0], said(15), "of too many the oldest are forgotten");
    }
}
