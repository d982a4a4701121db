//! Hints that something changed, across engine restarts.
//!
//! The engine's stream ends without notice, and a reader that is slow loses events without being told. So each
//! subscriber has a task that reads at once, keeps up to a bound, connects again for ever, and says
//! [`RuntimeEvent::Relist`] wherever something may be missing.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::Method;
use hyper::body::Incoming;
use orch_core::runtime::{ContainerId, RuntimeEvent, SandboxId};
use orch_core::time;
use tokio::sync::{mpsc, oneshot};

use crate::driver::Driver;
use crate::engine::fault::Fault;
use crate::engine::{Engine, path, wire};
use crate::known::Entry;
use crate::labels::{Kind, POD_UID, SANDBOX, SCOPE};

/// Hints kept for a reader that is slow.
const QUEUE: usize = 1024;
/// How long a subscription waits for the engine before it goes on without.
const FIRST_CONNECT: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);
/// No event is this long.
const LINE_LIMIT: usize = 1 << 20;

impl Driver {
    pub(crate) async fn events(self: &Arc<Self>) -> BoxStream<'static, RuntimeEvent> {
        let (hints, events) = mpsc::channel(QUEUE);
        let (connected, first) = oneshot::channel();
        tokio::spawn(supervise(
            Arc::clone(self),
            Outbox { hints, missed: false },
            connected,
        ));
        // What happens after this call has returned is seen, if the engine answers.
        let _ = tokio::time::timeout(FIRST_CONNECT, first).await;
        futures::stream::unfold(events, async |mut events| Some((events.recv().await?, events))).boxed()
    }
}

/// Reads events for one subscriber until it is gone.
async fn supervise(driver: Arc<Driver>, mut outbox: Outbox, connected: oneshot::Sender<()>) {
    let mut connected = Some(connected);
    let mut pause = RETRY_FIRST;
    loop {
        let gone = outbox.hints.clone();
        let round = async {
            let filters = serde_json::json!({
                "type": ["container"],
                "label": [format!("{SCOPE}={}", driver.scope())],
            });
            match driver.subscribe(&filters).await {
                Ok(events) => {
                    // Before anything else, for whoever reads it looks at all there is.
                    if outbox.missed {
                        outbox.send(RuntimeEvent::Relist);
                    }
                    if let Some(connected) = connected.take() {
                        let _ = connected.send(());
                    }
                    pause = RETRY_FIRST;
                    if let Err(fault) = read(&driver, events, &mut outbox).await {
                        tracing::debug!(%fault, "the engine's events ended");
                    }
                }
                Err(fault) => {
                    tracing::debug!(%fault, "the engine's events are not to be had");
                    connected = None;
                }
            }
        };
        tokio::select! {
            () = round => {}
            () = gone.closed() => return,
        }
        outbox.missed = true;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = outbox.hints.closed() => return,
        }
        pause = (pause * 2).min(RETRY_MOST);
    }
}

async fn read(driver: &Driver, mut events: Subscription, outbox: &mut Outbox) -> Result<(), Fault> {
    loop {
        let event = if outbox.missed {
            // A reader that has caught up is told at once that it missed something.
            let hints = outbox.hints.clone();
            tokio::select! {
                event = events.next(&driver.engine) => event?,
                room = hints.reserve() => {
                    // None is left to tell; nothing here would ever wait again.
                    let Ok(room) = room else { return Ok(()) };
                    room.send(RuntimeEvent::Relist);
                    outbox.missed = false;
                    continue;
                }
            }
        } else {
            events.next(&driver.engine).await?
        };
        match event {
            Some(Ok(event)) => outbox.tell(driver, &event),
            Some(Err(error)) => {
                tracing::debug!(%error, "an event cannot be read");
                outbox.send(RuntimeEvent::Relist);
            }
            None => return Ok(()),
        }
    }
}

/// The engine's events from now on.
pub(crate) struct Subscription {
    body: Incoming,
    /// What was read of them, from the beginning of the next.
    read: BytesMut,
}

