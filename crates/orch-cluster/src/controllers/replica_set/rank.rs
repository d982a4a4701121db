//! Which pods go first when there are too many: Kubernetes' `ActivePodsWithRanks`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::controllers::pod_view::{Phase, PodView};

/// Picks `count` of the active pods among `own` to delete. `siblings` are the pods of the sets that share our
/// owner, `own` included: a node that has several of them loses one first.
///
/// The order: unassigned before assigned; Pending, then Unknown, then Running; not ready before ready; lower
/// deletion cost; more siblings on the node; ready for a shorter time; more restarts; younger. Times count by
/// order of magnitude, so that among pods of about the same age no fixed end of a roll is favoured, and the
/// uid breaks ties.
pub(crate) fn victims(
    own: &[Arc<PodView>],
    siblings: &[Arc<PodView>],
    count: usize,
    now: Timestamp,
) -> Vec<Arc<PodView>> {
    let mut active: Vec<&Arc<PodView>> = own.iter().filter(|pod| pod.is_active()).collect();
    if count == 0 {
        return Vec::new();
    }
    if count < active.len() {
        let mut on_node: HashMap<&str, usize> = HashMap::new();
        for pod in siblings.iter().filter(|pod| pod.is_active()) {
            *on_node.entry(pod.node.as_deref().unwrap_or("")).or_default() += 1;
        }
        active.sort_by_cached_key(|pod| {
            let neighbours = on_node.get(pod.node.as_deref().unwrap_or("")).copied();
            order(pod, neighbours.unwrap_or(0), now)
        });
    }
    active.into_iter().take(count).cloned().collect()
}

fn order(pod: &PodView, neighbours: usize, now: Timestamp) -> impl Ord + use<> {
    (
        pod.node.is_some(),
        phase_rank(pod.phase),
        pod.ready,
        pod.deletion_cost,
        Reverse(neighbours),
        if pod.ready {
            magnitude(pod.ready_changed, now)
        } else {
            0
        },
        Reverse(pod.restarts),
        magnitude(pod.created, now),
        pod.uid.clone(),
    )
}

fn phase_rank(phase: Phase) -> u8 {
    match phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    }
}

/// The order of magnitude of an age in seconds, base two; younger is smaller, an unknown time smallest.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> u32 {
    let Some(since) = since else { return 0 };
    let seconds = u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0);
    seconds.checked_ilog2().map_or(1, |log| log + 2)
}
