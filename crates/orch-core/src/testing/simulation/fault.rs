//! What can go wrong in a simulation, and where.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// A component's way to touch the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// It reads the store: a get, a list, or the opening of a watch.
    Read,
    /// It lists what it will go on to follow by a watch, and so takes an older state as well.
    View,
    /// It writes to the store.
    Commit,
    /// A watch hands it a batch of changes.
    Watch,
    /// It calls a runtime.
    Runtime,
}

impl Call {
    pub(super) const ALL: [Self; 5] = [Self::Read, Self::View, Self::Commit, Self::Watch, Self::Runtime];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::View => "view",
            Self::Commit => "commit",
            Self::Watch => "watch",
            Self::Runtime => "runtime",
        }
    }
}

/// The `nth` call of its kind that a component makes, counted from 1 over all its lives.
///
/// Written and read as `controller/commit#12`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// The component's name.
    pub component: Arc<str>,
    /// What it does.
    pub call: Call,
    /// For the how manieth time.
    pub nth: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.component, self.call.word(), self.nth)
    }
}

impl FromStr for Point {
    type Err = UnreadableFault;

    fn from_str(text: &str) -> Result<Self, UnreadableFault> {
        let unreadable = || UnreadableFault::new(text, "expected COMPONENT/CALL#N");
        let (place, number) = text.rsplit_once('#').ok_or_else(unreadable)?;
        let (component, word) = place.rsplit_once('/').ok_or_else(unreadable)?;
        // No name has these in it.
        if component.contains(['=', '#']) {
            return Err(UnreadableFault::new(text, SPACES));
        }
        let call = Call::ALL.into_iter().find(|known| known.word() == word);
        let call = call.ok_or_else(|| {
            let calls = Call::ALL.map(Call::word).join(", ");
            UnreadableFault::new(text, format!("there is no call {word:?}; calls: {calls}"))
        })?;
        let nth = number.parse().ok().filter(|nth| *nth > 0);
        let nth = nth.ok_or_else(|| {
            UnreadableFault::new(text, format!("calls are counted from 1, found {number:?}"))
        })?;
        Ok(Self {
            component: component.into(),
            call,
            nth,
        })
    }
}

/// What happens at a [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The call takes some time, up to [`SLOW`].
    Slow,
    /// The component dies before the call has had any effect, and is started anew.
    CrashBefore,
    /// The call is done; the component dies before it learns of it, and is started anew.
    CrashAfter,
    /// The call fails, and has no effect.
    Fails,
    /// A commit has no effect, and the caller cannot know.
    Lost,
    /// The call is done, and the caller cannot know.
    Unanswered,
    /// A commit is told that another was first.
    Conflicts,
    /// A commit reaches the store late, by up to [`LATE`], also if its caller no longer waits for it; what dies takes with it
    /// what it has under way.
    Late,
    /// The list is answered as of some revisions ago: the component's view goes back in time.
    Stale,
    /// The watch ends; it can be resumed.
    Ends,
    /// The watch ends without having delivered, and what it has not delivered is gone: [`WatchError::Compacted`].
    ///
    /// [`WatchError::Compacted`]: crate::store::WatchError::Compacted
    Skips,
    /// The changes come late, by up to [`LAG`].
    Lags,
    /// The watch breaks off, and delivers again what it had delivered when it is resumed.
    Repeats,
    /// A runtime call is held up for [`HANG`] and fails then, without effect.
    Hangs,
}

/// How a step is told from a disaster.
const THEN: &str = "then#";

/// The longest that a slow call takes.
pub const SLOW: Duration = Duration::from_millis(500);

/// The latest that a late commit reaches the store: longer than a lease lasts.
pub const LATE: Duration = Duration::from_secs(40);

/// The latest that a lagging watch delivers, unless the simulation [says otherwise](super::Simulation::lag).
pub const LAG: Duration = Duration::from_secs(20);

/// How long a runtime call hangs.
pub const HANG: Duration = Duration::from_secs(120);

impl Fault {
    /// All there are.
    pub const ALL: [Self; 14] = [
        Self::Slow,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Fails,
        Self::Lost,
        Self::Unanswered,
        Self::Conflicts,
        Self::Late,
        Self::Stale,
        Self::Ends,
        Self::Skips,
        Self::Lags,
        Self::Repeats,
        Self::Hangs,
    ];

