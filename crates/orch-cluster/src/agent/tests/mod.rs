//! Tests of the whole agent on the fake runtime, in virtual time.

mod images;
mod lifecycle;
mod node;
mod resize;
mod survival;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Node, NodeCondition, Pod, Secret};
use orch_core::client::{Client, DeleteParams, ListParams, Patch};
use orch_core::random::Random;
use orch_core::runtime::{Capabilities, Container, ContainerFilter, LogOptions, Runtime};
use orch_core::store::MemoryStore;
use orch_core::testing::fake_runtime::{Behavior, Call, FakeRuntime, Fault, ImageBehavior, On};
use orch_core::testing::runtime::{Program, Step};
use orch_core::time::ThreadAnchor;

use super::{Agent, AgentConfig, ContainerAt};

/// One node, its runtime and the store; the agent can be killed and started again.
struct World {
    client: Client,
    runtime: FakeRuntime,
    agent: Option<Agent>,
    volumes: tempfile::TempDir,
    _date: ThreadAnchor,
}

impl World {
    async fn new() -> Self {
        Self::on(FakeRuntime::new()).await
    }

    /// All containers are like this.
    async fn behaving(behavior: Behavior) -> Self {
        let runtime = FakeRuntime::new();
        runtime.on(On::Any, behavior);
        Self::on(runtime).await
    }

    async fn with_image(name: &str, behavior: ImageBehavior) -> Self {
        let runtime = FakeRuntime::new();
        runtime.on_image(name, behavior);
        Self::on(runtime).await
    }

    async fn on(runtime: FakeRuntime) -> Self {
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let date = orch_core::time::anchor_thread(start);
        let client = crate::agent::testkit::client(Arc::new(MemoryStore::new())).random(Random::seeded(1));
        let mut world = Self {
            client: client.build(),
            runtime,
            agent: None,
            volumes: tempfile::tempdir().unwrap(),
            _date: date,
        };
        world.start_agent().await;
        world
    }

    async fn start_agent(&mut self) {
        self.begin_agent();
        self.agent.as_ref().unwrap().ready().await;
    }

    fn begin_agent(&mut self) {
        let config = AgentConfig::new("n1")
            .random(Random::seeded(2))
            .volumes_dir(self.volumes.path())
            .capacity("cpu", "4")
            .capacity("memory", "8Gi");
        self.agent = Some(Agent::start(
            self.client.clone(),
            Arc::new(self.runtime.clone()),
            config,
        ));
    }

    async fn create(&self, name: &str, spec: &str) -> Pod {
        let mut pod: Pod = serde_json::from_str(&format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "default"}}, "spec": {spec}}}"#
        ))
        .unwrap();
        pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        self.client.api::<Pod>("default").create(&pod).await.unwrap()
    }

    async fn delete(&self, name: &str) {
        let pods = self.client.api::<Pod>("default");
        pods.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Without grace: the object is gone at once.
    async fn delete_now(&self, name: &str) {
        let pods = self.client.api::<Pod>("default");
        pods.delete(name, &DeleteParams::now()).await.unwrap();
    }

    /// What the pod's only container has written first.
    async fn first_words(&self, name: &str) -> String {
        let (agent, at) = (self.agent.as_ref().unwrap(), ContainerAt::new("default", name));
        let mut logs = agent
            .access()
            .logs(&at, false, &LogOptions::default())
            .await
            .unwrap();
        let chunk = futures::StreamExt::next(&mut logs).await.unwrap().unwrap();
        String::from_utf8(chunk.data.to_vec()).unwrap()
    }

    /// The node's condition `Ready`.
    async fn node_ready(&self) -> NodeCondition {
        let node = self.client.all::<Node>().get("n1").await.unwrap();
        let conditions = node.status.unwrap().conditions.unwrap().into_iter();
        conditions
            .into_iter()
            .find(|condition| condition.type_ == "Ready")
            .unwrap()
    }

    async fn pod(&self, name: &str) -> Pod {
        self.client.api::<Pod>("default").get(name).await.unwrap()
    }

    /// Waits, at most ten minutes of virtual time, until the pod is as wanted.
    async fn until(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let waiting = async {
            loop {
                let pod = self.pod(name).await;
                if wanted(&pod) {
                    return pod;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(600), waiting).await {
            Ok(pod) => pod,
            Err(_) => panic!("{name} is {:#?}", self.pod(name).await.status),
        }
    }

    async fn until_gone(&self, name: &str) {
        let pods = self.client.api::<Pod>("default");
        let waiting = async {
            while pods.get_opt(name).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(600), waiting)
            .await
            .expect("the pod goes in time");
    }

    async fn containers(&self) -> Vec<Container> {
        self.runtime
            .containers(&ContainerFilter::default())
            .await
            .unwrap()
    }

    async fn running(&self, name: &str) -> Vec<Container> {
        let mut all = self.containers().await;
        all.retain(|container| container.name == name && container.state.is_running());
        all
    }

    async fn reasons(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = self
            .client
            .all::<Event>()
            .list(&ListParams::default())
            .await
            .unwrap();
        let mut reasons: Vec<_> = events
            .items
            .into_iter()
            .filter_map(|event| event.reason)
            .collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }
}

const ONE: &str = r#"{"containers": [{"name": "c", "image": "web:1"}]}"#;

fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready") == Some("True")
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .map(|condition| condition.status.as_str())
}

/// Of the pod's first container.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn restarts(pod: &Pod) -> i32 {
    container(pod).map_or(0, |status| status.restart_count)
}

fn phase(pod: &Pod) -> &str {
    pod.status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn waiting(pod: &Pod) -> Option<&str> {
    container(pod)?
        .state
        .as_ref()?
        .waiting
        .as_ref()?
        .reason
        .as_deref()
}

/// What the container that waits has to say of it.
fn waits_for(pod: &Pod) -> &str {
    let state = container(pod).unwrap().state.as_ref().unwrap();
    state.waiting.as_ref().unwrap().message.as_deref().unwrap()
}
