//! The word in a pod table's STATUS column, by the rules of kubectl (`printPod` in `pkg/printers/internalversion`).

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use orch_cluster::kinds::pod::is_sidecar;
use orch_cluster::kinds::pod::status::{POD_SCHEDULED, condition, is_deleting, is_ready, is_terminal, phase};

/// How a pod is, in a word: that it is told to end, how far its init containers are, the first trouble that a container
/// has, else the phase. One that has ended says so and with which code, where kubectl has `Completed` and `Error`.
pub(crate) fn word(pod: &Pod) -> String {
    let reason = pod.status.as_ref().and_then(|status| status.reason.clone());
    if is_deleting(pod) {
        if reason.as_deref() == Some("NodeLost") {
            return "Unknown".to_owned();
        }
        if !is_terminal(pod) {
            return "Terminating".to_owned();
        }
    }
    if is_terminal(pod)
        && let Some(reason) = reason
    {
        return reason;
    }
    let initializing = initializing(pod);
    if let Some(word) = &initializing
        && !is_true(pod, "Initialized")
    {
        return word.clone();
    }
    ended(pod)
        .or_else(|| of_containers(pod))
        .or(initializing)
        .or_else(|| gated(pod))
        .or(reason)
        .unwrap_or_else(|| match phase(pod) {
            "" => "Pending".to_owned(),
            phase => phase.to_owned(),
        })
}

/// Whether the container of this name is a sidecar.
pub(crate) fn has_sidecar(pod: &Pod, name: &str) -> bool {
    crate::init(pod).any(|one| one.name == name && is_sidecar(one))
}

/// Where its init containers are, until all have ended well, or run if they are sidecars.
fn initializing(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.as_deref().unwrap_or_default();
    let is_over = |container: &ContainerStatus| {
        let ended_well = ended_with(container).is_some_and(|ended| ended.exit_code == 0);
        ended_well || (container.started == Some(true) && has_sidecar(pod, &container.name))
    };
    let (index, container) = containers
        .iter()
        .enumerate()
        .find(|(_, container)| !is_over(container))?;
    let how = match (ended_with(container), waits_for(container)) {
        (Some(ended), _) => why_ended(ended),
        (None, Some(reason)) if reason != "PodInitializing" => reason.to_owned(),
        _ => {
            let spec = pod.spec.as_ref();
            let all = spec.and_then(|spec| spec.init_containers.as_ref());
            format!("{index}/{}", all.map_or(containers.len(), Vec::len))
        }
    };
    Some(format!("Init:{how}"))
}

/// How it has ended, if it will not run again.
fn ended(pod: &Pod) -> Option<String> {
    match phase(pod) {
        "Succeeded" => Some("Succeeded".to_owned()),
        "Failed" => {
            let mut codes = crate::statuses(pod).filter_map(|one| Some(ended_with(one)?.exit_code));
            let failed = codes.find(|code| *code != 0);
            Some(failed.map_or_else(|| "Failed".to_owned(), |code| format!("Failed(code {code})")))
        }
        _ => None,
    }
}

/// What the first container has to say that does not simply run.
fn of_containers(pod: &Pod) -> Option<String> {
    let containers = pod.status.as_ref()?.container_statuses.as_deref()?;
    let word = containers.iter().find_map(|container| {
        let waits = waits_for(container).map(str::to_owned);
        waits.or_else(|| ended_with(container).map(why_ended))
    })?;
    let runs = |container: &ContainerStatus| {
        let running = container.state.as_ref().and_then(|state| state.running.as_ref());
        container.ready && running.is_some()
    };
    if word == "Completed" && containers.iter().any(runs) {
        return Some(if is_ready(pod) { "Running" } else { "NotReady" }.to_owned());
    }
    Some(word)
}

fn gated(pod: &Pod) -> Option<String> {
    let reason = condition(pod, POD_SCHEDULED)?.reason.clone();
    reason.filter(|reason| reason == "SchedulingGated")
}

fn is_true(pod: &Pod, name: &str) -> bool {
    condition(pod, name).is_some_and(|condition| condition.status == "True")
}

fn ended_with(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    container.state.as_ref()?.terminated.as_ref()
}

fn waits_for(container: &ContainerStatus) -> Option<&str> {
    let reason = container.state.as_ref()?.waiting.as_ref()?.reason.as_deref();
    reason.filter(|reason| !reason.is_empty())
}

