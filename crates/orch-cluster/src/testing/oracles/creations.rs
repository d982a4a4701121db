//! How many pods a ReplicaSet makes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_core::testing::simulation::{Oracle, Written};

use super::{is_over, set_of};

/// No ReplicaSet has more pods made than it asks for, or asked for last before its controller saw it ask for fewer; pods that
/// are over, or being deleted, do not count.
#[derive(Default)]
pub struct Creations {
    /// The most that each, by uid, asked for since its controller has seen all of its spec.
    asked: BTreeMap<String, i32>,
}

impl Oracle for Creations {
    fn name(&self) -> &str {
        "creations"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        if let Some(set) = written.is::<ReplicaSet>() {
            let Some(uid) = set.metadata.uid.clone() else {
                return Ok(());
            };
            let asks = set.spec.replicas.unwrap_or(1);
            let status = set.status.as_ref();
            let is_seen = status.and_then(|status| status.observed_generation) == set.metadata.generation;
            let most = self.asked.entry(uid).or_insert(asks);
            *most = if is_seen { asks } else { asks.max(*most) };
            return Ok(());
        }
        let Some(made) = written.is::<Pod>().filter(|_| written.before().is_none()) else {
            return Ok(());
        };
        let Some((set, asked)) = set_of(&made).and_then(|set| Some((set, *self.asked.get(set)?))) else {
            return Ok(());
        };
        let pods = written.state.all::<Pod>();
        let counts = |pod: &&std::sync::Arc<Pod>| {
            set_of(pod) == Some(set) && pod.metadata.deletion_timestamp.is_none() && !is_over(pod)
        };
        let there = pods.iter().filter(counts).count();
        match usize::try_from(asked) {
            Ok(asked) if there <= asked => Ok(()),
            _ => Err(format!(
                "{} was made: there are {there}, and its set asks for {asked}",
                written.key
            )),
        }
    }
}
