//! Scaling a Deployment that is not rolling forward: paused, or resized in the middle of a roll.

use k8s_openapi::api::apps::v1::Deployment;

use super::revision::{DESIRED, MAX};
use super::sets::{Set, Sets};
use super::strategy::{Strategy, replicas};

/// Whether `spec.replicas` has changed since the sets that have pods were last scaled.
pub(super) fn was_resized(deployment: &Deployment, sets: &Sets) -> bool {
    let wanted = replicas(deployment);
    sets.all().iter().filter(|set| set.size > 0).any(|set| {
        let noted = set
            .annotation(DESIRED)
            .and_then(|noted| noted.parse::<i32>().ok());
        noted.is_some_and(|noted| noted != wanted)
    })
}

/// Brings the sets to the Deployment's size: the only one that counts gets all of it; in the middle of a roll
/// every set gets its share, so that the risk of the roll stays spread (Kubernetes' `scale`).
pub(super) fn resize(deployment: &Deployment, sets: &mut Sets) {
    let wanted = replicas(deployment);
    if let Some(only) = active_or_latest(sets) {
        sets.all_mut()[only].size = wanted;
    } else if is_saturated(deployment, sets) {
        sets.old_mut().for_each(|set| set.size = 0);
    } else if let strategy @ Strategy::RollingUpdate { .. } = Strategy::of(deployment) {
        share(deployment, sets, strategy.most(wanted) - sets.sum(|set| set.size));
    }
}

/// The index of the one set with pods; where none has any, of the newest. None if several have.
fn active_or_latest(sets: &Sets) -> Option<usize> {
    let mut active = (0..sets.all().len()).filter(|at| sets.all()[*at].size > 0);
    match (active.next(), active.next()) {
        (Some(only), None) => Some(only),
        (Some(_), Some(_)) => None,
        (None, _) => sets.new_index().or_else(|| sets.all().len().checked_sub(1)),
    }
}

fn is_saturated(deployment: &Deployment, sets: &Sets) -> bool {
    let wanted = replicas(deployment);
    sets.new_set().is_some_and(|set| {
        let noted = set
            .annotation(DESIRED)
            .and_then(|noted| noted.parse::<i32>().ok());
        set.size == wanted && noted == Some(wanted) && set.available() == wanted
    })
}

/// Spreads `change` pods over the sets that have any, by their size; what rounding leaves goes to the largest.
fn share(deployment: &Deployment, sets: &mut Sets, change: i32) {
    let mut order: Vec<usize> = (0..sets.all().len())
        .filter(|at| sets.all()[*at].size > 0)
        .collect();
    // The largest first; of equals the newer grows first and the older shrinks first.
    order.sort_by_key(|at| {
        let age = i64::try_from(*at).unwrap_or(i64::MAX);
        (-sets.all()[*at].size, if change > 0 { -age } else { age })
    });
    let mut left = change;
    for at in &order {
        let fraction = fraction(deployment, &sets.all()[*at]);
        let part = if change > 0 {
            fraction.clamp(0, left)
        } else {
            fraction.clamp(left, 0)
        };
        left -= part;
        sets.all_mut()[*at].size += part;
    }
    if let Some(first) = order.first() {
        let first = &mut sets.all_mut()[*first];
        first.size = (first.size + left).max(0);
    }
}

/// By how much the set grows if it keeps its part of the whole.
fn fraction(deployment: &Deployment, set: &Set) -> i32 {
    let wanted = replicas(deployment);
    if wanted == 0 {
        return -set.size;
    }
    let most = i64::from(Strategy::of(deployment).most(wanted));
    let noted = set.annotation(MAX).and_then(|noted| noted.parse::<i64>().ok());
    let status = deployment.status.as_ref().and_then(|status| status.replicas);
    let before = noted
        .filter(|noted| *noted > 0)
        .unwrap_or(i64::from(status.unwrap_or(0)));
    if before <= 0 {
        return 0;
    }
    // Rounded to the nearest; both factors are at most 2^31, so the product fits.
    let size = (2 * i64::from(set.size) * most + before) / (2 * before);
    i32::try_from(size).unwrap_or(i32::MAX) - set.size
}
