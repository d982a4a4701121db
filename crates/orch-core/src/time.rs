//! The one clock: tokio's, so that `tokio::time::pause` rules object timestamps too.
//!
//! Durations and timers come from `tokio::time`; this module gives the date. It counts from an anchor, a pair
//! of a tokio instant and a date taken together, so the date moves exactly as tokio's clock moves: by itself
//! under virtual time. Where tokio's clock is the machine's, the date follows the corrections of the machine's date
//! (a network's time after the start, a lid that was closed for the night), as Kubernetes' components do.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::time::Instant;

#[derive(Clone, Copy)]
struct Anchor {
    instant: Instant,
    date: Timestamp,
}

static PROCESS: OnceLock<RwLock<Anchor>> = OnceLock::new();

thread_local! {
    static THREAD: Cell<Option<Anchor>> = const { Cell::new(None) };
}

/// The machine's clock, whatever tokio's does on the thread that asks first.
fn machine() -> Anchor {
    Anchor {
        instant: Instant::from_std(std::time::Instant::now()),
        date: Timestamp::now(),
    }
}

fn process() -> &'static RwLock<Anchor> {
    PROCESS.get_or_init(|| RwLock::new(machine()))
}

fn date_at(anchor: Anchor, instant: Instant) -> Timestamp {
    let date = if instant >= anchor.instant {
        anchor.date.checked_add(instant - anchor.instant)
    } else {
        anchor.date.checked_sub(anchor.instant - instant)
    };
    // Only reachable some eight thousand years away from the anchor.
    date.unwrap_or(Timestamp::MAX)
}

/// How far the date may be from the machine's before it is corrected, and tokio's clock from the machine's for it to
/// be the same.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The present date, by tokio's clock.
pub fn now() -> Timestamp {
    let instant = Instant::now();
    if let Some(anchor) = THREAD.get() {
        return date_at(anchor, instant);
    }
    let (anchor, machine) = (*process().read(), machine());
    if is_wrong(anchor, instant, machine) {
        *process().write() = machine;
        return date_at(machine, instant);
    }
    date_at(anchor, instant)
}

/// Whether the machine's date has left the anchor behind, while tokio's clock goes with the machine's.
fn is_wrong(anchor: Anchor, tokio: Instant, machine: Anchor) -> bool {
    let apart = |one: Instant, other: Instant| one.max(other) - one.min(other);
    let is_virtual = apart(tokio, machine.instant) > TOLERANCE;
    let wrong = date_at(anchor, machine.instant).duration_since(machine.date);
    !is_virtual && wrong.unsigned_abs() > TOLERANCE
}

/// Says that tokio's present instant is `date`, for code on this thread, until the guard is dropped.
///
/// For tests and simulations on a current-thread runtime, whose history must not depend on the day:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let start: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
/// let _guard = orch_core::time::anchor_thread(start);
/// assert_eq!(orch_core::time::now().to_string()[..10], *"2030-01-01");
/// # }
/// ```
#[must_use = "the anchor holds until the guard is dropped"]
pub fn anchor_thread(date: Timestamp) -> ThreadAnchor {
    let before = THREAD.replace(Some(Anchor {
        instant: Instant::now(),
        date,
    }));
    ThreadAnchor {
        before,
        _not_send: std::marker::PhantomData,
    }
}

/// Whether an [anchor](anchor_thread) rules the date on this thread, as in a simulation.
pub fn is_anchored() -> bool {
    THREAD.get().is_some()
}

/// Moves the date of this thread by so much, as the correction of a machine's clock does; tokio's clock goes on as it
/// did. Nothing on a thread that is not [anchored](anchor_thread): there the date is the machine's.
pub fn shift_thread(by: jiff::SignedDuration) {
    if let Some(anchor) = THREAD.get() {
        let date = anchor.date.checked_add(by).unwrap_or(anchor.date);
        THREAD.set(Some(Anchor { date, ..anchor }));
    }
}

/// Restores the thread's earlier anchor when dropped; see [`anchor_thread`].
pub struct ThreadAnchor {
    before: Option<Anchor>,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Drop for ThreadAnchor {
    fn drop(&mut self) {
        THREAD.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_date_moves_with_virtual_time() {
        let before = now();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(now().duration_since(before).as_secs(), 86_400);
    }

    #[test]
    fn the_date_follows_the_machines_unless_time_is_virtual() {
        let (start, day) = (Instant::now(), Duration::from_secs(86_400));
        let date: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let at = |instant, date| Anchor { instant, date };
        for (tokio, machine, wrong) in [
            (start, at(start, date + Duration::from_millis(900)), false),
            (start, at(start, date + day), true),
            (start, at(start, date - day), true),
            (start + day, at(start + day, date + day), false),
            (start + day, at(start, date - day), false),
        ] {
            assert_eq!(
                is_wrong(at(start, date), tokio, machine),
                wrong,
                "{tokio:?} {}",
                machine.date
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_anchor_is_exact_and_ends_with_its_guard() {
        let start: Timestamp = "2001-02-03T04:05:06Z".parse().unwrap();
        {
            let _guard = anchor_thread(start);
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(now().to_string(), "2001-02-03T04:05:16Z");
            shift_thread(jiff::SignedDuration::from_secs(-6));
            assert_eq!(now().to_string(), "2001-02-03T04:05:10Z");
        }
        assert!(now() > start + Duration::from_secs(86_400));
    }
}
