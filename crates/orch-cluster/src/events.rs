//! Events: what components tell people about objects.
//!
//! A [`Recorder`] writes Kubernetes `Event` objects in the background. The same news about the same object
//! bumps a count instead of making another object, and an object that is talked about too much is not talked
//! about for a while. Losing an event is allowed; slowing down who records it is not.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use orch_core::client::{ApiError, Client, DeleteParams, ListParams, Patch};
use orch_core::time;
use parking_lot::Mutex;

/// How long news waits, so that repetitions become one write.
const FLUSH_DELAY: Duration = Duration::from_millis(500);
/// How many different pieces of news are remembered, to count repetitions.
const KNOWN_MAX: usize = 4_096;
/// How many pieces of news may wait to be written; more are dropped.
const PENDING_MAX: usize = 4_096;
/// How many events one object may have in a burst, and after how long it may have one more (client-go's spam
/// filter).
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
/// How often a name that is taken is replaced by the next.
const NAME_ATTEMPTS: u64 = 8;

/// Writes events about objects, on behalf of one component; cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// use k8s_openapi::api::core::v1::{Event, Pod};
/// use orch_cluster::events::{Recorder, reference};
/// use orch_core::client::{Client, ListParams};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// # let client = Client::new(Arc::new(orch_core::store::MemoryStore::new()));
/// # let pod: Pod = serde_json::from_str(r#"{"metadata": {"name": "web", "namespace": "default"}}"#).unwrap();
/// let recorder = Recorder::new(client.clone(), "my-controller", "");
/// recorder.normal(&reference(&pod), "Scaled", "Scaled up to 3");
/// recorder.normal(&reference(&pod), "Scaled", "Scaled up to 3");
/// recorder.flush().await;
///
/// let events = client.api::<Event>("default").list(&ListParams::default()).await?.items;
/// assert_eq!(events.len(), 1);
/// assert_eq!(events[0].count, Some(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    component: String,
    host: String,
    state: Mutex<State>,
    /// Held while writing, so that each piece of news is written by one task at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<News, Known>,
    /// In the order in which they were first heard, to forget the oldest.
    order: VecDeque<News>,
    pending: VecDeque<News>,
    budgets: HashMap<Subject, Budget>,
    last_nanos: i128,
    flushing: bool,
}

/// What is said, of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct News {
    subject: Arc<Subject>,
    warning: bool,
    reason: String,
    message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Subject {
    api_version: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field_path: Option<String>,
}

#[derive(Clone, Debug)]
struct Known {
    name: String,
    count: i32,
    first: Timestamp,
    last: Timestamp,
    exists: bool,
    pending: bool,
}

#[derive(Debug)]
struct Budget {
    tokens: f64,
    at: Timestamp,
}

