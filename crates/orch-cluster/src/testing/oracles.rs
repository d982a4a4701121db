//! What every cluster must satisfy, whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::object::Quantity;
use orch_core::store::Key;
use orch_core::testing::simulation::{Oracle, State, Written};

use super::{Machines, normal};

/// A pod that is bound stays where it is, and no node is given more than it has.
#[derive(Default)]
pub struct Bindings {
    /// Where each pod, by uid, was bound.
    bound: BTreeMap<String, String>,
    /// What the pods take that each node holds, by the pods' keys.
    taken: BTreeMap<String, BTreeMap<Key, Amounts>>,
}

/// Billionths by resource.
type Amounts = BTreeMap<String, i128>;

impl Oracle for Bindings {
    fn name(&self) -> &str {
        "bindings"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(pod) = written.is::<Pod>() else {
            if let Some(pod) = written.was::<Pod>() {
                self.leaves(&pod, written.key);
            }
            return Ok(());
        };
        let (Some(uid), Some(node)) = (pod.metadata.uid.clone(), node_of(&pod)) else {
            return Ok(());
        };
        if is_over(&pod) {
            self.leaves(&pod, written.key);
        }
        match self.bound.get(&uid) {
            Some(before) if before == node => Ok(()),
            Some(before) => Err(format!(
                "{} was bound to {before} and is bound to {node}",
                written.key
            )),
            None => {
                self.bound.insert(uid, node.to_owned());
                let taken = self.taken.entry(node.to_owned()).or_default();
                if !is_over(&pod) {
                    taken.insert(written.key.clone(), takes(&pod));
                }
                fits(written.state, node, taken)
            }
        }
    }
}

impl Bindings {
    fn leaves(&mut self, pod: &Pod, key: &Key) {
        if let Some(taken) = node_of(pod).and_then(|node| self.taken.get_mut(node)) {
            taken.remove(key);
        }
    }
}

fn takes(pod: &Pod) -> Amounts {
    let mut amounts = Amounts::from([("pods".to_owned(), 1_000_000_000)]);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    for (name, amount) in containers
        .filter_map(|container| container.resources.as_ref()?.requests.as_ref())
        .flatten()
    {
        *amounts.entry(name.clone()).or_default() += nanos(&amount.0);
    }
    amounts
}

fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (!node.is_empty()).then_some(node)
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether what a node was given is no more than it has.
fn fits(state: &State, name: &str, taken: &BTreeMap<Key, Amounts>) -> Result<(), String> {
    let nodes = state.all::<Node>();
    // Bound to a node that is gone: the node's lifecycle removes the pod.
    let Some(node) = nodes
        .iter()
        .find(|node| node.metadata.name.as_deref() == Some(name))
    else {
        return Ok(());
    };
    let mut sums = BTreeMap::<&str, i128>::new();
    for (resource, amount) in taken.values().flatten() {
        *sums.entry(resource).or_default() += amount;
    }
    let offered = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    for (resource, taken) in sums {
        let offered = offered.and_then(|offered| offered.get(resource));
        let offered = offered.map_or(0, |amount| nanos(&amount.0));
        if taken > offered {
            return Err(format!(
                "node {name} has {offered} billionths of {resource} and was given {taken}"
            ));
        }
    }
    Ok(())
}

fn nanos(amount: &str) -> i128 {
    amount.parse().map_or(0, Quantity::nanos)
}

/// What a Deployment asks of its ReplicaSets together is never more than its replicas and its surge, unless it has just
/// been given fewer.
#[derive(Default)]
pub struct Deployments {
    /// The most that each, by uid, allowed since its controller has seen all of its spec.
    allowed: BTreeMap<String, i32>,
}

impl Oracle for Deployments {
    fn name(&self) -> &str {
        "surge"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        if let Some(deployment) = written.is::<Deployment>() {
            let (Some(uid), Some(most)) = (deployment.metadata.uid.clone(), most_of(&deployment)) else {
                return Ok(());
            };
            let seen = deployment
                .status
                .as_ref()
                .and_then(|status| status.observed_generation);
            let before = self.allowed.entry(uid).or_insert(most);
            *before = if seen == deployment.metadata.generation {
                most
            } else {
                most.max(*before)
            };
            return Ok(());
        }
        let Some(set) = written.is::<ReplicaSet>() else {
            return Ok(());
        };
        let Some(owner) = controller_of(&set) else {
            return Ok(());
        };
        let sets = written.state.all::<ReplicaSet>();
        let asked: i32 = sets
            .iter()
            .filter(|set| controller_of(set) == Some(owner))
            .filter_map(|set| set.spec.replicas)
            .sum();
        match self.allowed.get(owner) {
            Some(allowed) if asked > *allowed => Err(format!(
                "the sets of {} ask for {asked} pods, and {allowed} are allowed",
                written.key
            )),
            _ => Ok(()),
        }
    }
}

