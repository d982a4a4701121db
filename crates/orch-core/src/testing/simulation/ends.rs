//! How a run comes to its end, and what is known of one that does not.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::state::State;
use super::trace::What;
use super::world::World;

/// As long as it lives, the world says that somebody waits at this place.
struct Waiting<'a> {
    world: &'a World,
    number: u64,
}

impl<'a> Waiting<'a> {
    fn at(world: &'a World, place: &'static Location<'static>) -> Self {
        let mut shared = world.shared();
        let number = shared.waits.last_key_value().map_or(0, |(last, _)| last + 1);
        shared.waits.insert(number, place);
        Self { world, number }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.world.shared().waits.remove(&self.number);
    }
}

impl World {
    /// Waits until what the store holds is as `wanted`; in virtual time, so until the simulation's
    /// [deadline](super::Simulation::deadline) if need be.
    ///
    /// # Panics
    ///
    /// If `wanted` calls the world, which waits for it meanwhile.
    #[track_caller]
    pub fn until(&self, wanted: impl Fn(&State) -> bool) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let _waiting = Waiting::at(self, place);
            loop {
                let mut moved = std::pin::pin!(self.0.moved.notified());
                moved.as_mut().enable();
                if self.look(&wanted) {
                    return;
                }
                moved.await;
            }
        }
    }

    /// From now on changes count as such that came too late to be tried.
    pub(super) fn count_later(&self) {
        self.shared().later = Some(0);
    }

    /// Takes note that a component returned.
    pub(super) fn returned(&self, component: &Arc<str>) {
        self.record(component, What::Returned, &[]);
        *self.shared().returned.entry(component.clone()).or_default() += 1;
    }

    /// Returns when nothing has changed for `quiet`, heartbeats apart.
    pub(super) async fn settled(&self, quiet: Duration) {
        {
            let mut state = self.shared();
            state.changed = Instant::now();
            state.settling = true;
        }
        loop {
            let changed = self.shared().changed;
            if changed.elapsed() >= quiet {
                return;
            }
            tokio::time::sleep_until(changed + quiet).await;
        }
    }

    /// What to say of a run that has not settled by its deadline: also what its oracles say of how far it came, and what may
    /// be the reason.
    pub(super) fn unsettled(&self, deadline: Duration) -> String {
        let mut guard = self.shared();
        let state = &mut *guard;
        let mut text = if state.settling {
            format!(
                "it had not settled after {deadline:?}: the last change was {:?} before",
                state.changed.elapsed()
            )
        } else {
            format!("the scenario had not ended after {deadline:?}")
        };
        let mut places = BTreeMap::<_, usize>::new();
        for place in state.waits.values() {
            *places.entry(place.to_string()).or_default() += 1;
        }
        for (place, count) in places {
            text.push_str(&format!("\nWorld::until waits at {place}"));
            if count > 1 {
                text.push_str(&format!(", {count} times"));
            }
        }
        for why in state.asked() {
            text.push_str(&format!("\nso far, {why}"));
        }
        for (component, count) in state.returned.iter().filter(|(_, count)| **count > 1) {
            text.push_str(&format!(
                "\nthe component {component} returned, and was started anew, {count} times: one that is to go on has something \
                 to wait for, std::future::pending() if nothing else"
            ));
        }
        text
    }
}