fn why_ended(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref(), ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        let spec = json!({"initContainers": [{"name": "i"}, {"name": "side", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}, {"name": "b"}]});
        let pod = json!({"metadata": {"name": "x"}, "spec": spec, "status": status});
        serde_json::from_value(pod).unwrap()
    }

    fn container(name: &str, ready: bool, state: &Value) -> Value {
        json!({"name": name, "image": "i", "imageID": "", "ready": ready, "started": ready, "restartCount": 0,
            "state": state})
    }

    fn waits(reason: &str) -> Value {
        json!({"waiting": {"reason": reason}})
    }

    fn over(code: i32, reason: &str) -> Value {
        json!({"terminated": {"exitCode": code, "reason": reason}})
    }

    #[test]
    fn a_pod_in_its_init_containers_says_how_far_it_is() {
        let running = || json!({"running": {}});
        let side = |started| container("side", started, &running());
        let init = |state: &Value| container("i", false, state);
        let signal = json!({"terminated": {"exitCode": 137, "signal": 9}});
        for (inits, wanted) in [
            (vec![init(&waits("PodInitializing")), side(false)], "Init:0/2"),
            (vec![init(&running()), side(false)], "Init:0/2"),
            (vec![init(&over(1, "Error")), side(false)], "Init:Error"),
            (vec![init(&over(3, "")), side(false)], "Init:ExitCode:3"),
            (vec![init(&signal), side(false)], "Init:Signal:9"),
            (
                vec![init(&waits("CrashLoopBackOff")), side(false)],
                "Init:CrashLoopBackOff",
            ),
            (vec![init(&over(0, "Completed")), side(false)], "Init:1/2"),
            (vec![init(&over(0, "Completed")), side(true)], "PodInitializing"),
        ] {
            let main = container("a", false, &waits("PodInitializing"));
            let status =
                json!({"phase": "Pending", "initContainerStatuses": inits, "containerStatuses": [main]});
            assert_eq!(word(&pod(&status)), wanted, "{status}");
        }
        // A sidecar that is started again once all has been initialized is no reason to say less of the others.
        let conditions = json!([{"type": "Initialized", "status": "True"}]);
        let status = |main: &Value| {
            json!({"phase": "Running", "conditions": conditions,
            "initContainerStatuses": [init(&over(0, "Completed")), side(false)],
            "containerStatuses": [container("a", false, main)]})
        };
        assert_eq!(
            word(&pod(&status(&waits("CrashLoopBackOff")))),
            "CrashLoopBackOff"
        );
        assert_eq!(word(&pod(&status(&running()))), "Init:1/2");
        // One that will not be tried again.
        let failed = json!({"phase": "Failed", "initContainerStatuses": [init(&over(1, "Error"))]});
        assert_eq!(word(&pod(&failed)), "Init:Error");
    }

    #[test]
    fn a_pod_of_several_containers_says_the_first_trouble() {
        let running = json!({"running": {}});
        let of = |ready: &str, a: Value, b: Value| {
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [container("a", a == running, &a), container("b", b == running, &b)]})
        };
        for (status, wanted) in [
            (of("True", running.clone(), running.clone()), "Running"),
            (
                of("False", running.clone(), waits("ImagePullBackOff")),
                "ImagePullBackOff",
            ),
            (
                of("False", waits("ErrImagePull"), over(1, "Error")),
                "ErrImagePull",
            ),
            (of("False", over(0, "Completed"), running.clone()), "NotReady"),
            (of("True", over(0, "Completed"), running.clone()), "Running"),
            (
                of("False", over(0, "Completed"), over(0, "Completed")),
                "Completed",
            ),
            (of("False", over(2, ""), running.clone()), "ExitCode:2"),
        ] {
            assert_eq!(word(&pod(&status)), wanted, "{status}");
        }
    }

    #[test]
    fn what_is_known_of_the_whole_pod_comes_first_or_last_as_kubectl_has_it() {
        let deleted = |status: &Value| {
            let mut pod = pod(status);
            pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
            pod
        };
        let gated = json!({"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]});
        for (pod, wanted) in [
            (pod(&json!({})), "Pending"),
            (pod(&gated), "SchedulingGated"),
            (pod(&json!({"phase": "Failed", "reason": "Evicted"})), "Evicted"),
            (deleted(&json!({"phase": "Running"})), "Terminating"),
            (deleted(&json!({"phase": "Succeeded"})), "Succeeded"),
            (
                deleted(&json!({"phase": "Running", "reason": "NodeLost"})),
                "Unknown",
            ),
        ] {
            assert_eq!(word(&pod), wanted);
        }
    }
}
