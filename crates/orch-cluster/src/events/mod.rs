//! Events: what components tell people about objects.
//!
//! A [`Recorder`] writes Kubernetes `Event` objects in the background. The same news about the same object
//! bumps a count instead of making another object, and an object that is talked about too much is not talked
//! about for a while. Losing an event is allowed; slowing down who records it is not.

mod expire;
mod news;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use orch_core::client::{ApiError, Client, Patch};
use orch_core::time;
use parking_lot::Mutex;

pub use self::expire::expire_events;
use self::news::{Known, News, State, Subject};

/// How long news waits, so that repetitions become one write.
const FLUSH_DELAY: Duration = Duration::from_millis(500);
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
                    known.name = self.0.state.lock().name(&news.subject, known.last);
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

/// A time as an event holds it.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
