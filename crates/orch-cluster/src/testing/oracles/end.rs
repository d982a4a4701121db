//! What must hold when all is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::testing::simulation::{Oracle, State};

use super::{is_over, node_of};
use crate::testing::Machines;

/// In the end every ReplicaSet has as many pods as it asks for, and nothing is left whose owners are all gone.
pub struct Replicas;

impl Oracle for Replicas {
    fn name(&self) -> &str {
        "replicas"
    }

    fn settled(&mut self, state: &State) -> Result<(), String> {
        no_orphan(state)?;
        let pods = state.all::<Pod>();
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

fn no_orphan(state: &State) -> Result<(), String> {
    let uids: BTreeSet<&str> = state.documents().map(|document| &*document.meta().uid).collect();
    for document in state.documents() {
        let owners = &document.meta().owner_references;
        if let Some(owner) = owners.first()
            && owners.iter().all(|owner| !uids.contains(&*owner.uid))
        {
            return Err(format!(
                "{} {}: its owner {} is gone",
                document.kind(),
                document.key(),
                owner.name
            ));
        }
    }
    Ok(())
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
