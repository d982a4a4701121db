//! What the examples share: pods as a table.

// The program in README compiles.
#![cfg_attr(doctest, doc = include_str!("../../README.md"))]

use std::borrow::Borrow;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use orch_cluster::kinds::pod::status::{is_deleting, phase, restarts};

/// Pods as `kubectl get pods -o wide` shows them, but for those that have ended, which say so and with which code.
pub fn pod_table<P: Borrow<Pod>>(pods: &[P]) -> String {
    let mut rows = vec![["NAME", "READY", "STATUS", "RESTARTS", "IP", "NODE"].map(str::to_owned)];
    rows.extend(pods.iter().map(|pod| row(pod.borrow())));
    let widths: Vec<usize> = (0..6)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}   "));
        cells.collect::<String>().trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(pod: &Pod) -> [String; 6] {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let ready = statuses.iter().filter(|status| status.ready).count();
    let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| "<none>".to_owned());
    [
        text(pod.metadata.name.as_ref()),
        format!("{ready}/{containers}"),
        word(pod),
        restarts(pod).to_string(),
        text(pod.status.as_ref().and_then(|status| status.pod_ip.as_ref())),
        text(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref())),
    ]
}

/// The word in the STATUS column: how it has ended, else the first trouble there is, else the phase.
fn word(pod: &Pod) -> String {
    if is_deleting(pod) {
        return "Terminating".to_owned();
    }
    if let Some(reason) = pod.status.as_ref().and_then(|status| status.reason.clone()) {
        return reason;
    }
    match phase(pod) {
        "Succeeded" => return "Succeeded".to_owned(),
        "Failed" => {
            return exit_code(pod).map_or_else(|| "Failed".to_owned(), |code| format!("Failed(code {code})"));
        }
        _ => {}
    }
    let trouble = statuses(pod)
        .filter_map(|one| one.state.as_ref())
        .find_map(|state| {
            let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
            let failed = state.terminated.as_ref().filter(|ended| ended.exit_code != 0);
            waiting.or_else(|| failed.and_then(|ended| ended.reason.clone()))
        });
    trouble.unwrap_or_else(|| match phase(pod) {
        "" => "Pending".to_owned(),
        phase => phase.to_owned(),
    })
}

/// The code of the first container that has failed.
fn exit_code(pod: &Pod) -> Option<i32> {
    statuses(pod).find_map(|one| {
        let code = one.state.as_ref()?.terminated.as_ref()?.exit_code;
        (code != 0).then_some(code)
    })
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
}
