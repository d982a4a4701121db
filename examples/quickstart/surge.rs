//! Whether a Deployment can be rolled on the one node.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use orch_cluster::controllers::max_unavailable;

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
        "its pods take host {ports} {} of the one node, so no new one fits beside an old one (strategy: Recreate, or \
         maxUnavailable: 1, can)",
        numbers.join(", ")
    ))
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
            let deployment = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
            let why = has_no_room(&deployment);
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
