//! The taints that follow from a node's conditions.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::view::NodeView;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, the status that calls for a taint, the taint.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
];

/// The node's taints as they should be, if they differ: those of others stay, ours follow the conditions. Each
/// that evicts says since when.
///
/// `all_down` says whether no node is ready: then it is more likely that this controller is cut off than that
/// all nodes are dead, and nothing is evicted (Kubernetes' full disruption mode). It is asked of a node that is not
/// ready alone.
pub(crate) fn taints(node: &NodeView, all_down: impl Fn() -> bool, now: Timestamp) -> Option<Vec<Taint>> {
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (type_, status, key) in BY_CONDITION {
        if node
            .condition(type_)
            .is_some_and(|condition| condition.status == status)
        {
            wanted.push((key, "NoSchedule"));
            if type_ == "Ready" && !all_down() {
                wanted.push((key, "NoExecute"));
            }
        }
    }
    if node.unschedulable {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let mut taints: Vec<Taint> = Vec::new();
    for taint in &node.taints {
        let is_wanted = |(key, effect): &(&str, &str)| *key == taint.key && *effect == taint.effect;
        if let Some(at) = wanted.iter().position(is_wanted) {
            wanted.swap_remove(at);
            taints.push(taint.clone());
        } else if !is_ours(taint) {
            taints.push(taint.clone());
        }
    }
    taints.extend(wanted.into_iter().map(|(key, effect)| Taint {
        key: key.to_owned(),
        effect: effect.to_owned(),
        value: None,
        time_added: Some(Time(now)),
    }));
    // `tolerationSeconds` count from then, and a user's taint (`kubectl taint`, a manifest) need not say it.
    for taint in taints.iter_mut().filter(|taint| taint.effect == "NoExecute") {
        taint.time_added.get_or_insert(Time(now));
    }
    (taints != node.taints).then_some(taints)
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key);
    match taint.effect.as_str() {
        "NoSchedule" => by_condition || taint.key == UNSCHEDULABLE,
        "NoExecute" => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}
