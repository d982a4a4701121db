//! How pods and Deployments are, in words.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};
use orch_cluster::kinds::pod::status::{is_deleting, phase};
use orch_examples::statuses;

const CRASH_LOOP: &str = "CrashLoopBackOff";

/// How many replicas of a Deployment there are; none until its controller has seen it as it is.
pub(crate) fn progress(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.as_ref()?;
    if status.observed_generation != deployment.metadata.generation {
        return None;
    }
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
    Some(format!(
        "{ready}/{wanted} ready, {updated} of the newest version, {all} in all{paused}"
    ))
}

/// What keeps a pod's containers from running, where it is more than that they are on their way.
pub(crate) fn trouble(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(|container| {
        let waiting = waiting(container)?;
        // How long it waits this time is no news.
        match end(container).filter(|_| is_back_off(waiting)) {
            Some(end) => Some(format!(
                "{CRASH_LOOP}: container {} {}",
                container.name,
                ending(end)
            )),
            None => Some(why(waiting)),
        }
    })
}

/// What a container that is on its way is held up by, such as a volume.
pub(crate) fn delay(pod: &Pod) -> Option<String> {
    statuses(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.message.as_deref().map(line)
    })
}

/// How a pod has ended that will not run again.
pub(crate) fn ended(pod: &Pod) -> Option<String> {
    let failed = match phase(pod) {
        "Succeeded" => return Some("Succeeded".to_owned()),
        "Failed" => {
            failing(pod).map(|(container, end)| format!("container {} {}", container.name, ending(end)))
        }
        _ => return None,
    };
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.message.clone().or_else(|| status.reason.clone()));
    let failed = reason.or(failed).unwrap_or_else(|| "nobody said why".to_owned());
    Some(format!("Failed: {failed}"))
}

/// The first container that has failed, and how.
pub(crate) fn failing(pod: &Pod) -> Option<(&ContainerStatus, &ContainerStateTerminated)> {
    let ended = statuses(pod).filter_map(|container| Some((container, end(container)?)));
    ended.into_iter().find(|(_, end)| end.exit_code != 0)
}

/// Its last end, if it has ended.
pub(super) fn end(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state].into_iter().flatten();
    states.filter_map(|state| state.terminated.as_ref()).next()
}

/// What a container waits for, where it is more than that it is on its way.
pub(super) fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let on_its_way = ["ContainerCreating", "PodInitializing"];
    (!on_its_way.contains(&reason)).then_some(waiting)
}

/// Whether a container of a pod ends again and again.
pub(crate) fn loops(pod: &Pod) -> bool {
    !is_deleting(pod) && statuses(pod).filter_map(waiting).any(is_back_off)
}

fn is_back_off(waiting: &ContainerStateWaiting) -> bool {
    waiting.reason.as_deref() == Some(CRASH_LOOP)
}

pub(super) fn why(waiting: &ContainerStateWaiting) -> String {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    match waiting.message.as_deref().map(line) {
        // Which container of which pod is said beside it.
        Some(message) if is_back_off(waiting) => {
            let how_long = message.split(" restarting").next().unwrap_or_default();
            format!("{reason}, {how_long}")
        }
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

pub(super) fn ending(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or_default();
    let message = end.message.as_deref().map(line);
    if let ("StartError", Some(message)) = (reason, &message) {
        // The code is the same for all that never ran.
        return format!("could not be started: {message}");
    }
    let why = match (reason, message) {
        (_, Some(message)) => format!(": {message}"),
        // The code says as much.
        ("" | "Completed" | "Error", None) => String::new(),
        (reason, None) => format!(", {reason}"),
    };
    format!("ended with code {}{why}", end.exit_code)
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

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "status": status})).unwrap()
    }

    /// A pod of one container, ready or not.
    pub(crate) fn of(ready: &str, restarts: i32, state: Value, last: Value) -> Pod {
        pod(
            &json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [
            {"name": "a", "image": "i", "imageID": "", "ready": ready == "True", "restartCount": restarts,
             "state": state, "lastState": last}]}),
        )
    }

    pub(crate) fn end(id: &str, code: i32, reason: &str) -> Value {
        json!({"terminated": {"containerID": id, "exitCode": code, "reason": reason}})
    }

    #[test]
    fn a_crash_loop_is_told_by_how_its_container_ends_and_not_again_for_each_wait() {
        let waits = |how_long: &str| {
            let message = format!("back-off {how_long} restarting failed container=a pod=x_default(1)");
            let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
            of("False", 1, state, end("1", 7, "Error"))
        };
        for how_long in ["10s", "20s"] {
            let said = trouble(&waits(how_long));
            assert_eq!(
                said.as_deref(),
                Some("CrashLoopBackOff: container a ended with code 7")
            );
        }
        let mut unstarted = waits("10s");
        let containers = unstarted.status.as_mut().unwrap().container_statuses.as_mut();
        let last = containers.unwrap()[0].last_state.as_mut().unwrap();
        let last = last.terminated.as_mut().unwrap();
        (last.exit_code, last.reason) = (128, Some("StartError".to_owned()));
        last.message = Some("no such program".to_owned());
        assert_eq!(
            trouble(&unstarted).as_deref(),
            Some("CrashLoopBackOff: container a could not be started: no such program")
        );
        let volume = json!({"waiting": {"reason": "ContainerCreating", "message": "no such\nvolume"}});
        let volume = of("False", 0, volume, json!({}));
        assert_eq!(
            (trouble(&volume), delay(&volume)),
            (None, Some("no such volume".to_owned()))
        );
        let image = json!({"waiting": {"reason": "ErrImagePull", "message": "no such\nimage"}});
        let image = of("False", 0, image, json!({}));
        assert_eq!(trouble(&image).as_deref(), Some("ErrImagePull: no such image"));
        assert_eq!(trouble(&of("True", 0, json!({"running": {}}), json!({}))), None);
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
    }

    #[test]
    fn many_lines_are_one_and_none_is_endless() {
        assert_eq!(line("a\n  b\n"), "a b");
        assert_eq!(line(&"ä".repeat(1000)).chars().count(), 401);
    }
}
