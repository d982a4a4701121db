//! Pods bound to nodes that nothing here runs: why they do not run, and how they go.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use orch_cluster::cluster::Cluster;
use orch_cluster::kinds::pod::status::is_deleting;
use orch_core::client::{ApiError, Client, DeleteParams};
use orch_core::object::{Object, ObjectKey};

use super::Error;
use super::watch::{Views, uid};

/// The nodes of this cluster: all of them are in this process, which has the state for itself.
#[derive(Debug, Default)]
pub(crate) struct Nodes(BTreeSet<String>);

impl Nodes {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let agents = cluster.agents().iter();
        Self(agents.map(|agent| agent.config().node_name.clone()).collect())
    }

    pub(crate) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    fn all(&self) -> String {
        let names: Vec<_> = self.0.iter().map(String::as_str).collect();
        names.join(", ")
    }

    /// That there is no such node among these, or among those that somebody has named in an object.
    pub(crate) fn missing(&self, node: &str, named: impl Fn(&str) -> bool) -> Option<String> {
        let is_there = self.0.contains(node) || named(node);
        (!is_there).then(|| format!("node {node:?} does not exist (there is: {})", self.all()))
    }

    /// Why nothing runs a pod that is bound; none: its node is one of these, or is yet to be chosen.
    fn why(&self, pod: &Pod, named: impl Fn(&str) -> bool) -> Option<String> {
        let node = node_of(pod).filter(|node| !self.0.contains(*node))?;
        let unrun = || {
            format!(
                "nothing here runs the pods of node {node:?}, only those of: {}",
                self.all()
            )
        };
        Some(self.missing(node, named).unwrap_or_else(unrun))
    }
}

/// The node that a pod is bound to.
pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    let node = pod.spec.as_ref()?.node_name.as_deref()?;
    (!node.is_empty()).then_some(node)
}

impl Views {
    /// Whether there is an object of that name for a node, whoever runs it.
    pub(crate) fn has_node(&self, name: &str) -> bool {
        let node = self.nodes.get(&ObjectKey::new(None, name));
        node.is_some_and(|node| node.metadata.deletion_timestamp.is_none())
    }

    /// Why nothing here runs a pod that is bound.
    pub(crate) fn runs_nowhere(&self, pod: &Pod) -> Option<String> {
        self.local.why(pod, |name| self.has_node(name))
    }

    /// Deletes at once, and for ever, pods that were told to go and that nothing here runs: no agent will say that they
    /// have ended. Kubernetes' pod garbage collection does so when their node has been gone for 40 s.
    pub(crate) async fn let_go(&self, client: &Client) -> Result<(), Error> {
        let mut bell = self.bell.clone();
        loop {
            bell.borrow_and_update();
            for pod in self.pods.list() {
                if is_deleting(&pod) && self.runs_nowhere(&pod).is_some() {
                    release(client, &pod).await?;
                }
            }
            if bell.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

async fn release(client: &Client, pod: &Pod) -> Result<(), Error> {
    let key = pod.key();
    let pods = client.api::<Pod>(key.namespace().unwrap_or_default());
    let at_once = DeleteParams::now().uid(uid(pod));
    match pods.delete(key.name(), &at_once).await {
        // It has gone, or another has come in its place.
        Ok(_) | Err(ApiError::NotFound(_) | ApiError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_of_a_node_that_there_is_not_is_told_which_there_are() {
        let nodes = Nodes(["local".to_owned()].into());
        let pod = |node: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [], "nodeName": node}}))
                .unwrap()
        };
        for (node, why) in [
            (json!("local"), None),
            (json!(null), None),
            (json!(""), None),
            (
                json!("locl"),
                Some("node \"locl\" does not exist (there is: local)"),
            ),
            (
                json!("edge"),
                Some("nothing here runs the pods of node \"edge\", only those of: local"),
            ),
        ] {
            let said = nodes.why(&pod(node), |name| name == "edge");
            assert_eq!(said.as_deref(), why);
        }
    }
}