fn controller_of(set: &ReplicaSet) -> Option<&str> {
    let owners = set.metadata.owner_references.as_ref()?;
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// How many pods a Deployment allows at one time.
fn most_of(deployment: &Deployment) -> Option<i32> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

    let spec = &deployment.spec;
    let replicas = spec.replicas.unwrap_or(1);
    let rolling = spec
        .strategy
        .as_ref()
        .and_then(|strategy| strategy.rolling_update.as_ref());
    let surge = match rolling.and_then(|rolling| rolling.max_surge.as_ref()) {
        Some(IntOrString::Int(surge)) => *surge,
        Some(IntOrString::String(share)) => {
            let percent: i32 = share.strip_suffix('%')?.parse().ok()?;
            (replicas * percent + 99) / 100
        }
        None => 0,
    };
    Some(replicas + surge)
}

/// What a controller says it has seen of an object never runs back.
#[derive(Default)]
pub struct Generations(BTreeMap<String, i64>);

impl Oracle for Generations {
    fn name(&self) -> &str {
        "observed generations"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(document) = written.after() else {
            return Ok(());
        };
        let observed = document.lookup("status.observedGeneration");
        let Some(observed) = observed.and_then(|observed| observed.as_i64()) else {
            return Ok(());
        };
        if observed > document.meta().generation {
            return Err(format!(
                "{}: generation {observed} was observed, and there is none such",
                written.key
            ));
        }
        let before = self.0.entry(document.meta().uid.clone()).or_default();
        if observed < *before {
            return Err(format!(
                "{}: observed generation {before}, then {observed}",
                written.key
            ));
        }
        *before = observed;
        Ok(())
    }
}

/// No two components undo each other's writes for ever.
#[derive(Default)]
pub struct Peace(BTreeMap<Key, Feud>);

/// How an object was written lately, in the form in which end states are compared.
struct Feud {
    before: Option<String>,
    now: String,
    by: String,
    /// How many writes in a row put back what another component had just replaced.
    undone: u32,
}

/// So many are a misunderstanding that ends; more are a fight.
const UNDONE: u32 = 6;

impl Oracle for Peace {
    fn name(&self) -> &str {
        "peace"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(form) = written.after().and_then(normal) else {
            self.0.remove(written.key);
            return Ok(());
        };
        let Some(feud) = self.0.get_mut(written.key) else {
            let feud = Feud {
                before: None,
                now: form,
                by: written.by.to_owned(),
                undone: 0,
            };
            self.0.insert(written.key.clone(), feud);
            return Ok(());
        };
        if form == feud.now {
            return Ok(());
        }
        let is_undone = feud.before.as_ref() == Some(&form) && feud.by != written.by;
        feud.undone = if is_undone { feud.undone + 1 } else { 0 };
        let other = std::mem::replace(&mut feud.by, written.by.to_owned());
        feud.before = Some(std::mem::replace(&mut feud.now, form));
        if feud.undone < UNDONE {
            return Ok(());
        }
        Err(format!(
            "{}: {other} and {} undo what the other wrote",
            written.key, written.by
        ))
    }
}

/// In the end every ReplicaSet has as many pods as it asks for, and no pod's owner is gone.
pub struct Replicas;

impl Oracle for Replicas {
    fn name(&self) -> &str {
        "replicas"
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        let pods = state.all::<Pod>();
        let uids: BTreeSet<String> = state
            .documents()
            .map(|document| document.meta().uid.clone())
            .collect();
        for pod in &pods {
            let owners = pod.metadata.owner_references.iter().flatten();
            if let Some(owner) = owners.into_iter().find(|owner| !uids.contains(&owner.uid)) {
                return Err(format!(
                    "pod {:?}: its owner {} is gone",
                    pod.metadata.name, owner.name
                ));
            }
        }
        for set in state.all::<ReplicaSet>() {
            let uid = set.metadata.uid.as_deref().unwrap_or_default();
            let wanted = set.spec.replicas.unwrap_or(1);
            let own = pods.iter().filter(|pod| {
                let mut owners = pod.metadata.owner_references.iter().flatten();
                owners.any(|owner| owner.uid == uid) && !is_over(pod)
            });
            let there = own.count();
            if usize::try_from(wanted) != Ok(there) {
                return Err(format!(
                    "{:?} asks for {wanted} pods and has {there}",
                    set.metadata.name
                ));
            }
        }
        Ok(())
    }
}

/// In the end nothing is still being deleted, and machines hold nothing but the pods bound to them.
pub struct Leftovers(Machines);

impl Leftovers {
    /// Looks at these machines.
    pub fn of(machines: &Machines) -> Self {
        Self(machines.clone())
    }
}

impl Oracle for Leftovers {
    fn name(&self) -> &str {
        "left-overs"
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        if let Some(document) = state.documents().find(|document| document.meta().is_deleting()) {
            return Err(format!(
                "{} {} is still being deleted",
                document.kind(),
                document.key()
            ));
        }
        let pods = state.all::<Pod>();
        for machine in self.0.iter() {
            for sandbox in machine.runtime.present() {
                let is_bound = |pod: &&Arc<Pod>| {
                    pod.metadata.uid.as_deref() == Some(&*sandbox.uid) && node_of(pod) == Some(&*machine.name)
                };
                if pods.iter().find(is_bound).is_none() {
                    return Err(format!(
                        "{} has a sandbox of pod {}/{}, which is not bound there",
                        machine.name, sandbox.namespace, sandbox.name
                    ));
                }
            }
        }
        Ok(())
    }
}