impl Driver {
    /// Events that pass the engine's `filters`.
    pub(crate) async fn subscribe(&self, filters: &serde_json::Value) -> Result<Subscription, Fault> {
        // The engine answers before it has subscribed; from here on it looks back as well.
        let now = time::now();
        let since = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let events = path("/events", &[("filters", &filters.to_string()), ("since", &since)]);
        let response = self.engine.open(Method::GET, &events).await?;
        Ok(Subscription {
            body: response.into_body(),
            read: BytesMut::new(),
        })
    }
}

impl Subscription {
    /// The next event, or why it cannot be read; none at their end. To be given up and called again at any time.
    pub(crate) async fn next(
        &mut self,
        engine: &Engine,
    ) -> Result<Option<Result<wire::Event, serde_json::Error>>, Fault> {
        let mut looked = 0;
        loop {
            if let Some(end) = self.read[looked..].iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(looked + end + 1);
                return Ok(Some(serde_json::from_slice(&line)));
            }
            looked = self.read.len();
            if looked > LINE_LIMIT {
                return Err(Fault::Malformed(format!(
                    "an event of more than {LINE_LIMIT} bytes"
                )));
            }
            match engine.next_bytes(&mut self.body).await? {
                Some(bytes) => self.read.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

struct Outbox {
    hints: mpsc::Sender<RuntimeEvent>,
    /// Whether the reader has still to be told to look at everything.
    missed: bool,
}

impl Outbox {
    fn tell(&mut self, driver: &Driver, event: &wire::Event) {
        if !changes_something(&event.action) {
            return;
        }
        let id = &event.actor.id;
        match driver.known.get(id) {
            Some(Entry::Container(known)) => known.forget_seen(),
            // A list may call it running for a while yet.
            Some(Entry::Sandbox(known)) if is_end(&event.action) => known.ended(),
            _ => {}
        }
        if let Some(hint) = hint(id, &event.actor.attributes, driver.scope()) {
            self.send(hint);
        }
    }

    fn send(&mut self, hint: RuntimeEvent) {
        let relist = hint == RuntimeEvent::Relist;
        // Behind a full queue, looking at everything makes up for whatever else was to be said.
        let sent = self.hints.try_send(hint).is_ok();
        if !sent {
            self.missed = true;
        } else if relist {
            self.missed = false;
        }
    }
}

/// Whether an action changes what lists show; probes alone make three of the others every few seconds.
fn changes_something(action: &str) -> bool {
    ![
        "exec_",
        "health_status",
        "attach",
        "detach",
        "resize",
        "top",
        "export",
        "archive-path",
        "extract-to-dir",
    ]
    .iter()
    .any(|prefix| action.starts_with(prefix))
}

/// Whether a container's program has ended, in Docker's word or Podman's.
fn is_end(action: &str) -> bool {
    matches!(action, "die" | "died")
}

fn hint(id: &str, labels: &wire::Labels, scope: &str) -> Option<RuntimeEvent> {
    let of = |name: &str| labels.get(name).cloned().unwrap_or_default();
    Some(match Kind::of(labels, scope)? {
        Kind::Sandbox => RuntimeEvent::Sandbox {
            id: SandboxId(id.to_owned()),
            pod_uid: of(POD_UID),
        },
        Kind::Container => RuntimeEvent::Container {
            id: ContainerId(id.to_owned()),
            sandbox: SandboxId(of(SANDBOX)),
            pod_uid: of(POD_UID),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_hinted_at() {
        for (action, changes) in [
            ("create", true),
            ("start", true),
            ("die", true),
            ("died", true),
            ("destroy", true),
            ("oom", true),
            ("something_new", true),
            ("exec_create: sh -c true", false),
            ("exec_die", false),
            ("health_status: healthy", false),
            ("resize", false),
        ] {
            assert_eq!(changes_something(action), changes, "{action}");
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_that_it_missed_something() {
        let (hints, mut events) = mpsc::channel(1);
        let mut outbox = Outbox { hints, missed: false };
        let hint = || RuntimeEvent::Sandbox {
            id: SandboxId("a".into()),
            pod_uid: "u".into(),
        };
        outbox.send(hint());
        outbox.send(hint());
        assert!(outbox.missed);
        assert_eq!(events.recv().await, Some(hint()));
        outbox.send(RuntimeEvent::Relist);
        assert!(!outbox.missed);
        assert_eq!(events.recv().await, Some(RuntimeEvent::Relist));
    }
}
