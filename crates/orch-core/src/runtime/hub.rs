//! Hands runtime events to subscribers, bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use super::RuntimeEvent;

/// How many hints wait for one subscriber before they are replaced by [`RuntimeEvent::Relist`].
const BACKLOG: usize = 1024;

/// Fans [`RuntimeEvent`]s out to any number of subscribers, for whoever implements
/// [`Runtime::events`](super::Runtime::events).
///
/// Costs nothing without subscribers and little memory without a backlog. A subscriber that lets more than
/// 1,024 hints pile up finds a single [`RuntimeEvent::Relist`] in their place.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use futures::StreamExt;
/// use orch_core::runtime::{EventHub, RuntimeEvent};
///
/// let hub = EventHub::default();
/// let mut events = hub.subscribe();
/// hub.send(&RuntimeEvent::Relist);
/// assert_eq!(events.next().await, Some(RuntimeEvent::Relist));
/// # }
/// ```
#[derive(Debug, Default)]
pub struct EventHub {
    subscribers: Mutex<Vec<Weak<Subscriber>>>,
}

#[derive(Debug, Default)]
struct Subscriber(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<RuntimeEvent>,
    waker: Option<Waker>,
    closed: bool,
}

impl EventHub {
    /// All that is sent from now on.
    pub fn subscribe(&self) -> BoxStream<'static, RuntimeEvent> {
        let subscriber = Arc::new(Subscriber::default());
        self.subscribers.lock().push(Arc::downgrade(&subscriber));
        stream::poll_fn(move |context| {
            let mut queue = subscriber.0.lock();
            if let Some(event) = queue.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .boxed()
    }

    /// Gives the event to every subscriber. Never waits.
    pub fn send(&self, event: &RuntimeEvent) {
        self.subscribers.lock().retain(|subscriber| {
            let Some(subscriber) = subscriber.upgrade() else {
                return false;
            };
            let mut queue = subscriber.0.lock();
            if queue.events.len() >= BACKLOG {
                queue.events.clear();
                queue.events.push_back(RuntimeEvent::Relist);
            } else if queue.events.back() != Some(event) {
                queue.events.push_back(event.clone());
            }
            queue.wake();
            true
        });
    }

    /// Ends every subscriber's stream.
    pub fn close(&self) {
        for subscriber in self.subscribers.lock().drain(..) {
            if let Some(subscriber) = subscriber.upgrade() {
                let mut queue = subscriber.0.lock();
                queue.closed = true;
                queue.wake();
            }
        }
    }
}

impl Queue {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Drop for EventHub {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SandboxId;

    fn sandbox(number: usize) -> RuntimeEvent {
        RuntimeEvent::Sandbox {
            id: SandboxId(number.to_string()),
            pod_uid: String::new(),
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_is_told_to_relist() {
        let hub = EventHub::default();
        let mut slow = hub.subscribe();
        for number in 0..=BACKLOG {
            hub.send(&sandbox(number));
        }
        assert_eq!(slow.next().await, Some(RuntimeEvent::Relist));
        hub.send(&sandbox(1));
        assert_eq!(slow.next().await, Some(sandbox(1)));
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_hub_after_what_was_sent() {
        let hub = EventHub::default();
        let (events, dropped) = (hub.subscribe(), hub.subscribe());
        drop(dropped);
        hub.send(&sandbox(1));
        assert_eq!(hub.subscribers.lock().len(), 1);
        drop(hub);
        assert_eq!(events.collect::<Vec<_>>().await, [sandbox(1)]);
    }
}
