//! Whether node agents leave alone what runs.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{self, Pod};
use orch_core::testing::fake_runtime::{Call, CutOff};
use orch_core::testing::simulation::{Oracle, State, Written};
use orch_core::time;

use super::{is_over, node_of};
use crate::testing::{Machine, Machines};

/// A container that runs is left alone until there is a reason to end it: its pod is being deleted, or over, or wants another
/// image, or the container has a probe that may ask for it. An agent that dies and comes back is no such reason. It is asked to
/// end before anything else is done to it, no second one is started beside it, and a pod does not go, nor is it over, while one
/// of its containers runs. In the end what pods say to run does.
pub struct Containers {
    machines: Machines,
    /// How much was looked at of what each machine's calls have ended.
    seen: Vec<usize>,
}

impl Containers {
    /// Looks at these machines.
    pub fn of(machines: &Machines) -> Self {
        let seen = vec![0; machines.iter().len()];
        Self {
            machines: machines.clone(),
            seen,
        }
    }

    /// Judges what calls have ended since this was asked last: by the pod as it `was` before what has been written now, if that
    /// is a pod, and as it is otherwise.
    fn judge_ended(&mut self, was: Option<&Arc<Pod>>, state: &State) -> Result<(), String> {
        for (machine, seen) in self.machines.iter().zip(&mut self.seen) {
            let ended = machine.runtime.cut_off(*seen);
            if ended.is_empty() {
                continue;
            }
            *seen += ended.len();
            let pods = state.all::<Pod>();
            for CutOff {
                at, call, container, ..
            } in &ended
            {
                let is_its = |pod: &&Arc<Pod>| {
                    pod.metadata.uid.as_deref() == Some(&*container.pod_uid)
                        && node_of(pod) == Some(&*machine.name)
                };
                let (was, is) = (was.filter(is_its), pods.iter().find(is_its));
                let Some(pod) = was.or(is) else {
                    continue;
                };
                let may_end = |pod: &Arc<Pod>| may_end(pod, &container.name, &container.image);
                // What was written in the same instant may have been known to the agent before it was shown here.
                let may_be_why = || was.is_some() && *at == time::now() && is.is_none_or(may_end);
                let how = if !may_end(pod) && !may_be_why() {
                    "which nobody asked for"
                } else if *call != Call::StopContainer {
                    // What runs on after a stop has had its signal, and the time to obey it.
                    "without asking it to end"
                } else {
                    continue;
                };
                return Err(format!(
                    "{} ends container {} of pod {:?} ({call:?} of {}), {how}",
                    machine.name, container.name, pod.metadata.name, container.id
                ));
            }
        }
        Ok(())
    }

    /// Whether what a pod says to run does.
    fn is_as_it_says(&self, pod: &Pod) -> Result<(), String> {
        let Some(machine) = node_of(pod).and_then(|node| self.machines.named(node)) else {
            return Ok(());
        };
        let running = machine.runtime.running();
        let runs = |id: &str| {
            running
                .iter()
                .any(|container| id.ends_with(&format!("://{}", container.id)))
        };
        let said =
            statuses(pod).filter(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
        let mut ids = said.filter_map(|status| status.container_id.as_deref());
        match ids.find(|id| !runs(id)) {
            Some(id) => Err(format!(
                "pod {:?} says that {id} runs on {}, and it does not",
                pod.metadata.name, machine.name
            )),
            None => Ok(()),
        }
    }
}

impl Oracle for Containers {
    fn name(&self) -> &str {
        "containers"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let was = written.was::<Pod>();
        self.judge_ended(was.as_ref(), written.state)?;
        let Some(machine) = self.machines.named(written.by) else {
            return Ok(());
        };
        runs_once(machine, written.state)?;
        let Some(was) = was else {
            return Ok(());
        };
        let is = written
            .is::<Pod>()
            .filter(|is| is.metadata.uid == was.metadata.uid);
        match is {
            None => runs_no_more(machine, &was, "goes"),
            Some(is) if is_over(&is) && !is_over(&was) => runs_no_more(machine, &is, "is over"),
            Some(_) => Ok(()),
        }
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        self.judge_ended(None, state)?;
        self.machines
            .iter()
            .try_for_each(|machine| runs_once(machine, state))?;
        let pods = state.all::<Pod>();
        pods.iter().try_for_each(|pod| self.is_as_it_says(pod))
    }
}

/// Whether there is a reason for a container of this name and image to be ended.
fn may_end(pod: &Pod, name: &str, image: &str) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let all = || {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    };
    let Some(container) = all().find(|container| container.name == name) else {
        return true;
    };
    let hook = container
        .lifecycle
        .as_ref()
        .and_then(|hooks| hooks.post_start.as_ref());
    pod.metadata.deletion_timestamp.is_some()
        || is_over(pod)
        || spec.active_deadline_seconds.is_some()
        || container.image.as_deref() != Some(image)
        || container.liveness_probe.is_some()
        || container.startup_probe.is_some()
        || hook.is_some()
}

fn runs_no_more(machine: &Machine, pod: &Pod, what: &str) -> Result<(), String> {
    let running = machine.runtime.running();
    let own = running
        .iter()
        .find(|container| pod.metadata.uid.as_deref() == Some(&*container.pod_uid));
    match own {
        Some(container) => Err(format!(
            "pod {:?} {what}, and its container {} runs on {}",
            pod.metadata.name, container.id, machine.name
        )),
        None => Ok(()),
    }
}

/// Whether no container runs twice on the machine.
fn runs_once(machine: &Machine, state: &State) -> Result<(), String> {
    let running = machine.runtime.running();
    let mut names: Vec<_> = running
        .iter()
        .map(|container| (&*container.pod_uid, &*container.name))
        .collect();
    names.sort_unstable();
    let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) else {
        return Ok(());
    };
    let (uid, name) = pair[0];
    let pods = state.all::<Pod>();
    let pod = pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid));
    let of = pod.and_then(|pod| pod.metadata.name.as_deref()).unwrap_or(uid);
    Err(format!(
        "two containers {name} of pod {of:?} run on {}",
        machine.name
    ))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &v1::ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.container_statuses.iter().flatten())
}
