//! Where pods are bound, and what nodes are given.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use orch_core::object::Quantity;
use orch_core::store::Key;
use orch_core::testing::simulation::{Oracle, State, Written};

use super::{is_over, node_of};

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
