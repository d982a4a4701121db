//! Gives containers that run other requests and limits, where their pod's were changed (KEP-1287). Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self, Pod, PodSpec, PodStatus, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use orch_core::runtime::{Container, Resources};

use super::decide::may_run;
use super::observed::{Observed, Role, View};
use super::qos::{limit, milli, request, value};
use super::translate::RESOURCES_ANNOTATION;
use crate::kinds::pod::resize::{RESTART, changes, is_same};

/// Why a pod keeps the resources that it has, as its condition `PodResizePending` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// `Deferred` while others of the node have what it asks for, `Infeasible` if it can never have that here.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// A container that runs with other resources than its pod says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) container: &'a Container,
    pub(crate) spec: &'a v1::Container,
}

impl Change<'_> {
    /// Whether it gets them only by being started anew (`resizePolicy`).
    pub(crate) fn needs_restart(&self, view: &View<'_>) -> bool {
        restarts(view, self.container, self.spec)
    }
}

impl Observed {
    /// Takes notice of what containers were given that were not seen before: what was last reported of them, or else what they
    /// were made with.
    pub(super) fn note_given(&mut self, pod: &Pod, status: &PodStatus) {
        let (given, containers) = (&mut self.given, &self.containers);
        given.retain(|id, _| containers.iter().any(|container| container.id == *id));
        let spec = pod.spec.as_ref();
        let has_any = spec.is_some_and(|spec| {
            let inits = spec.init_containers.iter().flatten();
            inits.chain(&spec.containers).any(|one| one.resources.is_some())
        });
        if !has_any {
            return;
        }
        for container in containers.iter().filter(|container| may_run(container)) {
            let made_with = || {
                let text = container.annotations.get(RESOURCES_ANNOTATION)?;
                serde_json::from_str(text).ok()
            };
            given
                .entry(container.id.clone())
                .or_insert_with(|| reported(status, container).or_else(made_with).unwrap_or_default());
        }
    }
}

/// What was reported that this very container had.
fn reported(status: &PodStatus, container: &Container) -> Option<ResourceRequirements> {
    let of = |list: &Option<Vec<v1::ContainerStatus>>| {
        let mut list = list.iter().flatten();
        let id = container.id.0.as_str();
        let is_it = |status: &&v1::ContainerStatus| {
            let told = status
                .container_id
                .as_deref()
                .and_then(|told| told.split_once("://"));
            told.is_some_and(|(_, told)| told == id)
        };
        list.find(is_it).and_then(|status| status.resources.clone())
    };
    of(&status.container_statuses).or_else(|| of(&status.init_container_statuses))
}

/// The containers that run with other resources than their pod says.
pub(crate) fn changed<'a>(view: &View<'a>) -> Vec<Change<'a>> {
    if view.observed.given.is_empty() {
        return Vec::new();
    }
    let lasting = view.specs().filter(|(role, _)| *role != Role::Init);
    let changes = lasting.filter_map(|(_, spec)| {
        let container = view.latest_here(&spec.name)?;
        let differs = container.state.is_running() && differs(view, container, spec);
        differs.then_some(Change { container, spec })
    });
    changes.collect()
}

fn differs(view: &View<'_>, container: &Container, spec: &v1::Container) -> bool {
    let given = view.observed.given.get(&container.id);
    given.is_some_and(|given| match &spec.resources {
        Some(wanted) => !is_same(given, wanted),
        None => !is_same(given, &ResourceRequirements::default()),
    })
}

/// Whether a container has to be started anew to have what its pod says now.
pub(crate) fn restarts(view: &View<'_>, container: &Container, spec: &v1::Container) -> bool {
    let (Some(given), None) = (view.observed.given.get(&container.id), &view.observed.wait) else {
        return false;
    };
    let empty = ResourceRequirements::default();
    let policies = || spec.resize_policy.iter().flatten();
    changes(given, spec.resources.as_ref().unwrap_or(&empty))
        .any(|name| policies().any(|policy| policy.resource_name == name && policy.restart_policy == RESTART))
}

/// The pod as its containers are: with the resources that were given them.
pub(crate) fn as_given(pod: &Pod, observed: &Observed) -> PodSpec {
    let mut spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.iter_mut().flatten();
    for container in inits.chain(&mut spec.containers) {
        let named = observed
            .containers
            .iter()
            .filter(|one| one.name == container.name);
        let newest = named.max_by_key(|one| one.attempt);
        if let Some(given) = newest.and_then(|newest| observed.given.get(&newest.id)) {
            container.resources = Some(given.clone());
        }
    }
    spec
}

/// What of a container's limits is changed while it runs.
pub(crate) fn limits(spec: &v1::Container) -> Resources {
    let cpu = request(spec, "cpu").and_then(milli).unwrap_or(0);
    Resources {
        cpu_shares: Some(super::qos::shares(cpu)),
        cpu_limit_millis: limit(spec, "cpu").and_then(milli),
        memory_limit_bytes: limit(spec, "memory").and_then(value),
        ..Resources::default()
    }
}

/// What a pod's group is raised to before its containers are: the larger of what it had and what it is to have.
pub(crate) fn raised(from: &Resources, to: &Resources) -> Resources {
    let larger = |from: Option<u64>, to: Option<u64>| match (from, to) {
        (Some(from), Some(to)) => Some(from.max(to)),
        _ => None,
    };
    Resources {
        cpu_shares: from.cpu_shares.max(to.cpu_shares),
        cpu_limit_millis: larger(from.cpu_limit_millis, to.cpu_limit_millis),
        memory_limit_bytes: larger(from.memory_limit_bytes, to.memory_limit_bytes),
        ..Resources::default()
    }
}

/// What a container's status says that it has, and what of its requests the node keeps for it.
pub(crate) fn told(
    view: &View<'_>,
    container: &Container,
    spec: &v1::Container,
) -> (Option<ResourceRequirements>, Option<BTreeMap<String, Quantity>>) {
    let Some(given) = view.observed.given.get(&container.id) else {
        return (None, None);
    };
    let kept = match (&view.observed.wait, &spec.resources) {
        (None, Some(wanted)) => wanted.requests.clone(),
        _ => given.requests.clone(),
    };
    let is_any = given.requests.is_some() || given.limits.is_some();
    (is_any.then(|| given.clone()), kept)
}
