//! How many pods a ReplicaSet gives up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_core::testing::simulation::{Oracle, Written};

use super::evictions::is_evicted;
use super::{is_over, node_of, set_of};

/// No ReplicaSet's controller asks for the deletion of more pods than the set has above its replicas, or above the fewest that
/// it asked for since its controller last saw all of its spec.
///
/// Pods that others take, or that end by themselves, count as if they were still there: a right controller may not have
/// learnt of it yet, and nothing tells when it has. What it deleted itself it knows, in each of its lives.
#[derive(Default)]
pub struct Removals {
    /// The fewest that each, by uid, asked for since its controller has seen all of its spec.
    asked: BTreeMap<String, i32>,
    /// The pods, by uid, that each has had and its controller has not deleted.
    had: BTreeMap<String, BTreeSet<String>>,
}

/// What the components are called in which controllers run.
const CONTROLLERS: &str = "controllers";

impl Oracle for Removals {
    fn name(&self) -> &str {
        "removals"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        if let Some(set) = written.is::<ReplicaSet>() {
            self.note(&set);
            return Ok(());
        }
        if let Some(gone) = written.was::<ReplicaSet>() {
            let uid = gone.metadata.uid.as_deref().unwrap_or_default();
            self.asked.remove(uid);
            self.had.remove(uid);
            return Ok(());
        }
        if let Some(pod) = written.is::<Pod>().filter(|pod| is_active(pod)) {
            if let (Some(set), Some(uid)) = (set_of(&pod), &pod.metadata.uid)
                && let Some(had) = self.had.get_mut(set)
            {
                had.insert(uid.clone());
            }
            return Ok(());
        }
        match written.was::<Pod>().filter(|pod| is_active(pod)) {
            Some(pod) if is_for_the_set(written, &pod) => self.deleted(&pod, written),
            _ => Ok(()),
        }
    }
}

impl Removals {
    fn note(&mut self, set: &ReplicaSet) {
        let Some(uid) = &set.metadata.uid else { return };
        let asks = set.spec.replicas.unwrap_or(1);
        let status = set.status.as_ref();
        let is_seen = status.and_then(|status| status.observed_generation) == set.metadata.generation;
        let fewest = self.asked.entry(uid.clone()).or_insert(asks);
        *fewest = if is_seen { asks } else { asks.min(*fewest) };
        self.had.entry(uid.clone()).or_default();
    }

    fn deleted(&mut self, pod: &Pod, written: &Written<'_>) -> Result<(), String> {
        let set = set_of(pod).unwrap_or_default();
        let (Some(had), Some(asked)) = (self.had.get_mut(set), self.asked.get(set)) else {
            return Ok(());
        };
        had.remove(pod.metadata.uid.as_deref().unwrap_or_default());
        match usize::try_from(*asked) {
            Ok(asked) if had.len() < asked => Err(format!(
                "{} is deleted by {}: its set asked for {asked} pods and is left {} at most",
                written.key,
                written.by,
                had.len()
            )),
            _ => Ok(()),
        }
    }
}

fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !is_over(pod)
}

/// Whether a pod that was active, and now is being deleted or gone, can have been deleted for nothing but the number of pods that
/// its set asks for. Controllers of other kinds, which are in the same component, delete those of sets and namespaces that go, of
/// nodes that drive them away, and of nodes that are gone.
fn is_for_the_set(written: &Written<'_>, pod: &Pod) -> bool {
    let is_deleted = written
        .is::<Pod>()
        .is_none_or(|is| is.metadata.deletion_timestamp.is_some());
    if !is_deleted || !written.by.starts_with(CONTROLLERS) || is_evicted(pod) {
        return false;
    }
    let state = written.state;
    let stays = |meta: &ObjectMeta| meta.deletion_timestamp.is_none();
    let is_its = |set: &Arc<ReplicaSet>| set.metadata.uid.as_deref() == set_of(pod) && stays(&set.metadata);
    let is_in = |namespace: &Arc<Namespace>| namespace.metadata.name == pod.metadata.namespace;
    let is_on = |node: &Arc<Node>| node.metadata.name.as_deref() == node_of(pod);
    let mut namespaces = state.all::<Namespace>().into_iter().filter(is_in);
    state.all::<ReplicaSet>().iter().any(is_its)
        && namespaces.all(|namespace| stays(&namespace.metadata))
        && (node_of(pod).is_none() || state.all::<Node>().iter().any(is_on))
}
