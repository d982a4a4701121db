//! What has changed of a pod between two looks at it, in words.

use k8s_openapi::api::core::v1::{ContainerStateRunning, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use orch_cluster::kinds::pod::status::{is_deleting, is_ready};
use orch_examples::statuses;

use super::news::{end, ended, ending, trouble, waiting, why};
use super::state::{ends_by_itself, has_lost_sandbox, is_well};

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
    let (lost, is_lost) = (has_lost_sandbox(before), has_lost_sandbox(now));
    let containers = statuses(now).flat_map(|is| {
        let was = statuses(before).find(|was| was.name == is.name);
        container_changes(was, is, lost || is_lost)
    });
    let mut said: Vec<_> = containers.collect();
    if is_lost && !lost {
        let again = match ends_by_itself(now) {
            Some("Never") => "",
            Some(_) => "; what had not ended is started again in another",
            None => "; they are started again in another",
        };
        said.insert(
            0,
            format!("has lost its sandbox, and its containers with it{again}"),
        );
    }
    // That a container has ended says so too.
    if is_ready(before) && !is_ready(now) && said.is_empty() {
        said.push("is not ready".to_owned());
    } else if !is_well(before) && is_well(now) {
        said.push("is ready".to_owned());
    }
    said
}

/// How one has ended that was lost with its sandbox is no news.
fn container_changes(was: Option<&ContainerStatus>, is: &ContainerStatus, lost: bool) -> Vec<String> {
    let name = &is.name;
    let mut said = Vec::new();
    let known = was.and_then(end);
    if let Some(end) = end(is).filter(|_| !lost)
        && known.is_none_or(|known| known.container_id != end.container_id)
    {
        said.push(format!("container {name} {}", ending(end)));
    }
    if is.restart_count > was.map_or(0, |was| was.restart_count) && running(is).is_some() {
        said.push(format!(
            "container {name} was started again (restart {})",
            is.restart_count
        ));
    }
    if let (Some(was), Some(now)) = (was.and_then(running_since), running_since(is))
        && was != now
        && said.is_empty()
    {
        said.push(format!("container {name} was started anew, and not by the agent"));
    }
    if let Some(waits) = waiting(is)
        && was.and_then(waiting) != Some(waits)
    {
        said.push(format!("container {name} waits: {}", why(waits)));
    }
    said
}

fn running(container: &ContainerStatus) -> Option<&ContainerStateRunning> {
    container.state.as_ref()?.running.as_ref()
}

fn running_since(container: &ContainerStatus) -> Option<&Time> {
    running(container)?.started_at.as_ref()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::news::tests::{end, of, pod};
    use super::*;

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
    fn what_happened_while_nobody_looked_is_seen_by_sandbox_start_and_end() {
        let since = |at: &str| of("True", 0, json!({"running": {"startedAt": at}}), json!({}));
        let (noon, later) = ("2026-01-01T12:00:00Z", "2026-01-01T12:00:07Z");
        let without_sandbox = |ready: &str, phase: &str| {
            pod(
                &json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready},
                {"type": "PodReadyToStartContainers", "status": "False"}], "containerStatuses": [
                {"name": "a", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "containerID": "x://1",
                 "state": {"running": {"startedAt": noon}}}]}),
            )
        };
        let lost = "has lost its sandbox, and its containers with it; they are started again in another";
        let cases: [(&str, Pod, Pod, &[&str]); 7] = [
            ("nothing", since(noon), since(noon), &[]),
            (
                "a container started behind the agent's back",
                since(noon),
                since(later),
                &["container a was started anew, and not by the agent"],
            ),
            (
                "a sandbox",
                since(noon),
                without_sandbox("True", "Running"),
                &[lost],
            ),
            (
                "a sandbox, and readiness",
                since(noon),
                without_sandbox("False", "Running"),
                &[lost],
            ),
            (
                "a sandbox, of what was not ready before",
                of("False", 0, json!({"running": {"startedAt": noon}}), json!({})),
                without_sandbox("True", "Running"),
                &[lost],
            ),
            (
                "in another, and how it ended in the first needs no words",
                without_sandbox("True", "Running"),
                of(
                    "True",
                    1,
                    json!({"running": {"startedAt": later}}),
                    end("1", 137, "Error"),
                ),
                &["container a was started again (restart 1)", "is ready"],
            ),
            (
                "known already",
                without_sandbox("True", "Running"),
                without_sandbox("True", "Running"),
                &[],
            ),
        ];
        for (name, before, now, said) in cases {
            assert_eq!(changes(Some(&before), Some(&now)), said, "{name}");
        }
        let failed = |phase: &str| {
            let mut failed = of("False", 0, end("1", 3, "Error"), json!({}));
            failed.status.as_mut().unwrap().phase = Some(phase.to_owned());
            failed
        };
        let said = ["has ended: Failed: container a ended with code 3"];
        assert_eq!(changes(Some(&failed("Running")), Some(&failed("Failed"))), said);
        // One that is over needs no sandbox.
        let over = without_sandbox("False", "Succeeded");
        assert_eq!(changes(Some(&over), Some(&over)), [""; 0]);
    }
}
