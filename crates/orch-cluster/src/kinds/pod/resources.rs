//! The quality of service that a pod's requests and limits give it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;
use orch_core::object::Quantity;

use crate::kinds::raw::{Raw, child, items};

/// Kubernetes' quality of service classes: who gives way first when a node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QosClass {
    /// Asks for nothing, and gives way first.
    BestEffort,
    /// Asks for less than it may use.
    Burstable,
    /// Every container may use exactly what it asks for, of cpu and of memory.
    Guaranteed,
}

impl QosClass {
    /// As in `status.qosClass`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

impl std::fmt::Display for QosClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The class of a raw pod spec with its defaults filled.
///
/// Amounts that cannot be read count as none: validation refuses them.
pub fn qos_class_of(spec: &Raw) -> QosClass {
    let pod = child(spec, "resources").filter(|resources| !resources.is_empty());
    let containers = items(spec, "containers").chain(items(spec, "initContainers"));
    let of_containers = containers.map(|container| child(container, "resources"));
    let all: Vec<Option<&Raw>> = match pod {
        Some(resources) => vec![Some(resources)],
        None => of_containers.collect(),
    };
    let amount = |resources: Option<&Raw>, list: &str, name: &str| {
        let text = child(resources?, list)?.get(name)?.as_str()?;
        text.parse()
            .ok()
            .filter(|amount: &Quantity| *amount > Quantity::ZERO)
    };
    classify(all.into_iter().map(|resources| {
        ["cpu", "memory"].map(|name| {
            (
                amount(resources, "requests", name),
                amount(resources, "limits", name),
            )
        })
    }))
}

/// The class of a pod with its defaults filled (`GetPodQOS`).
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let all: Vec<Option<&ResourceRequirements>> = match &spec.resources {
        Some(resources) if resources.limits.is_some() || resources.requests.is_some() => {
            vec![Some(resources)]
        }
        _ => containers.map(|container| container.resources.as_ref()).collect(),
    };
    let amount = |list: Option<&BTreeMap<String, WireQuantity>>, name: &str| {
        let amount: Quantity = list?.get(name)?.0.parse().ok()?;
        Some(amount).filter(|amount| *amount > Quantity::ZERO)
    };
    classify(all.into_iter().map(|resources| {
        ["cpu", "memory"].map(|name| {
            let requests = resources.and_then(|resources| resources.requests.as_ref());
            let limits = resources.and_then(|resources| resources.limits.as_ref());
            (amount(requests, name), amount(limits, name))
        })
    }))
}

/// Looks at (request, limit) of cpu and memory, container by container.
fn classify(containers: impl Iterator<Item = [(Option<Quantity>, Option<Quantity>); 2]>) -> QosClass {
    let (mut asks, mut guaranteed) = (false, true);
    for (request, limit) in containers.flatten() {
        asks |= request.is_some() || limit.is_some();
        guaranteed &= limit.is_some() && request == limit;
    }
    match (asks, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}
