//! Tells what this agent made in a runtime from what others did.
//!
//! Several agents may share a runtime: nodes of one cluster given the same one, or programs on one engine. What
//! belongs to no pod is removed only if this agent's own node and cluster are written on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use orch_core::client::{ApiError, Client};

use super::mailbox::Snapshot;

/// The name of the node that a sandbox or container was made for.
const NODE_ANNOTATION: &str = "orch.node";
/// The annotation of sandboxes and containers that holds the [identity](super::AgentConfig::cluster_id) of the cluster
/// that they were made for.
pub const CLUSTER_ANNOTATION: &str = "orch.cluster";

/// The namespace whose uid, by custom, identifies a cluster.
const IDENTITY: &str = "kube-system";

/// For whom an agent makes sandboxes and containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Its node.
    pub(crate) node: String,
    /// Its cluster.
    pub(crate) cluster: String,
}

impl Owner {
    /// Writes it on what is being made.
    pub(crate) fn mark(&self, annotations: &mut BTreeMap<String, String>) {
        annotations.insert(NODE_ANNOTATION.to_owned(), self.node.clone());
        annotations.insert(CLUSTER_ANNOTATION.to_owned(), self.cluster.clone());
    }

    /// Whether what a runtime has of a pod was made for this owner. What carries no mark was made by nobody we
    /// know, and is not ours to remove.
    pub(crate) fn made(&self, found: &Snapshot) -> bool {
        let sandboxes = found.sandboxes.iter().map(|sandbox| &sandbox.annotations);
        let containers = found.containers.iter().map(|container| &container.annotations);
        let marks = |annotations: &Arc<BTreeMap<String, String>>| {
            let mark = |key| annotations.get(key).cloned();
            Some((mark(NODE_ANNOTATION)?, mark(CLUSTER_ANNOTATION)?))
        };
        let mut marked = sandboxes.chain(containers).filter_map(marks).peekable();
        marked.peek().is_some() && marked.all(|(node, cluster)| node == self.node && cluster == self.cluster)
    }
}

/// What identifies the cluster whose store this is. Makes the namespace that says so where there is none yet.
pub(crate) async fn cluster_id(client: &Client) -> Result<String, ApiError> {
    let namespaces = client.all::<Namespace>();
    let namespace = match namespaces.get_opt(IDENTITY).await? {
        Some(namespace) => namespace,
        None => {
            let wanted = Namespace {
                metadata: ObjectMeta {
                    name: Some(IDENTITY.to_owned()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            };
            match namespaces.create(&wanted).await {
                // Somebody else was faster.
                Err(ApiError::AlreadyExists(_)) => namespaces.get(IDENTITY).await?,
                created => created?,
            }
        }
    };
    Ok(namespace.metadata.uid.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testkit::Model;

    #[test]
    fn only_what_carries_both_marks_is_ours() {
        let owner = |node: &str, cluster: &str| Owner {
            node: node.into(),
            cluster: cluster.into(),
        };
        let ours = owner("n", "c");
        let (all, none) = (vec![Some(&ours); 2], vec![None, None]);
        let (node, cluster) = (owner("m", "c"), owner("n", "d"));
        let cases = [
            (all, true),
            (none, false),
            (vec![Some(&node); 2], false),
            (vec![Some(&cluster); 2], false),
            (vec![Some(&ours), None], true),
            (vec![Some(&ours), Some(&node)], false),
        ];
        for (marks, expected) in cases {
            let mut model = Model::running(r#"{"containers": [{"name": "c", "image": "i"}]}"#);
            let on = [
                &mut model.observed.sandboxes[0].annotations,
                &mut model.observed.containers[0].annotations,
            ];
            for (annotations, mark) in on.into_iter().zip(&marks) {
                mark.inspect(|mark| mark.mark(Arc::make_mut(annotations)));
            }
            let found = Snapshot {
                sandboxes: model.observed.sandboxes,
                containers: model.observed.containers,
                ..Snapshot::default()
            };
            assert_eq!(ours.made(&found), expected, "{marks:?}");
        }
        assert!(!ours.made(&Snapshot::default()));
    }
}
