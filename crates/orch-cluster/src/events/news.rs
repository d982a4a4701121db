//! What has been said, how often, and what may still be said.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;

/// How many different pieces of news are remembered, to count repetitions.
const KNOWN_MAX: usize = 4_096;
/// How many pieces of news may wait to be written; more are dropped.
const PENDING_MAX: usize = 4_096;
/// How many events one object may have in a burst, and after how long it may have one more (client-go's spam
/// filter).
const BURST: f64 = 25.0;
pub(super) const REFILL: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) known: HashMap<News, Known>,
    /// In the order in which they were first heard, to forget the oldest.
    pub(super) order: VecDeque<News>,
    pub(super) pending: VecDeque<News>,
    pub(super) budgets: HashMap<Subject, Budget>,
    pub(super) last_nanos: i128,
    pub(super) flushing: bool,
}

/// What is said, of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct News {
    pub(super) subject: Arc<Subject>,
    pub(super) warning: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) field_path: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) count: i32,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) exists: bool,
    pub(super) pending: bool,
}

#[derive(Debug)]
pub(super) struct Budget {
    pub(super) tokens: f64,
    pub(super) at: Timestamp,
}

impl State {
    /// Takes news in; false if it is dropped.
    pub(super) fn hear(&mut self, news: News, now: Timestamp) -> bool {
        if self.pending.len() >= PENDING_MAX || !self.may_speak(&news.subject, now) {
            return false;
        }
        if !self.known.contains_key(&news) {
            if self.order.len() >= KNOWN_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                // One that still waits to be written would be written without its count; it is let go.
                self.known.remove(&oldest);
            }
            let name = self.name(&news.subject, now);
            let known = Known {
                name,
                count: 0,
                first: now,
                last: now,
                exists: false,
                pending: false,
            };
            self.known.insert(news.clone(), known);
            self.order.push_back(news.clone());
        }
        let Some(known) = self.known.get_mut(&news) else {
            return false;
        };
        known.count = known.count.saturating_add(1);
        known.last = now;
        if !known.pending {
            known.pending = true;
            self.pending.push_back(news);
        }
        true
    }

    pub(super) fn may_speak(&mut self, subject: &Subject, now: Timestamp) -> bool {
        if self.budgets.len() >= KNOWN_MAX {
            // Whoever was silent long enough has its whole budget again.
            let full = REFILL.as_secs_f64() * BURST;
            self.budgets
                .retain(|_, budget| now.duration_since(budget.at).as_secs_f64() < full);
            if self.budgets.len() >= KNOWN_MAX {
                self.budgets.clear();
            }
        }
        let fresh = || Budget {
            tokens: BURST,
            at: now,
        };
        if !self.budgets.contains_key(subject) {
            self.budgets.insert(subject.clone(), fresh());
        }
        let Some(budget) = self.budgets.get_mut(subject) else {
            return false;
        };
        let refilled = now.duration_since(budget.at).as_secs_f64().max(0.0) / REFILL.as_secs_f64();
        budget.tokens = (budget.tokens + refilled).min(BURST);
        budget.at = now;
        let may = budget.tokens >= 1.0;
        if may {
            budget.tokens -= 1.0;
        }
        may
    }

    /// A name no other event of this recorder has: the object's, and the time in hexadecimal nanoseconds.
    pub(super) fn name(&mut self, subject: &Subject, now: Timestamp) -> String {
        self.last_nanos = now.as_nanosecond().max(self.last_nanos + 1);
        format!(
            "{}.{:x}",
            subject.name.as_deref().unwrap_or("object"),
            self.last_nanos
        )
    }

    pub(super) fn take(&mut self) -> Option<(News, Known)> {
        while let Some(news) = self.pending.pop_front() {
            if let Some(known) = self.known.get_mut(&news) {
                known.pending = false;
                return Some((news, known.clone()));
            }
        }
        None
    }

    pub(super) fn exists(&mut self, news: &News, name: String) {
        if let Some(known) = self.known.get_mut(news) {
            known.exists = true;
            known.name = name;
        }
    }
}

impl Subject {
    pub(super) fn of(about: &ObjectReference) -> Self {
        Self {
            api_version: about.api_version.clone(),
            kind: about.kind.clone(),
            namespace: about.namespace.clone(),
            name: about.name.clone(),
            uid: about.uid.clone(),
            field_path: about.field_path.clone(),
        }
    }

    pub(super) fn to_reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            field_path: self.field_path.clone(),
            resource_version: None,
        }
    }

    /// Events live with what they are about; of objects without a namespace they live in `default`.
    pub(super) fn event_namespace(&self) -> &str {
        self.namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or("default")
    }
}
