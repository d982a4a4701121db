//! How pods and Deployments are, and what has changed of them, in words.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};
use orch_cluster::kinds::pod::status::{is_deleting, is_ready, phase};

/// How many replicas of a Deployment there are.
pub(crate) fn progress(deployment: &Deployment) -> String {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let (ready, updated) = (
        status.ready_replicas.unwrap_or(0),
        status.updated_replicas.unwrap_or(0),
    );
    let all = status.replicas.unwrap_or(0);
    let paused = deployment.spec.paused.unwrap_or(false);
    let paused = if paused {
        "; paused: nothing is rolled out"
    } else {
        ""
    };
    format!("{ready}/{wanted} ready, {updated} of the newest version, {all} in all{paused}")
}

/// What keeps a pod's containers from running, where it is more than that they are on their way.
pub(crate) fn trouble(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(|container| {
        let waiting = waiting(container)?;
        // How it has ended, if it waits for its next start.
        let last = container.last_state.as_ref();
        let last = last.and_then(|state| state.terminated.as_ref());
        let last = last.map(|end| format!(" (it {})", ending(end)));
        Some(format!("{}{}", why(waiting), last.unwrap_or_default()))
    })
}

/// How a pod has ended that will not run again.
pub(crate) fn ended(pod: &Pod) -> Option<String> {
    let failed = match phase(pod) {
        "Succeeded" => return Some("Succeeded".to_owned()),
        "Failed" => statuses(pod).find_map(|container| {
            let end = end(container).filter(|end| end.exit_code != 0)?;
            Some(format!("container {} {}", container.name, ending(end)))
        }),
        _ => return None,
    };
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.message.clone().or_else(|| status.reason.clone()));
    let failed = reason.or(failed).unwrap_or_else(|| "nobody said why".to_owned());
    Some(format!("Failed: {failed}"))
}

/// What has changed between two looks at a pod; none: there was or is none. Nothing is said of what people need
/// not know.
pub(crate) fn changes(before: Option<&Pod>, now: Option<&Pod>) -> Vec<String> {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, Some(now)) => {
            let mut said = vec!["is new".to_owned()];
            said.extend(trouble(now));
            return said;
        }
        (Some(_), None) => return vec!["is gone".to_owned()],
        (None, None) => return Vec::new(),
    };
    let containers = statuses(now).flat_map(|is| {
        let was = statuses(before).find(|was| was.name == is.name);
        container_changes(was, is)
    });
    let mut said: Vec<_> = containers.collect();
    match (ended(before), ended(now)) {
        (None, Some(end)) => said.push(format!("has ended: {end}")),
        // That a container has ended says so too.
        (None, None) if is_ready(before) && !is_ready(now) && said.is_empty() && !is_deleting(now) => {
            said.push("is not ready".to_owned());
        }
        (None, None) if !is_ready(before) && is_ready(now) => said.push("is ready".to_owned()),
        _ => {}
    }
    if is_deleting(now) && !is_deleting(before) {
        let grace = now.metadata.deletion_grace_period_seconds.unwrap_or(0);
        said.push(format!("is told to end, within {grace} s"));
    }
    said
}

fn container_changes(was: Option<&ContainerStatus>, is: &ContainerStatus) -> Vec<String> {
    let name = &is.name;
    let mut said = Vec::new();
    let known = was.and_then(end);
    if let Some(end) = end(is)
        && known.is_none_or(|known| known.container_id != end.container_id)
    {
        said.push(format!("container {name} {}", ending(end)));
    }
    let running = is.state.as_ref().is_some_and(|state| state.running.is_some());
    if is.restart_count > was.map_or(0, |was| was.restart_count) && running {
        said.push(format!(
            "container {name} was started again (restart {})",
            is.restart_count
        ));
    }
    if let Some(waits) = waiting(is)
        && was.and_then(waiting) != Some(waits)
    {
        said.push(format!("container {name} waits: {}", why(waits)));
    }
    said
}

/// Its last end, if it has ended.
fn end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state].into_iter().flatten();
    states.filter_map(|state| state.terminated.as_ref()).next()
}

/// What a container waits for, where it is more than that it is on its way.
fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let on_its_way = ["ContainerCreating", "PodInitializing"];
    (!on_its_way.contains(&reason)).then_some(waiting)
}

fn why(waiting: &ContainerStateWaiting) -> String {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    match waiting.message.as_deref() {
        Some(message) => format!("{reason}: {}", line(message)),
        None => reason.to_owned(),
    }
}

