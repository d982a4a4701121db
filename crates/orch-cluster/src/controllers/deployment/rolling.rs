//! One step of a rolling update: how large the new set may become, and how small the old ones.

use super::sets::{Set, Sets};
use super::strategy::Strategy;

/// The size that the set of the present template may have now: as much of `replicas` as fits below the most
/// pods allowed. Pods that are still to go count, so that there are never more than that.
pub(super) fn new_size(sets: &Sets, strategy: Strategy, replicas: i32) -> i32 {
    let size = sets.new_set().map_or(0, |set| set.size);
    if size >= replicas {
        return replicas;
    }
    match strategy {
        Strategy::Recreate => replicas,
        Strategy::RollingUpdate { .. } => {
            let room = strategy.most(replicas) - sets.sum(Set::occupied);
            size + room.clamp(0, replicas - size)
        }
    }
}

/// Shrinks old sets as far as availability allows, and says whether it did: first by pods that are not
/// available anyway, so that a broken old set does not hold the roll up, then from the oldest on.
pub(super) fn shrink_old(sets: &mut Sets, strategy: Strategy, replicas: i32) -> bool {
    if sets.old().all(|set| set.size == 0) {
        return false;
    }
    let least = strategy.least_available(replicas);
    let total = sets.sum(|set| set.size);
    // What the new set still lacks is spent already: its pods may never come.
    let new_unavailable = sets.new_set().map_or(0, |set| set.size - set.available());
    let mut room = total - least - new_unavailable;
    if room <= 0 {
        return false;
    }
    let mut shrunk = false;
    for set in sets.old_mut() {
        let unhealthy = (set.size - set.available()).min(room);
        if unhealthy > 0 {
            set.size -= unhealthy;
            room -= unhealthy;
            shrunk = true;
        }
    }
    let mut spare = sets.sum(Set::available) - least;
    for set in sets.old_mut() {
        let fewer = set.size.min(spare);
        if fewer > 0 {
            set.size -= fewer;
            spare -= fewer;
            shrunk = true;
        }
    }
    shrunk
}
