//! A value that tasks wait on, and are woken for in the order in which they began to wait.
//!
//! `tokio::sync::watch` draws that order from a source that no seed rules, so that two runs under virtual time could differ.

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Level<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Level<T> {
    pub(crate) fn get(&self) -> T {
        *self.value.lock()
    }

    /// Changes the value, and wakes whoever waits.
    pub(crate) fn set(&self, value: T) {
        *self.value.lock() = value;
        self.changed.notify_waiters();
    }

    /// Waits until `done` holds, which is asked now and after each change.
    pub(crate) async fn until(&self, mut done: impl FnMut(T) -> bool) {
        loop {
            // Before the look, so that a change in between is not slept through.
            let changed = self.changed.notified();
            if done(self.get()) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_first_is_woken_first() {
        let level = Arc::new(Level::<u32>::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (level, order) = (level.clone(), order.clone());
                tokio::spawn(async move {
                    level.until(|value| value == 2).await;
                    order.lock().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for value in [1, 2] {
            level.set(value);
            tokio::task::yield_now().await;
        }
        for task in waiting {
            task.await.unwrap();
        }
        assert!(order.lock().is_sorted(), "{:?}", order.lock());
    }
}
