//! What components suffer from for a time: death, silence, being cut off, standing still.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::world::World;

/// What a component suffers from, and until when. Of two at once the later end counts: some of what it does waits for the first already.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    partitioned: Option<Instant>,
    frozen: Option<Instant>,
    down: Option<Instant>,
}

impl Trouble {
    fn end(&self) -> Option<Instant> {
        self.partitioned.max(self.frozen).max(self.down)
    }
}

impl World {
    /// The component begins a life; false is sent to it when it is to die.
    pub(super) fn begin_life(&self, component: &Arc<str>, alive: watch::Sender<bool>) {
        let before = self.0.lives.lock().insert(component.clone(), alive);
        self.0.has_died.fetch_or(before.is_some(), Relaxed);
    }

    /// Kills a component in the middle of whatever it does; it is started anew.
    ///
    /// If there is no such component, the run has failed; so with all that happens to one.
    pub fn crash(&self, component: &str) {
        if self.knows("crash", component) {
            self.kill(component);
        }
    }

    fn kill(&self, component: &str) {
        if let Some(alive) = self.0.lives.lock().get(component) {
            alive.send_replace(false);
        }
    }

    /// Kills a component, and starts it anew only after `time`.
    pub fn take_down(&self, component: &str, time: Duration) {
        self.trouble("take_down", component, time, |trouble| &mut trouble.down);
        self.kill(component);
    }

    /// Cuts a component off from the store for `time`: its calls fail, its watches end.
    pub fn partition(&self, component: &str, time: Duration) {
        self.trouble("partition", component, time, |trouble| &mut trouble.partitioned);
    }

    /// Moves the date, as the correction of a wrong clock does; time itself goes on as it did.
    pub fn jump_clock(&self, by: jiff::SignedDuration) {
        crate::time::shift_thread(by);
        self.note(format!("the clock jumps by {by:#}"));
    }

    /// Holds up whatever a component does for `time`, as a machine does that swaps or was suspended.
    pub fn freeze(&self, component: &str, time: Duration) {
        self.trouble("freeze", component, time, |trouble| &mut trouble.frozen);
    }

    fn trouble(
        &self,
        what: &str,
        component: &str,
        time: Duration,
        of: impl FnOnce(&mut Trouble) -> &mut Option<Instant>,
    ) {
        if !self.knows(what, component) {
            return;
        }
        let mut troubles = self.0.troubles.lock();
        let end = of(troubles.entry(component.into()).or_default());
        *end = (*end).max(Some(Instant::now() + time));
        drop(troubles);
        self.0.troubled.notify_waiters();
    }

    pub(super) fn is_cut_off(&self, component: &str) -> bool {
        self.ends(component, |trouble| trouble.partitioned).is_some()
    }

    pub(super) async fn thawed(&self, component: &str) {
        while let Some(end) = self.ends(component, |trouble| trouble.frozen) {
            tokio::time::sleep_until(end).await;
        }
    }

    pub(super) async fn up(&self, component: &str) {
        while let Some(end) = self.ends(component, |trouble| trouble.down) {
            tokio::time::sleep_until(end).await;
        }
    }

    /// Returns when no component suffers any more.
    pub(super) async fn relieved(&self) {
        loop {
            let ends = self.0.troubles.lock().values().filter_map(Trouble::end).max();
            match ends {
                Some(end) if end > Instant::now() => tokio::time::sleep_until(end).await,
                _ => return,
            }
        }
    }

    /// When a component's trouble ends, if it has not.
    fn ends(&self, component: &str, which: impl Fn(&Trouble) -> Option<Instant>) -> Option<Instant> {
        let end = which(self.0.troubles.lock().get(component)?)?;
        (end > Instant::now()).then_some(end)
    }
}
