//! Revisions: which set is the how-manieth, what annotations say so, and which old sets are kept.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{Set, Sets, spec_replicas};
use super::strategy::{Strategy, replicas};
use crate::controllers::Labels;

/// Which revision a set is; on the Deployment, the present one.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The revisions a set was before it became the newest again, comma separated.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// `spec.replicas` of the Deployment when the set was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// That plus the surge.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Longest value of [`HISTORY`]; older entries are dropped beyond it.
const HISTORY_BYTES: usize = 2000;

/// Annotations that belong to one object and are not handed from a Deployment to its sets.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The revision in an object's annotations; 0 where there is none.
pub(super) fn revision_of(annotations: Option<&Labels>) -> i64 {
    let value = annotations.and_then(|annotations| annotations.get(REVISION));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The revision the set of the present template has or gets: one more than the highest of the others.
pub(super) fn newest(sets: &Sets) -> i64 {
    let highest = sets
        .old()
        .map(|set| revision_of(set.object.metadata.annotations.as_ref()));
    highest.max().unwrap_or(0).saturating_add(1)
}

/// The annotations that the set of the present template lacks: those of the Deployment, and its revision.
pub(super) fn missing(deployment: &Deployment, set: Option<&Set>, revision: i64) -> Labels {
    let own = deployment.metadata.annotations.iter().flatten();
    let mut wanted: Labels = own
        .filter(|(key, _)| !OWN.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let before = set.map_or(0, |set| revision_of(set.object.metadata.annotations.as_ref()));
    if before < revision {
        wanted.insert(REVISION.to_owned(), revision.to_string());
        if let Some(set) = set.filter(|_| before > 0) {
            wanted.insert(HISTORY.to_owned(), history(set.annotation(HISTORY), before));
        }
    }
    wanted.retain(|key, value| set.and_then(|set| set.annotation(key)) != Some(value));
    wanted
}

fn history(so_far: Option<&str>, revision: i64) -> String {
    let mut text = match so_far {
        Some(so_far) if !so_far.is_empty() => format!("{so_far},{revision}"),
        _ => revision.to_string(),
    };
    while text.len() > HISTORY_BYTES {
        let Some((_, rest)) = text.split_once(',') else {
            break;
        };
        text = rest.to_owned();
    }
    text
}

/// The annotations about size that a set of this Deployment must bear.
pub(super) fn size_annotations(deployment: &Deployment) -> [(&'static str, String); 2] {
    let replicas = replicas(deployment);
    let most = replicas.saturating_add(match Strategy::of(deployment) {
        Strategy::RollingUpdate { surge, .. } => surge,
        Strategy::Recreate => 0,
    });
    [(DESIRED, replicas.to_string()), (MAX, most.to_string())]
}

/// The old sets beyond `spec.revisionHistoryLimit` (10), lowest revision first. A set that has or may come to
/// have pods is kept.
pub(super) fn beyond_limit(deployment: &Deployment, sets: &Sets) -> Vec<Arc<ReplicaSet>> {
    let limit = deployment.spec.revision_history_limit;
    let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
    let mut old: Vec<&Set> = sets
        .old()
        .filter(|set| set.object.metadata.deletion_timestamp.is_none())
        .collect();
    old.sort_by_key(|set| revision_of(set.object.metadata.annotations.as_ref()));
    let beyond = old.len().saturating_sub(limit);
    old.into_iter()
        .take(beyond)
        .filter(|set| is_empty_for_good(set))
        .map(|set| Arc::clone(&set.object))
        .collect()
}

fn is_empty_for_good(set: &Set) -> bool {
    set.occupied() == 0 && spec_replicas(&set.object) == 0 && set.is_observed()
}