fn ending(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or_default();
    let reason = match reason {
        // The code says as much.
        "" | "Completed" | "Error" => String::new(),
        reason => format!(", {reason}"),
    };
    let message = end
        .message
        .as_deref()
        .map(|message| format!(": {}", line(message)));
    format!(
        "ended with code {}{reason}{}",
        end.exit_code,
        message.unwrap_or_default()
    )
}

/// A text of several lines as one, not too long.
pub(crate) fn line(text: &str) -> String {
    const LONGEST: usize = 400;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= LONGEST {
        return words;
    }
    words.chars().take(LONGEST).chain(['…']).collect()
}

/// Of all containers, in the order in which they start.
fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
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

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap()
    }

    /// A pod of one container, ready or not.
    fn of(ready: &str, restarts: i32, state: Value, last: Value) -> Pod {
        pod(
            &json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [
            {"name": "a", "image": "i", "imageID": "", "ready": ready == "True", "restartCount": restarts,
             "state": state, "lastState": last}]}),
        )
    }

    fn end(id: &str, code: i32, reason: &str) -> Value {
        json!({"terminated": {"containerID": id, "exitCode": code, "reason": reason}})
    }

    #[test]
    fn what_has_changed_is_told_and_nothing_else() {
        let running = || json!({"running": {}});
        let none = || json!({});
        let waits = |message: &str| json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        let ready = || of("True", 0, running(), none());
        let cases: [(&str, Pod, Pod, &[&str]); 9] = [
            ("the same", ready(), ready(), &[]),
            (
                "hung",
                ready(),
                of("False", 0, running(), none()),
                &["is not ready"],
            ),
            (
                "well again",
                of("False", 0, running(), none()),
                ready(),
                &["is ready"],
            ),
            (
                "killed",
                ready(),
                of("False", 0, end("1", 137, "Error"), none()),
                &["container a ended with code 137"],
            ),
            (
                "killed and back between two looks",
                ready(),
                of("True", 1, running(), end("1", 137, "OOMKilled")),
                &[
                    "container a ended with code 137, OOMKilled",
                    "container a was started again (restart 1)",
                ],
            ),
            (
                "back after its end was told",
                of("False", 0, end("1", 2, "Error"), none()),
                of("True", 1, running(), end("1", 2, "Error")),
                &["container a was started again (restart 1)", "is ready"],
            ),
            (
                "in a loop",
                of("False", 1, end("2", 2, "Error"), end("1", 2, "Error")),
                of("False", 1, waits("back-off 10s"), end("2", 2, "Error")),
                &["container a waits: CrashLoopBackOff: back-off 10s"],
            ),
            (
                "still in it",
                of("False", 1, waits("back-off 10s"), end("2", 2, "Error")),
                of("False", 1, waits("back-off 10s"), end("2", 2, "Error")),
                &[],
            ),
            (
                "on its way",
                ready(),
                of(
                    "True",
                    0,
                    json!({"waiting": {"reason": "ContainerCreating"}}),
                    none(),
                ),
                &[],
            ),
        ];
        for (name, before, now, said) in cases {
            assert_eq!(changes(Some(&before), Some(&now)), said, "{name}");
        }
        assert_eq!(changes(None, Some(&ready())), ["is new"]);
        assert_eq!(changes(Some(&ready()), None), ["is gone"]);
    }

    #[test]
    fn a_pod_that_will_not_run_again_says_how_it_ended() {
        let over = |phase: &str, code: i32| {
            let mut over = of("False", 0, end("1", code, "Error"), json!({}));
            over.status.as_mut().unwrap().phase = Some(phase.to_owned());
            over
        };
        let evicted = pod(&json!({"phase": "Failed", "reason": "Evicted", "message": "the node was low"}));
        for (pod, said) in [
            (over("Running", 0), None),
            (over("Succeeded", 0), Some("Succeeded")),
            (over("Failed", 3), Some("Failed: container a ended with code 3")),
            (evicted, Some("Failed: the node was low")),
            (pod(&json!({"phase": "Failed"})), Some("Failed: nobody said why")),
        ] {
            assert_eq!(ended(&pod).as_deref(), said);
        }
        let before = over("Running", 3);
        let said = ["has ended: Failed: container a ended with code 3"];
        assert_eq!(changes(Some(&before), Some(&over("Failed", 3))), said);
    }

    #[test]
    fn many_lines_are_one_and_none_is_endless() {
        assert_eq!(line("a\n  b\n"), "a b");
        assert_eq!(line(&"ä".repeat(1000)).chars().count(), 401);
    }
}
