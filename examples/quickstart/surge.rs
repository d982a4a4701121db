//! Whether a Deployment can be rolled on the one node.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use orch_cluster::controllers::max_unavailable;
use orch_cluster::kinds::pod::status::{POD_SCHEDULED, condition, is_deleting};

use super::state::is_well;

/// What helps a Deployment for which there is no room.
const HELP: &str = "strategy: Recreate, or maxUnavailable: 1, can";

/// Why no new pod of a Deployment would find room while all old ones stay, which is what its strategy asks for.
pub(crate) fn has_no_room(deployment: &Deployment) -> Option<String> {
    if max_unavailable(deployment) > 0 {
        return None;
    }
    let ports = host_ports(deployment.spec.template.spec.as_ref()?);
    if ports.is_empty() {
        return None;
    }
    let numbers: Vec<_> = ports.iter().map(i32::to_string).collect();
    let ports = if ports.len() == 1 { "port" } else { "ports" };
    Some(format!(
        "its pods take host {ports} {} of the one node, so no new one fits beside an old one ({HELP})",
        numbers.join(", ")
    ))
}

/// Why a roll has come to a stand with these pods of a Deployment: no node fits a new one, and no old one may go before
/// that is ready. None while anything of it still moves.
pub(crate) fn stands_still<P: Borrow<Pod>>(deployment: &Deployment, pods: &[P]) -> Option<String> {
    let status = deployment.status.as_ref()?;
    // Ready for less than minReadySeconds: an old one goes when that is over.
    let is_yet_to_count = status.ready_replicas != status.available_replicas;
    if max_unavailable(deployment) > 0 || is_yet_to_count {
        return None;
    }
    let unfit = |pod: &Pod| {
        let scheduled = condition(pod, POD_SCHEDULED).filter(|scheduled| scheduled.status == "False")?;
        scheduled.message.clone()
    };
    let moves = |pod: &Pod| is_deleting(pod) || (!is_well(pod) && unfit(pod).is_none());
    if pods.iter().any(|pod| moves(pod.borrow())) {
        return None;
    }
    let why = pods.iter().find_map(|pod| unfit(pod.borrow()))?;
    Some(format!("{why}, and no old pod may go before that ({HELP})"))
}

/// The ports of the node that a pod takes for as long as it is there.
fn host_ports(spec: &PodSpec) -> BTreeSet<i32> {
    let is_sidecar = |one: &&Container| one.restart_policy.as_deref() == Some("Always");
    let sidecars = spec.init_containers.iter().flatten().filter(is_sidecar);
    let on_host = spec.host_network == Some(true);
    let ports = sidecars
        .chain(&spec.containers)
        .flat_map(|one| one.ports.iter().flatten());
    ports
        .filter_map(|port| port.host_port.or_else(|| on_host.then_some(port.container_port)))
        .filter(|port| *port > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(spec: &Value, status: &Value) -> Deployment {
        serde_json::from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap()
    }

    fn pod(conditions: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {}, "status": {"conditions": conditions}})).unwrap()
    }

    #[test]
    fn a_roll_stands_still_when_a_new_pod_fits_nowhere_and_nothing_else_moves() {
        let spec = |unavailable: i32| {
            json!({"replicas": 1, "selector": {}, "template": {},
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": unavailable}}})
        };
        let status = json!({"readyReplicas": 1, "availableReplicas": 1});
        let young = json!({"readyReplicas": 1});
        let ready = pod(&json!([{"type": "Ready", "status": "True"}]));
        let coming = pod(&json!([{"type": "PodScheduled", "status": "True"}]));
        let unfit =
            pod(&json!([{"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit: no"}]));
        let mut going = ready.clone();
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        for (unavailable, status, pods, stands) in [
            (0, &status, vec![&ready, &unfit], true),
            (1, &status, vec![&ready, &unfit], false),
            (0, &young, vec![&ready, &unfit], false),
            (0, &status, vec![&ready, &coming], false),
            (0, &status, vec![&ready, &unfit, &coming], false),
            (0, &status, vec![&going, &unfit], false),
            (0, &status, vec![&ready], false),
        ] {
            let why = stands_still(&deployment(&spec(unavailable), status), &pods);
            let said = "0/1 nodes fit: no, and no old pod may go before that (strategy: ";
            assert_eq!(
                why.is_some_and(|why| why.starts_with(said)),
                stands,
                "{unavailable} {status} {pods:?}"
            );
        }
    }

    #[test]
    fn what_takes_ports_of_the_node_needs_a_strategy_that_lets_old_pods_go_first() {
        let plain = json!({"containers": [{"name": "a", "ports": [{"containerPort": 80}]}]});
        let one = json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}]}]});
        let on_host =
            json!({"hostNetwork": true, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]});
        let sidecar = json!({"containers": [{"name": "a"}], "initContainers": [
            {"name": "i", "ports": [{"containerPort": 1, "hostPort": 1}]},
            {"name": "s", "restartPolicy": "Always", "ports": [{"containerPort": 2, "hostPort": 20}, {"containerPort": 3, "hostPort": 3}]}]});
        let default = || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        let one_less =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
        let cases: [(&Value, Value, Option<&str>); 6] = [
            (&plain, default(), None),
            (
                &one,
                default(),
                Some("its pods take host port 8080 of the one node, so"),
            ),
            (&one, one_less, None),
            (&one, json!({"type": "Recreate"}), None),
            (&on_host, default(), Some("its pods take host port 80 of")),
            (&sidecar, default(), Some("its pods take host ports 3, 20 of")),
        ];
        for (pod, strategy, wanted) in cases {
            let spec =
                json!({"replicas": 1, "strategy": strategy, "selector": {}, "template": {"spec": pod}});
            let why = has_no_room(&deployment(&spec, &json!({})));
            match wanted {
                None => assert_eq!(why, None, "{spec}"),
                Some(wanted) => assert!(
                    why.as_deref().is_some_and(|why| why.starts_with(wanted)),
                    "{why:?}"
                ),
            }
        }
    }
}