    /// Whether it can happen to such a call.
    pub fn befalls(self, call: Call) -> bool {
        use Call::{Commit, Runtime, View, Watch};
        match self {
            Self::CrashBefore => true,
            Self::Slow | Self::Fails => call != Watch,
            Self::CrashAfter | Self::Unanswered => matches!(call, Commit | Runtime),
            Self::Lost | Self::Conflicts | Self::Late => call == Commit,
            Self::Stale => call == View,
            Self::Ends | Self::Skips | Self::Lags | Self::Repeats => call == Watch,
            Self::Hangs => call == Runtime,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::Fails => "fails",
            Self::Lost => "lost",
            Self::Unanswered => "unanswered",
            Self::Conflicts => "conflicts",
            Self::Late => "late",
            Self::Stale => "stale",
            Self::Ends => "ends",
            Self::Skips => "skips",
            Self::Lags => "lags",
            Self::Repeats => "repeats",
            Self::Hangs => "hangs",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One thing that happens to a run. Written and read as `controller/commit#12=crash-after`, `node-dies#3@65000ms` or
/// `then#2:scaled@500ms`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Strike {
    /// A component's call meets a fault.
    Call(Point, Fault),
    /// A disaster happens.
    Disaster {
        /// Its name.
        name: Arc<str>,
        /// Which of its kind it is; what it hits is drawn from this.
        nth: u64,
        /// When, since the start; in whole milliseconds.
        at: Duration,
    },
    /// Users ask for a [state](super::Setup::state).
    Step {
        /// Steps are taken in this order.
        nth: u64,
        /// The state's name.
        state: Arc<str>,
        /// How long they have let the one before stand; in whole milliseconds.
        after: Duration,
    },
}

impl Strike {
    /// Up to when a run must last for it to happen, if it does not hang on a call.
    pub(super) fn instant(&self) -> Duration {
        match self {
            Self::Call(..) | Self::Step { .. } => Duration::ZERO,
            Self::Disaster { at, .. } => *at,
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(point, fault) => write!(f, "{point}={fault}"),
            Self::Disaster { name, nth, at } => write!(f, "{name}#{nth}@{}ms", at.as_millis()),
            Self::Step { nth, state, after } => write!(f, "{THEN}{nth}:{state}@{}ms", after.as_millis()),
        }
    }
}

impl FromStr for Strike {
    type Err = UnreadableFault;

    fn from_str(text: &str) -> Result<Self, UnreadableFault> {
        let unreadable = || match text.strip_suffix(',') {
            Some(_) => UnreadableFault::new(text, SPACES),
            None => UnreadableFault::new(text, SHAPES),
        };
        let number = |text: &str| text.parse().map_err(|_| unreadable());
        let timed = |text: &'_ str| {
            let (what, time) = text.rsplit_once('@')?;
            let millis = time.strip_suffix("ms")?.parse().ok()?;
            Some((what.to_owned(), Duration::from_millis(millis)))
        };
        // A state's name may hold what the others are told by.
        if let Some(step) = text.strip_prefix(THEN) {
            let (step, after) = timed(step).ok_or_else(unreadable)?;
            let (nth, state) = step.split_once(':').ok_or_else(unreadable)?;
            return Ok(Self::Step {
                nth: number(nth)?,
                state: state.into(),
                after,
            });
        }
        if let Some((point, word)) = text.rsplit_once('=') {
            let point: Point = point.parse()?;
            let faults = Fault::ALL.into_iter().filter(|fault| fault.befalls(point.call));
            if let Some(fault) = faults.clone().find(|fault| fault.word() == word) {
                return Ok(Self::Call(point, fault));
            }
            if word.ends_with(',') {
                return Err(unreadable());
            }
            let faults = faults.map(Fault::word).collect::<Vec<_>>().join(", ");
            let reason = format!(
                "{word:?} does not happen to a {} call; what does: {faults}",
                point.call.word()
            );
            return Err(UnreadableFault::new(text, reason));
        }
        let (what, at) = timed(text).ok_or_else(unreadable)?;
        let (name, nth) = what.rsplit_once('#').ok_or_else(unreadable)?;
        Ok(Self::Disaster {
            name: name.into(),
            nth: number(nth)?,
            at,
        })
    }
}

/// What stands between two of them in a line.
const SPACES: &str = "spaces stand between faults, not commas";

/// What a [`Strike`] can look like.
const SHAPES: &str = "expected COMPONENT/CALL#N=FAULT, DISASTER#N@TIMEms, or then#N:STATE@TIMEms";

/// A text that names nothing that can happen to a run, and why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is nothing that can happen: {reason}")]
pub struct UnreadableFault {
    text: String,
    reason: String,
}

impl UnreadableFault {
    fn new(text: &str, reason: impl Into<String>) -> Self {
        Self {
            text: text.to_owned(),
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "controllers/commit#12=crash-after",
            "agent/node-1/runtime#3=hangs",
            "user/view#1=stale",
            "node-dies#3@65000ms",
            "then#2:scaled-down@500ms",
            "then#2:a/commit#3=lost:x@y@500ms",
        ] {
            assert_eq!(text.parse::<Strike>().unwrap().to_string(), text);
        }
        for (text, reason) in [
            ("", SHAPES),
            ("a", SHAPES),
            ("a#1", SHAPES),
            ("a#1@5s", SHAPES),
            ("a/commit=lost", "expected COMPONENT/CALL#N"),
            ("a/commit#1=lost,b/commit#2=late", SPACES),
            ("a/commit#x=lost", "calls are counted from 1, found \"x\""),
            ("a/commit#0=lost", "calls are counted from 1, found \"0\""),
            ("a/commit#1=lost,", SPACES),
            ("a#1@5ms,", SPACES),
            (
                "a/read#1=stale",
                "\"stale\" does not happen to a read call; what does: slow, crash-before, fails",
            ),
            (
                "a/watch#1=bored",
                "\"bored\" does not happen to a watch call; what does: crash-before, ends, skips, lags, repeats",
            ),
            (
                "a/sing#1=fails",
                "there is no call \"sing\"; calls: read, view, commit, watch, runtime",
            ),
        ] {
            let unreadable = text.parse::<Strike>().unwrap_err().to_string();
            assert!(
                unreadable.ends_with(&format!(": {reason}")),
                "{text:?}: {unreadable}"
            );
        }
    }
}
