//! How pods and Deployments are, and what has changed of them, in words.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};
use orch_cluster::kinds::pod::status::{is_deleting, is_ready, phase};

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

/// The same in a word.
pub(crate) fn trouble_word(pod: &Pod) -> Option<&str> {
    statuses(pod).find_map(|container| waiting(container)?.reason.as_deref())
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
    if is_deleting(now) {
        // How its containers end is as it was asked for.
        let grace = now.metadata.deletion_grace_period_seconds.unwrap_or(0);
        let told = format!("is told to end, within {grace} s");
        return if is_deleting(before) {
            Vec::new()
        } else {
            vec![told]
        };
    }
    if let (None, Some(end)) = (ended(before), ended(now)) {
        return vec![format!("has ended: {end}")];
    }
    let containers = statuses(now).flat_map(|is| {
        let was = statuses(before).find(|was| was.name == is.name);
        container_changes(was, is)
    });
    let mut said: Vec<_> = containers.collect();
    match (is_ready(before), is_ready(now)) {
        // That a container has ended says so too.
        (true, false) if said.is_empty() => said.push("is not ready".to_owned()),
        (false, true) => said.push("is ready".to_owned()),
        _ => {}
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

fn is_back_off(waiting: &ContainerStateWaiting) -> bool {
    waiting.reason.as_deref() == Some(CRASH_LOOP)
}

fn why(waiting: &ContainerStateWaiting) -> String {
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

fn ending(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or_default();
    let message = end.message.as_deref().map(line);
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
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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
                of(
                    "False",
                    1,
                    waits("back-off 10s restarting failed container=a pod=x_default(1)"),
                    end("2", 2, "Error"),
                ),
                &["container a waits: CrashLoopBackOff, back-off 10s"],
            ),
            (
                "still in it",
                of(
                    "False",
                    1,
                    waits("back-off 10s restarting failed container=a pod=x_default(1)"),
                    end("2", 2, "Error"),
                ),
                of(
                    "False",
                    1,
                    waits("back-off 10s restarting failed container=a pod=x_default(1)"),
                    end("2", 2, "Error"),
                ),
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
        let mut leaving = of("False", 0, end("1", 137, "Error"), none());
        leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        leaving.metadata.deletion_grace_period_seconds = Some(5);
        let told = ["is told to end, within 5 s"];
        assert_eq!(changes(Some(&ready()), Some(&leaving)), told);
        assert_eq!(changes(Some(&leaving), Some(&leaving)), [""; 0]);
        assert_eq!(changes(None, Some(&ready())), ["is new"]);
        assert_eq!(changes(Some(&ready()), None), ["is gone"]);
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
        let image = json!({"waiting": {"reason": "ErrImagePull", "message": "no such\nimage"}});
        let image = of("False", 0, image, json!({}));
        assert_eq!(trouble(&image).as_deref(), Some("ErrImagePull: no such image"));
        assert_eq!(trouble_word(&image), Some("ErrImagePull"));
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
