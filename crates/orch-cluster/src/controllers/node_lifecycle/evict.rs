//! When a pod must leave a tainted node.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::scheduling::tolerates;

/// Whether and when a pod is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It may stay.
    Never,
    /// It must go when this time has passed; zero means now.
    In(Duration),
}

/// What the `NoExecute` taints of its node mean for a pod with these tolerations: a taint that is not
/// tolerated evicts at once, one tolerated for `tolerationSeconds` that long after it was added.
pub(crate) fn eviction(taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Eviction {
    let mut eviction = Eviction::Never;
    for taint in taints.iter().filter(|taint| taint.effect == "NoExecute") {
        let matching = tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint));
        // Of several tolerations the shortest counts; one without a limit limits nothing.
        let mut limits = matching
            .map(|toleration| toleration.toleration_seconds)
            .peekable();
        if limits.peek().is_none() {
            return Eviction::In(Duration::ZERO);
        }
        let Some(limit) = limits.flatten().min() else {
            continue;
        };
        let limit = Duration::from_secs(u64::try_from(limit).unwrap_or(0));
        let since = taint.time_added.as_ref().map_or(now, |time| time.0);
        let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let left = limit.saturating_sub(passed);
        eviction = match eviction {
            Eviction::In(sooner) if sooner <= left => eviction,
            _ => Eviction::In(left),
        };
    }
    eviction
}
