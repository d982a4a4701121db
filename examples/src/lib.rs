//! What the examples share: pods as a table, and a directory with all that a program keeps.

// The program in README compiles.
#![cfg_attr(doctest, doc = include_str!("../../README.md"))]

pub mod data;
pub mod empty;
pub mod kernel;
pub mod network;
pub mod scope;
mod word;

use std::borrow::Borrow;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use orch_cluster::kinds::pod::is_sidecar;
use orch_cluster::kinds::pod::status::restarts;

use word::{has_sidecar, word};

/// What a program says when it ends for it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Pods as `kubectl get pods -o wide` shows them, but for those that have ended, which say so and with which code. Their
/// namespaces are a column if there is more than one.
pub fn pod_table<P: Borrow<Pod>>(pods: &[P]) -> String {
    let namespace = |pod: &P| pod.borrow().metadata.namespace.clone();
    let first = pods.first().map(namespace);
    let several = pods.iter().any(|pod| Some(namespace(pod)) != first);
    let head = ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "IP", "NODE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(pods.iter().map(|pod| row(pod.borrow())));
    let from = usize::from(!several);
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .skip(from)
            .map(|(cell, width)| format!("{cell:width$}   "));
        cells.collect::<String>().trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(pod: &Pod) -> [String; 7] {
    let sidecars = init(pod).filter(|init| is_sidecar(init)).count();
    let containers = sidecars + pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let counts = |one: &&ContainerStatus| {
        let is_init = init(pod).any(|init| init.name == one.name);
        one.ready && (!is_init || has_sidecar(pod, &one.name))
    };
    let ready = statuses(pod).filter(counts).count();
    let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| "<none>".to_owned());
    [
        text(pod.metadata.namespace.as_ref()),
        text(pod.metadata.name.as_ref()),
        format!("{ready}/{containers}"),
        word(pod),
        restarts(pod).to_string(),
        text(pod.status.as_ref().and_then(|status| status.pod_ip.as_ref())),
        text(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref())),
    ]
}

fn init(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.init_containers.iter().flatten())
}

/// How a pod's containers are, in the order in which they start.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let all = pod.status.iter().flat_map(|status| {
        [&status.init_container_statuses, &status.container_statuses]
            .into_iter()
            .flatten()
    });
    all.flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_table_says_what_a_pod_is_and_how_it_has_ended() {
        let ended = |code: i32, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason}});
        let pod = |phase: &str, state: Value| {
            json!({"phase": phase, "containerStatuses": [
            {"name": "a", "image": "i", "imageID": "", "ready": false, "restartCount": 2, "state": state}]})
        };
        let cases = [
            (json!({}), "x      0/1     Pending   0          <none>   <none>"),
            (
                pod("Running", json!({"running": {}})),
                "x      0/1     Running   2          <none>   <none>",
            ),
            (
                pod("Running", json!({"waiting": {"reason": "CrashLoopBackOff"}})),
                "x      0/1     CrashLoopBackOff   2          <none>   <none>",
            ),
            (
                pod("Running", ended(1, "OOMKilled")),
                "x      0/1     OOMKilled   2          <none>   <none>",
            ),
            (
                pod("Succeeded", ended(0, "Completed")),
                "x      0/1     Succeeded   2          <none>   <none>",
            ),
            (
                pod("Failed", ended(3, "Error")),
                "x      0/1     Failed(code 3)   2          <none>   <none>",
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted"}),
                "x      0/1     Evicted   0          <none>   <none>",
            ),
        ];
        for (status, row) in cases {
            let pod =
                json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a"}]}, "status": status});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let table = pod_table(&[pod]);
            assert_eq!(table.lines().nth(1).unwrap(), row);
        }
    }

    #[test]
    fn pods_of_several_namespaces_say_which() {
        let pod = |namespace: &str| -> Pod {
            let pod = json!({"metadata": {"name": "x", "namespace": namespace}, "spec": {"containers": [{"name": "a"}],
                "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}});
            serde_json::from_value(pod).unwrap()
        };
        let one = pod_table(&[pod("a"), pod("a")]);
        assert!(one.starts_with("NAME   READY   STATUS "), "{one}");
        let two = pod_table(&[pod("a"), pod("shop")]);
        let lines: Vec<_> = two.lines().collect();
        assert_eq!(
            lines,
            [
                "NAMESPACE   NAME   READY   STATUS    RESTARTS   IP       NODE",
                "a           x      0/2     Pending   0          <none>   <none>",
                "shop        x      0/2     Pending   0          <none>   <none>",
            ]
        );
    }
}
