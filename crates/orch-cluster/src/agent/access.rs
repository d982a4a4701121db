//! Reaching into a pod's containers: logs, commands, streams, figures.

use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::Pod;
use orch_core::cache::Cache;
use orch_core::object::ObjectKey;
use orch_core::runtime::{
    AttachOptions, Container, ContainerFilter, ContainerStats, ExecOutput, ExecRequest, LogChunk, LogOptions,
    Runtime, RuntimeError, Session,
};

/// Why a container could not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// This agent has no such pod.
    #[error("pod {namespace}/{name} does not run on node {node}")]
    NoPod {
        /// The namespace asked for.
        namespace: String,
        /// The pod asked for.
        name: String,
        /// The agent's node.
        node: String,
    },
    /// The pod has several containers and none was named, or none of that name.
    #[error("pod {pod}: container {asked:?} is not one of {known:?}")]
    NoContainer {
        /// Namespace and name of the pod.
        pod: String,
        /// The container asked for; empty if none was.
        asked: String,
        /// The containers of the pod.
        known: Vec<String>,
    },
    /// It was not made yet, or no earlier one is kept.
    #[error("pod {pod}: there is no {which} container {container:?}")]
    NotMade {
        /// Namespace and name of the pod.
        pod: String,
        /// The container.
        container: String,
        /// `running`, `created` or `previous`.
        which: &'static str,
    },
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Which container of which pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerAt {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name; none: the only one, else the first (or the one that the pod's annotation
    /// `kubectl.kubernetes.io/default-container` names).
    pub container: Option<String>,
}

impl ContainerAt {
    /// The default container of a pod.
    pub fn new(namespace: impl Into<String>, pod: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            pod: pod.into(),
            container: None,
        }
    }

    /// The container of this name.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }
}

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The way to the containers of one node's pods, for others than who holds its agent; cheap to clone. It leads somewhere as
/// long as the agent runs.
#[derive(Clone)]
pub struct NodeAccess {
    node: Arc<str>,
    runtime: Arc<dyn Runtime>,
    pods: Cache<Pod>,
}

impl NodeAccess {
    pub(super) fn new(node: &str, runtime: Arc<dyn Runtime>, pods: Cache<Pod>) -> Self {
        Self {
            node: node.into(),
            runtime,
            pods,
        }
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// A pod of this node.
    pub fn pod(&self, key: &ObjectKey) -> Option<Arc<Pod>> {
        self.pods.get(key)
    }

    /// What a container wrote; with `previous`, what the one before it wrote, if it is still kept.
    pub async fn logs(
        &self,
        at: &ContainerAt,
        previous: bool,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, AccessError> {
        let container = self.find(at, previous).await?;
        Ok(self.runtime.logs(&container.id, options).await?)
    }

    /// Runs a command in a container and returns what it wrote.
    pub async fn exec(&self, at: &ContainerAt, request: &ExecRequest) -> Result<ExecOutput, AccessError> {
        let container = self.find(at, false).await?;
        Ok(self.runtime.exec(&container.id, request).await?)
    }

    /// Starts a command in a container and hands over its streams.
    pub async fn open_exec(&self, at: &ContainerAt, request: &ExecRequest) -> Result<Session, AccessError> {
        let container = self.find(at, false).await?;
        Ok(self.runtime.open_exec(&container.id, request).await?)
    }

    /// Connects to the streams of a container.
    pub async fn attach(&self, at: &ContainerAt, options: &AttachOptions) -> Result<Session, AccessError> {
        let container = self.find(at, false).await?;
        Ok(self.runtime.attach(&container.id, options).await?)
    }

    /// What a container uses.
    pub async fn stats(&self, at: &ContainerAt) -> Result<ContainerStats, AccessError> {
        let container = self.find(at, false).await?;
        Ok(self.runtime.stats(&container.id).await?)
    }

    async fn find(&self, at: &ContainerAt, previous: bool) -> Result<Container, AccessError> {
        let key = ObjectKey::new(Some(&at.namespace), &at.pod);
        let pod = self.pod(&key).ok_or_else(|| AccessError::NoPod {
            namespace: at.namespace.clone(),
            name: at.pod.clone(),
            node: self.node.to_string(),
        })?;
        let name = choose(&pod, at)?;
        let filter = ContainerFilter {
            pod_uid: pod.metadata.uid.clone(),
            ..ContainerFilter::default()
        };
        let mut named: Vec<_> = self.runtime.containers(&filter).await?;
        named.retain(|container| container.name == name);
        named.sort_by_key(|container| std::cmp::Reverse(container.attempt));
        let found = named.into_iter().nth(usize::from(previous));
        found.ok_or_else(|| AccessError::NotMade {
            pod: key.to_string(),
            container: name,
            which: if previous { "previous" } else { "created" },
        })
    }
}

impl fmt::Debug for NodeAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeAccess")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

fn choose(pod: &Pod, at: &ContainerAt) -> Result<String, AccessError> {
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| {
        spec.containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
    });
    let known: Vec<String> = all.map(|container| container.name.clone()).collect();
    let default = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(DEFAULT_CONTAINER));
    let asked = at
        .container
        .as_ref()
        .or(default)
        .or(known.first())
        .cloned()
        .unwrap_or_default();
    if known.contains(&asked) {
        return Ok(asked);
    }
    Err(AccessError::NoContainer {
        pod: format!("{}/{}", at.namespace, at.pod),
        asked,
        known,
    })
}
