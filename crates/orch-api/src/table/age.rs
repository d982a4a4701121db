//! How long ago something was, in two or three figures, as `duration.HumanDuration` of Kubernetes' apimachinery has it.

use jiff::{SignedDuration, Timestamp};
use orch_core::object::Document;

use super::UNKNOWN;

/// How old an object is.
pub(super) fn of(document: &Document, now: Timestamp) -> String {
    since(document.meta().creation_timestamp, now)
}

pub(super) fn since(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        Some(time) => human(now.duration_since(time)),
        None => UNKNOWN.to_owned(),
    }
}

pub(super) fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    // The smaller unit is left out where it is 0.
    let with = |count: i64, unit: &str, rest: i64, smaller: &str| match rest {
        0 => format!("{count}{unit}"),
        rest => format!("{count}{unit}{rest}{smaller}"),
    };
    // Clocks of two machines may be a second apart.
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => with(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => with(days, "d", hours % 24, "h"),
        _ if days < 365 * 2 => format!("{days}d"),
        _ if days < 365 * 8 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}
