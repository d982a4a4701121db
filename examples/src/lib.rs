//! What the examples share: pods as a table, and waiting for a cache to show something.

use std::borrow::Borrow;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::Cache;
use tokio::sync::Notify;

/// Waits until `done`, which is asked again at each change of `cache`.
pub async fn until<V: Send + Sync + 'static>(cache: &Cache<V>, done: impl Fn() -> bool) {
    let bell = Arc::new(Notify::new());
    let ring = bell.clone();
    // One permit is kept, so a change between asking and waiting is not missed.
    let _ringing = cache.on_change(move |_| ring.notify_one());
    while !done() {
        bell.notified().await;
    }
}

/// Pods as `kubectl get pods -o wide` shows them.
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
    let restarts: i32 = statuses.iter().map(|status| status.restart_count).sum();
    let text = |value: Option<&String>| value.cloned().unwrap_or_else(|| "<none>".to_owned());
    [
        text(pod.metadata.name.as_ref()),
        format!("{ready}/{containers}"),
        word(pod),
        restarts.to_string(),
        text(pod.status.as_ref().and_then(|status| status.pod_ip.as_ref())),
        text(pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref())),
    ]
}

/// The word in the STATUS column: the first trouble there is, else the phase.
fn word(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let status = pod.status.as_ref();
    let trouble = status
        .and_then(|status| status.container_statuses.as_ref())
        .and_then(|statuses| {
            statuses
                .iter()
                .filter_map(|one| one.state.as_ref())
                .find_map(|state| {
                    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
                    waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
                })
        });
    let reason = status.and_then(|status| status.reason.clone());
    let phase = status.and_then(|status| status.phase.clone());
    reason
        .or(trouble)
        .or(phase)
        .unwrap_or_else(|| "Pending".to_owned())
}
