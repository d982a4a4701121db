//! Whether a Deployment can be rolled on the one node.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use orch_cluster::controllers::max_unavailable;
use orch_cluster::kinds::pod::is_sidecar;
use orch_cluster::kinds::pod::status::{POD_SCHEDULED, condition, is_deleting};

use super::state::is_well;

/// How long a roll must have stood still before it is taken back. Longer than what is ready must be so: an old pod of
/// another owner may yet free what a new one lacks, and an engine that does not answer for a moment will.
pub(crate) const STUCK: Duration = Duration::from_secs(10);

/// What helps a Deployment for which there is no room.
const HELP: &str = "with `strategy: {type: Recreate}` or `maxUnavailable: 1` it could be rolled";

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
        "its pods take host {ports} {} of the one node, so no new one fits beside an old one; {HELP}",
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
    let help = if is_for_room(&why) {
        format!("; {HELP}")
    } else {
        String::new()
    };
    Some(format!("{why}, and no old pod may go before that{help}"))
}

/// Whether the scheduler's refusal (`orch_core::scheduler::Refusal`) is for what an old pod would free.
fn is_for_room(refusal: &str) -> bool {
    [" lacks ", " lack ", " free host port"]
        .iter()
        .any(|words| refusal.contains(words))
}

/// The ports of the node that a pod takes for as long as it is there.
pub(crate) fn host_ports(spec: &PodSpec) -> BTreeSet<i32> {
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|init| is_sidecar(init));
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
    use orch_core::scheduler::{
        Effect, Engine, HostPort, Node, Request, Requirements, Resources, Scheduler, Taint,
    };
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
            let said = "0/1 nodes fit: no, and no old pod may go before that";
            assert_eq!(
                why,
                stands.then(|| said.to_owned()),
                "{unavailable} {status} {pods:?}"
            );
        }
    }

    #[test]
    fn another_strategy_helps_where_an_old_pod_has_what_a_new_one_lacks() {
        let small = || Requirements::of(Resources::new(1, 1).slots(1));
        let large = Requirements::of(Resources::new(600, 1).slots(1));
        let mut port = small();
        port.host_ports = vec![HostPort::tcp(80)];
        let taint = Taint::new("node.kubernetes.io/not-ready", "", Effect::NoSchedule);
        let refused = |needs: &Requirements, taint: Option<&Taint>| {
            let (scheduler, node) = (
                Engine::default(),
                Node::new("local", Resources::new(1000, 9).slots(9)),
            );
            scheduler.set_node(node.clone());
            scheduler.place(&Request::new("old", needs.clone())).unwrap();
            if let Some(taint) = taint {
                scheduler.set_node(node.taint(taint.clone()));
            }
            let refusal = scheduler.place(&Request::new("new", needs.clone()));
            refusal.unwrap_err().to_string()
        };
        for (needs, taint, helps) in [
            (large, None, true),
            (port, None, true),
            (small(), Some(&taint), false),
        ] {
            let refusal = refused(&needs, taint);
            assert_eq!(is_for_room(&refusal), helps, "{refusal}");
            let unfit = json!([{"type": "PodScheduled", "status": "False", "message": refusal}]);
            let spec = json!({"replicas": 1, "selector": {}, "template": {}});
            let why = stands_still(&deployment(&spec, &json!({})), &[pod(&unfit)]).unwrap();
            assert_eq!(why.ends_with(HELP), helps, "{why}");
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
