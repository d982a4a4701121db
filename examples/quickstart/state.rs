//! What a pod, a node or a Deployment has come to: well, settled, complete, failed, refused.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Node, NodeCondition, Pod};
use orch_cluster::kinds::pod::status::{condition, is_deleting, is_ready, is_terminal, phase};
use orch_examples::statuses;

use super::news::ended;

/// Whether a node can be given pods.
pub(crate) fn is_node_ready(node: &Node) -> bool {
    node_ready(node).is_some_and(|ready| ready.status == "True")
}

/// What a node says of whether it is ready.
pub(crate) fn node_ready(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// Whether a Deployment is as its controller should have made it.
pub(crate) fn is_complete(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.replicas;
    deployment.status.as_ref().is_some_and(|status| {
        let count = |n: Option<i32>| Some(n.unwrap_or(0));
        status.observed_generation == deployment.metadata.generation
            && count(status.replicas) == wanted
            && count(status.updated_replicas) == wanted
            && count(status.ready_replicas) == wanted
    })
}

/// Whether a pod has run to its end or, if it is to run for ever, is ready.
pub(crate) fn is_settled(pod: &Pod) -> bool {
    ended(pod).is_some() || (is_well(pod) && ends_by_itself(pod).is_none())
}

/// Whether a pod that is to run to its end is at it: how far it is, and whether it will end well, is its own affair. One
/// that waits to be started again is not: its phase is `Running`, too.
pub(crate) fn runs_to_its_end(pod: &Pod) -> bool {
    let containers = || pod.status.as_ref()?.container_statuses.as_ref();
    let is_running = |one: &ContainerStatus| one.state.as_ref().is_some_and(|state| state.running.is_some());
    let runs = containers().into_iter().flatten().any(is_running);
    ends_by_itself(pod).is_some() && phase(pod) == "Running" && runs && !has_lost_sandbox(pod)
}

/// The restart policy of a pod that is to run to its end, and not for ever.
pub(crate) fn ends_by_itself(pod: &Pod) -> Option<&str> {
    let policy = pod.spec.as_ref()?.restart_policy.as_deref()?;
    (policy != "Always").then_some(policy)
}

/// Whether it serves, in a sandbox that is there: one that was lost takes its containers with it.
pub(crate) fn is_well(pod: &Pod) -> bool {
    is_ready(pod) && !has_lost_sandbox(pod)
}

/// Whether the agent has found the pod without a sandbox, though it is to run. Its containers may run on for a while.
pub(crate) fn has_lost_sandbox(pod: &Pod) -> bool {
    let ran = statuses(pod).any(|container| container.container_id.is_some());
    let sandbox = condition(pod, "PodReadyToStartContainers");
    ran && !is_terminal(pod) && sandbox.is_some_and(|sandbox| sandbox.status == "False")
}

/// Whether a pod has failed for good, and not because it was told to end.
pub(crate) fn has_failed(pod: &Pod) -> bool {
    phase(pod) == "Failed" && !is_deleting(pod)
}

/// What a pod asks for that the runtime cannot give.
pub(crate) fn refusal(pod: &Pod) -> Option<String> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let waiting = containers.first()?.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.message.clone()?;
    // What is missing may come; a field of its own spec, which is what is named here, will not change.
    let refused = waiting.reason.as_deref() == Some("CreateContainerConfigError") && why.starts_with("spec.");
    refused.then_some(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_runs_to_its_end_only_while_one_of_its_containers_runs() {
        let (runs, waits) = (
            json!({"running": {}}),
            json!({"waiting": {"reason": "CrashLoopBackOff"}}),
        );
        let ended = json!({"terminated": {"exitCode": 0}});
        for (policy, phase, sidecar, containers, at_it) in [
            ("Never", "Running", None, vec![&runs], true),
            ("OnFailure", "Running", None, vec![&runs], true),
            ("OnFailure", "Running", None, vec![&waits], false),
            ("OnFailure", "Running", None, vec![&waits, &runs], true),
            ("OnFailure", "Running", None, vec![&ended, &waits], false),
            // It ends with the others.
            ("OnFailure", "Running", Some(&runs), vec![&waits], false),
            ("OnFailure", "Pending", None, vec![&runs], false),
            ("Always", "Running", None, vec![&runs], false),
        ] {
            let one = |state: &&serde_json::Value| json!({"name": "a", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state});
            let init: Vec<_> = sidecar.iter().map(one).collect();
            let main: Vec<_> = containers.iter().map(one).collect();
            let pod = json!({"metadata": {}, "spec": {"restartPolicy": policy, "containers": []},
                "status": {"phase": phase, "initContainerStatuses": init, "containerStatuses": main}});
            let read: Pod = serde_json::from_value(pod.clone()).unwrap();
            assert_eq!(runs_to_its_end(&read), at_it, "{pod}");
        }
    }
}