/// A reference to an object, for events about it.
pub fn reference<K>(object: &K) -> ObjectReference
where
    K: Metadata<Ty = ObjectMeta>,
{
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

impl Recorder {
    /// A recorder for `component` (`kubelet`, `deployment-controller`), on `host` where that says something.
    pub fn new(client: Client, component: impl Into<String>, host: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            client,
            component: component.into(),
            host: host.into(),
            state: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Tells what went as it should. Returns at once; written soon.
    pub fn normal(&self, about: &ObjectReference, reason: impl Into<String>, message: impl Into<String>) {
        self.record(about, false, reason.into(), message.into());
    }

    /// Tells what somebody should look at. Returns at once; written soon.
    pub fn warning(&self, about: &ObjectReference, reason: impl Into<String>, message: impl Into<String>) {
        self.record(about, true, reason.into(), message.into());
    }

    fn record(&self, about: &ObjectReference, warning: bool, reason: String, message: String) {
        // Without a tokio runtime nothing can be written, nor is there anything to tell about.
        let Ok(handle) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let subject = Arc::new(Subject::of(about));
        let news = News {
            subject,
            warning,
            reason,
            message,
        };
        let mut state = self.0.state.lock();
        if state.hear(news, time::now()) && !state.flushing {
            state.flushing = true;
            let recorder = self.clone();
            handle.spawn(async move { recorder.flush_soon().await });
        }
    }

    async fn flush_soon(&self) {
        loop {
            tokio::time::sleep(FLUSH_DELAY).await;
            self.flush().await;
            let mut state = self.0.state.lock();
            if state.pending.is_empty() {
                state.flushing = false;
                return;
            }
        }
    }

    /// Writes what waits, now.
    pub async fn flush(&self) {
        let _writing = self.0.writing.lock().await;
        loop {
            let next = self.0.state.lock().take();
            let Some((news, known)) = next else { return };
            if let Err(error) = self.write(&news, &known).await {
                tracing::debug!(reason = news.reason, %error, "an event is lost");
            }
        }
    }

    async fn write(&self, news: &News, known: &Known) -> Result<(), ApiError> {
        let events = self.0.client.api::<Event>(news.subject.event_namespace());
        if known.exists {
            let patch = serde_json::json!({
                "count": known.count,
                "lastTimestamp": Time(seconds(known.last)),
            });
            match events.patch(&known.name, &Patch::Merge(patch)).await {
                Err(ApiError::NotFound(_)) => {}
                written => return written.map(drop),
            }
        }
        let mut known = known.clone();
        for _ in 0..NAME_ATTEMPTS {
            match events.create(&self.event(news, &known)).await {
                // Another recorder spoke of the same object at the same instant.
                Err(ApiError::AlreadyExists(_)) => {
                    known.name = self.0.state.lock().name(&news.subject, known.last)
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    self.0.state.lock().exists(news, known.name);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn event(&self, news: &News, known: &Known) -> Event {
        let subject = &news.subject;
        let host = Some(self.0.host.clone()).filter(|host| !host.is_empty());
        Event {
            metadata: ObjectMeta {
                name: Some(known.name.clone()),
                namespace: Some(subject.event_namespace().to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: subject.to_reference(),
            type_: Some(if news.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(news.reason.clone()),
            message: Some(news.message.clone()),
            count: Some(known.count),
            first_timestamp: Some(Time(seconds(known.first))),
            last_timestamp: Some(Time(seconds(known.last))),
            source: Some(EventSource {
                component: Some(self.0.component.clone()),
                host: host.clone(),
            }),
            reporting_component: Some(self.0.component.clone()),
            reporting_instance: host,
            ..Event::default()
        }
    }
}

impl State {
    /// Takes news in; false if it is dropped.
    fn hear(&mut self, news: News, now: Timestamp) -> bool {
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

    fn may_speak(&mut self, subject: &Subject, now: Timestamp) -> bool {
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
    fn name(&mut self, subject: &Subject, now: Timestamp) -> String {
        self.last_nanos = now.as_nanosecond().max(self.last_nanos + 1);
        format!(
            "{}.{:x}",
            subject.name.as_deref().unwrap_or("object"),
            self.last_nanos
        )
    }

    fn take(&mut self) -> Option<(News, Known)> {
        while let Some(news) = self.pending.pop_front() {
            if let Some(known) = self.known.get_mut(&news) {
                known.pending = false;
                return Some((news, known.clone()));
            }
        }
        None
    }

    fn exists(&mut self, news: &News, name: String) {
        if let Some(known) = self.known.get_mut(news) {
            known.exists = true;
            known.name = name;
        }
    }
}

impl Subject {
    fn of(about: &ObjectReference) -> Self {
        Self {
            api_version: about.api_version.clone(),
            kind: about.kind.clone(),
            namespace: about.namespace.clone(),
            name: about.name.clone(),
            uid: about.uid.clone(),
            field_path: about.field_path.clone(),
        }
    }

    fn to_reference(&self) -> ObjectReference {
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
    fn event_namespace(&self) -> &str {
        self.namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or("default")
    }
}

/// A time as an event holds it.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Deletes events whose news is older than `keep` (Kubernetes keeps them an hour). Returns how many.
pub async fn expire_events(client: &Client, keep: Duration) -> Result<usize, ApiError> {
    const PAGE: usize = 500;
    let oldest = time::now().checked_sub(keep).unwrap_or(Timestamp::MIN);
    let mut params = ListParams::default().limit(PAGE);
    let mut expired = BTreeSet::new();
    loop {
        let page = client.all::<Event>().list(&params).await?;
        expired.extend(
            page.items
                .into_iter()
                .filter(|event| last_said(event) < oldest)
                .map(|event| {
                    (
                        event.metadata.namespace.unwrap_or_default(),
                        event.metadata.name.unwrap_or_default(),
                    )
                }),
        );
        match page.continue_token {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    for (namespace, name) in &expired {
        match client
            .api::<Event>(namespace)
            .delete(name, &DeleteParams::default())
            .await
        {
            Ok(_) | Err(ApiError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(expired.len())
}

fn last_said(event: &Event) -> Timestamp {
    let last = event
        .last_timestamp
        .as_ref()
        .or(event.metadata.creation_timestamp.as_ref());
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|at| at.0);
    let new_form = event.event_time.as_ref().map(|at| at.0);
    series
        .or(last.map(|at| at.0))
        .or(new_form)
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use orch_core::store::MemoryStore;

    fn client() -> Client {
        Client::new(Arc::new(MemoryStore::new()))
    }

    fn pod(name: &str) -> ObjectReference {
        reference(&Pod {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("shop".to_owned()),
                uid: Some("u".to_owned()),
                ..ObjectMeta::default()
            },
            ..Pod::default()
        })
    }

    async fn events(client: &Client) -> Vec<Event> {
        client
            .all::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_news_is_one_event_that_counts() {
        let client = client();
        let recorder = Recorder::new(client.clone(), "kubelet", "n1");
        for _ in 0..3 {
            recorder.warning(&pod("web"), "BackOff", "Back-off restarting");
            recorder.normal(&pod("web"), "Pulled", "present");
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        let mut events = events(&client).await;
        events.sort_by_key(|event| event.reason.clone());
        assert_eq!(events.len(), 2);
        let event = &events[0];
        assert_eq!((event.count, event.type_.as_deref()), (Some(3), Some("Warning")));
        assert_eq!(
            (
                event.involved_object.kind.as_deref(),
                event.metadata.namespace.as_deref()
            ),
            (Some("Pod"), Some("shop"))
        );
        let (first, last) = (
            event.first_timestamp.as_ref().unwrap(),
            event.last_timestamp.as_ref().unwrap(),
        );
        assert_eq!(last.0.duration_since(first.0).as_secs(), 20);
        assert_eq!(event.source.as_ref().unwrap().host.as_deref(), Some("n1"));
    }

    #[tokio::test(start_paused = true)]
    async fn too_much_about_one_object_is_left_out_and_others_are_heard() {
        let client = client();
        let recorder = Recorder::new(client.clone(), "kubelet", "n1");
        for number in 0..100 {
            recorder.normal(&pod("loud"), "Talk", format!("news {number}"));
        }
        recorder.normal(&pod("quiet"), "Talk", "one");
        recorder.flush().await;
        assert_eq!(events(&client).await.len(), 26);
        tokio::time::sleep(REFILL * 2).await;
        for number in 0..10 {
            recorder.normal(&pod("loud"), "Talk", format!("later news {number}"));
        }
        recorder.flush().await;
        assert_eq!(events(&client).await.len(), 28);
    }

    #[tokio::test(start_paused = true)]
    async fn recorders_that_speak_at_the_same_instant_both_are_heard() {
        let client = client();
        let recorders = [
            Recorder::new(client.clone(), "a", ""),
            Recorder::new(client.clone(), "b", ""),
        ];
        for recorder in &recorders {
            recorder.normal(&pod("web"), "Same", "same");
        }
        for recorder in &recorders {
            recorder.flush().await;
        }
        assert_eq!(events(&client).await.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_somebody_deleted_is_written_anew() {
        let client = client();
        let recorder = Recorder::new(client.clone(), "a", "");
        recorder.normal(&pod("web"), "Same", "same");
        recorder.flush().await;
        let name = events(&client).await[0].metadata.name.clone().unwrap();
        client
            .api::<Event>("shop")
            .delete(&name, &DeleteParams::default())
            .await
            .unwrap();
        recorder.normal(&pod("web"), "Same", "same");
        recorder.flush().await;
        assert_eq!(events(&client).await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn old_events_go() {
        let client = client();
        let recorder = Recorder::new(client.clone(), "a", "");
        recorder.normal(&pod("web"), "Old", "old");
        recorder.flush().await;
        tokio::time::sleep(Duration::from_secs(3000)).await;
        recorder.normal(&pod("web"), "New", "new");
        recorder.flush().await;
        let hour = Duration::from_secs(3600);
        assert_eq!(expire_events(&client, hour).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(expire_events(&client, hour).await.unwrap(), 1);
        assert_eq!(events(&client).await[0].reason.as_deref(), Some("New"));
    }
}
