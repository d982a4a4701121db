//! The conditions of a pod's status.

use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, PodStatus};

use super::observed::View;
use super::resize;
use super::status::time;

/// The conditions the kubelet owns, in its order, then all others as they are.
pub(crate) fn conditions(
    view: &View<'_>,
    status: &PodStatus,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> Vec<PodCondition> {
    let phase = status.phase.as_deref().unwrap_or_default();
    let containers = containers_ready(phase, init, main);
    let owned = [
        ("PodReadyToStartContainers", ready_to_start(view)),
        ("Initialized", initialized(view, phase, init)),
        ("Ready", ready(view, &containers)),
        ("ContainersReady", containers),
    ];
    let before = view.status.conditions.as_deref().unwrap_or_default();
    let mut conditions: Vec<PodCondition> = owned
        .into_iter()
        .map(|(type_, verdict)| condition(view, before, type_, verdict))
        .collect();
    if !before.iter().any(|condition| condition.type_ == "PodScheduled") {
        // A pod that was created on its node never met the scheduler.
        conditions.push(condition(view, before, "PodScheduled", Verdict::yes()));
    }
    let resize = resize_of(view);
    conditions.extend(resize.map(|(type_, verdict)| condition(view, before, type_, verdict)));
    let kept = before.iter().filter(|kept| !owned_type(&kept.type_));
    conditions.extend(kept.cloned());
    conditions
}

fn owned_type(type_: &str) -> bool {
    matches!(
        type_,
        "PodReadyToStartContainers"
            | "Initialized"
            | "Ready"
            | "ContainersReady"
            | "PodResizePending"
            | "PodResizeInProgress"
    )
}

#[derive(Clone, Debug)]
struct Verdict {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Verdict {
    fn yes() -> Self {
        Self {
            holds: true,
            reason: None,
            message: None,
        }
    }

    fn no(reason: &'static str, message: impl Into<Option<String>>) -> Self {
        Self {
            holds: false,
            reason: Some(reason),
            message: message.into(),
        }
    }
}

fn condition(view: &View<'_>, before: &[PodCondition], type_: &str, verdict: Verdict) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let before = before.iter().find(|before| before.type_ == type_);
    let same = before.filter(|before| before.status == status);
    let since = same
        .and_then(|same| same.last_transition_time.clone())
        .unwrap_or_else(|| time(view.now));
    PodCondition {
        last_transition_time: Some(since),
        status: status.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message,
        type_: type_.to_owned(),
        ..before.cloned().unwrap_or_default()
    }
}

/// Whether the pod is being given other resources, or waits for them; nothing if it has what it says.
fn resize_of(view: &View<'_>) -> Option<(&'static str, Verdict)> {
    if resize::changed(view).is_empty() {
        return None;
    }
    let observed = view.observed;
    Some(match (&observed.wait, &observed.resize_failure) {
        (Some(wait), _) => {
            let verdict = Verdict {
                reason: Some(wait.reason),
                message: Some(wait.message.clone()),
                ..Verdict::yes()
            };
            ("PodResizePending", verdict)
        }
        (None, failure) => {
            let verdict = Verdict {
                reason: failure.as_ref().map(|failure| failure.reason),
                message: failure.as_ref().map(|failure| failure.message.clone()),
                ..Verdict::yes()
            };
            ("PodResizeInProgress", verdict)
        }
    })
}

fn ready_to_start(view: &View<'_>) -> Verdict {
    let holds = view.sandbox().is_some();
    Verdict {
        holds,
        reason: None,
        message: None,
    }
}

fn initialized(view: &View<'_>, phase: &str, init: &[ContainerStatus]) -> Verdict {
    if phase == "Succeeded" {
        return Verdict {
            reason: Some("PodCompleted"),
            ..Verdict::yes()
        };
    }
    let done = |status: &&ContainerStatus| status.ready || status.started == Some(true) || view.initialized();
    let unfinished: Vec<&str> = init
        .iter()
        .filter(|status| !done(status))
        .map(|status| status.name.as_str())
        .collect();
    if unfinished.is_empty() {
        return Verdict::yes();
    }
    let message = format!("containers with incomplete status: [{}]", unfinished.join(" "));
    Verdict::no("ContainersNotInitialized", message)
}

fn containers_ready(phase: &str, init: &[ContainerStatus], main: &[ContainerStatus]) -> Verdict {
    match phase {
        "Succeeded" => return Verdict::no("PodCompleted", None),
        "Failed" => return Verdict::no("PodFailed", None),
        _ => {}
    }
    // An init container that has ended well is ready; a sidecar is while it runs and says so.
    let unready = init.iter().chain(main).filter(|status| !status.ready);
    let unready: Vec<&str> = unready.map(|status| status.name.as_str()).collect();
    if unready.is_empty() {
        return Verdict::yes();
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Verdict::no("ContainersNotReady", message)
}

fn ready(view: &View<'_>, containers: &Verdict) -> Verdict {
    if !containers.holds {
        return containers.clone();
    }
    let gates = view
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.readiness_gates.as_ref())
        .into_iter()
        .flatten();
    let written = view.status.conditions.as_deref().unwrap_or_default();
    let complaints: Vec<String> = gates
        .filter_map(|gate| {
            let type_ = &gate.condition_type;
            match written.iter().find(|condition| condition.type_ == *type_) {
                None => Some(format!(
                    "corresponding condition of pod readiness gate {type_:?} does not exist."
                )),
                Some(condition) if condition.status != "True" => Some(format!(
                    "the status of pod readiness gate {type_:?} is not \"True\", but {}",
                    condition.status
                )),
                Some(_) => None,
            }
        })
        .collect();
    if complaints.is_empty() {
        Verdict::yes()
    } else {
        Verdict::no("ReadinessGatesNotReady", complaints.join(", "))
    }
}
