//! The work queue: each key once, never at two workers at the same time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::object::ObjectKey;

/// Keys waiting to be worked on, now or later.
///
/// A key that is added while it waits is not queued twice; one added while it is worked on is queued again
/// when that work is [done](Self::done). So a key's work is never doubled, never concurrent and never lost, and
/// the queue is no longer than there are objects.
#[derive(Debug, Default)]
pub struct WorkQueue {
    state: Mutex<State>,
    /// Rung when something became ready, or the queue closed.
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<ObjectKey>,
    keys: HashMap<ObjectKey, Key>,
    /// Keys to add later; an entry counts only if the key's `due` agrees.
    later: BinaryHeap<Reverse<(Instant, u64, ObjectKey)>>,
    due: HashMap<ObjectKey, Instant>,
    sequence: u64,
    working: usize,
    closed: bool,
}

#[derive(Debug)]
struct Key {
    queued_at: Instant,
    /// Waits in `ready`, or is to when the present work is done.
    wanted: bool,
}

impl WorkQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a key, unless it waits already.
    pub fn add(&self, key: ObjectKey) {
        let mut state = self.state.lock();
        let rang = state.add(key, Instant::now());
        drop(state);
        if rang {
            self.ready.notify_one();
        }
    }

    /// Queues a key after `delay`; never, if that is beyond what the clock can tell. If it is to be queued later
    /// already, the last word counts.
    pub fn add_after(&self, key: ObjectKey, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let mut state = self.state.lock();
        let Some(due) = Instant::now().checked_add(delay) else {
            state.due.remove(&key);
            return;
        };
        let sequence = state.sequence;
        state.sequence += 1;
        state.due.insert(key.clone(), due);
        state.later.push(Reverse((due, sequence, key)));
        state.forget_outdated();
        drop(state);
        // A worker that sleeps until a later moment must look again.
        self.ready.notify_one();
    }

    /// Waits for a key to work on; none once the queue is closed. Say [`done`](Self::done) afterwards.
    ///
    /// With the key comes how long it waited.
    pub async fn next(&self) -> Option<(ObjectKey, Duration)> {
        loop {
            let notified = self.ready.notified();
            let due = {
                let mut state = self.state.lock();
                if state.closed {
                    return None;
                }
                let now = Instant::now();
                state.promote(now);
                if let Some(found) = state.take(now) {
                    let more = !state.ready.is_empty();
                    drop(state);
                    if more {
                        // Rings can be merged; pass on what this one may have stood for.
                        self.ready.notify_one();
                    }
                    return Some(found);
                }
                state.later.peek().map(|Reverse((due, ..))| *due)
            };
            match due {
                Some(due) => tokio::select! {
                    biased;
                    () = notified => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => notified.await,
            }
        }
    }

    /// Ends the work on a key; if it was added meanwhile it is queued again.
    pub fn done(&self, key: &ObjectKey) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(entry) = state.keys.get_mut(key) else {
            return;
        };
        state.working = state.working.saturating_sub(1);
        if entry.wanted {
            entry.queued_at = Instant::now();
            state.ready.push_back(key.clone());
            drop(guard);
            self.ready.notify_one();
        } else {
            state.keys.remove(key);
        }
    }

    /// Ends all waiting, now and from now on.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    /// How many keys wait to be worked on now.
    pub fn depth(&self) -> usize {
        self.state.lock().ready.len()
    }

    /// How many keys are being worked on.
    pub fn working(&self) -> usize {
        self.state.lock().working
    }

    /// How many keys are to be queued later.
    pub fn delayed(&self) -> usize {
        self.state.lock().due.len()
    }
}

impl State {
    /// Whether the key became ready.
    fn add(&mut self, key: ObjectKey, now: Instant) -> bool {
        if let Some(entry) = self.keys.get_mut(&key) {
            entry.wanted = true;
            return false;
        }
        self.keys.insert(
            key.clone(),
            Key {
                queued_at: now,
                wanted: true,
            },
        );
        self.ready.push_back(key);
        true
    }

    /// Queues what has become due.
    fn promote(&mut self, now: Instant) {
        while let Some(Reverse((due, _, key))) = self.later.peek() {
            let counts = self.due.get(key) == Some(due);
            if counts && *due > now {
                return;
            }
            let Some(Reverse((_, _, key))) = self.later.pop() else {
                return;
            };
            if counts {
                self.due.remove(&key);
                self.add(key, now);
            }
        }
    }

    /// Keeps `later` in proportion to the keys in it, however often each was put off.
    fn forget_outdated(&mut self) {
        const SPARE: usize = 64;
        if self.later.len() > 2 * self.due.len() + SPARE {
            let due = &self.due;
            self.later
                .retain(|Reverse((at, _, key))| due.get(key) == Some(at));
        }
    }

    fn take(&mut self, now: Instant) -> Option<(ObjectKey, Duration)> {
        let key = self.ready.pop_front()?;
        self.working += 1;
        let entry = self.keys.get_mut(&key)?;
        entry.wanted = false;
        Some((key, now.saturating_duration_since(entry.queued_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_put_off_ever_again_takes_no_more_room_and_comes_once() {
        let queue = WorkQueue::new();
        let key = ObjectKey::new(None, "one");
        for seconds in 0..10_000 {
            queue.add_after(key.clone(), Duration::from_secs(300 + seconds % 7));
        }
        assert!(queue.state.lock().later.len() < 100);
        let (next, _) = queue.next().await.unwrap();
        assert_eq!(next, key);
        queue.done(&key);
        assert_eq!((queue.depth(), queue.delayed()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_put_off_for_ever_is_not_queued_and_can_be_again() {
        let queue = WorkQueue::new();
        let key = ObjectKey::new(None, "one");
        queue.add_after(key.clone(), Duration::from_secs(1));
        queue.add_after(key.clone(), Duration::MAX);
        assert_eq!(queue.delayed(), 0);
        queue.add_after(key.clone(), Duration::from_secs(2));
        assert_eq!(queue.next().await.unwrap().0, key);
    }
}
