//! Tests of the whole agent on the fake runtime, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret};
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
    _date: ThreadAnchor,
}

impl World {
    async fn new() -> Self {
        Self::on(FakeRuntime::new()).await
    }

    async fn on(runtime: FakeRuntime) -> Self {
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let date = orch_core::time::anchor_thread(start);
        let client = super::testkit::client(Arc::new(MemoryStore::new())).random(Random::seeded(1));
        let mut world = Self { client: client.build(), runtime, agent: None, _date: date };
        world.start_agent().await;
        world
    }

    async fn start_agent(&mut self) {
        self.begin_agent();
        self.agent.as_ref().unwrap().ready().await;
    }

    fn begin_agent(&mut self) {
        let config = AgentConfig::new("n1").random(Random::seeded(2)).capacity("cpu", "4").capacity("memory", "8Gi");
        self.agent = Some(Agent::start(self.client.clone(), Arc::new(self.runtime.clone()), config));
    }

    async fn create(&self, name: &str, spec: &str) -> Pod {
        let mut pod: Pod = serde_json::from_str(&format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "default"}}, "spec": {spec}}}"#
        ))
        .unwrap();
        pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        self.client.api::<Pod>("default").create(&pod).await.unwrap()
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
        tokio::time::timeout(Duration::from_secs(600), waiting).await.expect("the pod goes in time");
    }

    async fn containers(&self) -> Vec<Container> {
        self.runtime.containers(&ContainerFilter::default()).await.unwrap()
    }

    async fn running(&self, name: &str) -> Vec<Container> {
        let mut all = self.containers().await;
        all.retain(|container| container.name == name && container.state.is_running());
        all
    }

    async fn reasons(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = self.client.all::<Event>().list(&ListParams::default()).await.unwrap();
        let mut reasons: Vec<_> = events.items.into_iter().filter_map(|event| event.reason).collect();
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
    conditions.iter().find(|condition| condition.type_ == type_).map(|condition| condition.status.as_str())
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|statuses| statuses.first()).map_or(0, |status| status.restart_count)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn waiting(pod: &Pod) -> Option<&str> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

#[tokio::test(start_paused = true)]
async fn a_pod_becomes_ready_with_one_status_write() {
    let world = World::new().await;
    let created = world.create("web", ONE).await;
    let pod = world.until("web", is_ready).await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(phase(&pod), "Running");
    assert!(status.pod_ip.is_some() && status.start_time.is_some());
    let container = &status.container_statuses.as_ref().unwrap()[0];
    assert!(container.container_id.as_ref().unwrap().starts_with("fake://"));
    let version = |pod: &Pod| pod.metadata.resource_version.as_ref().unwrap().parse::<u64>().unwrap();
    assert_eq!(version(&pod), version(&created) + 1, "nothing else was written meanwhile");
    assert_eq!(world.reasons().await, ["Created", "Pulled", "Started"]);
    assert_eq!(world.pod("web").await.metadata.resource_version, pod.metadata.resource_version);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_backs_off_and_says_so() {
    let runtime = FakeRuntime::new();
    runtime.on(On::Any, Behavior::new().crash(3, 7));
    let world = World::on(runtime).await;
    let begun = tokio::time::Instant::now();
    world.create("web", ONE).await;
    let pod = world.until("web", |pod| waiting(pod) == Some("CrashLoopBackOff") && restarts(pod) == 1).await;
    let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    let message = status.state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    assert!(message.starts_with("back-off 10s restarting failed container=c pod=web_default("), "{message}");
    let last = status.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
    let pod = world.until("web", is_ready).await;
    assert_eq!(restarts(&pod), 3);
    assert_eq!(begun.elapsed().as_secs(), 30, "at once, after 10 s, after 20 s");
    assert!(world.reasons().await.contains(&"BackOff".to_owned()));
    assert_eq!(world.containers().await.len(), 2, "the newest and the one before it are kept");
}

#[tokio::test(start_paused = true)]
async fn a_killed_container_is_back_at_once() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    let id = world.running("c").await[0].id.clone();
    let begun = tokio::time::Instant::now();
    world.runtime.kill(&id, 137);
    world.until("web", |pod| restarts(pod) == 1 && is_ready(pod)).await;
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_finishes_succeeds_and_keeps_its_logs() {
    let runtime = FakeRuntime::new();
    runtime.on(On::Any, Behavior::new().run(Program::new().out("done\n").exit(0)));
    let world = World::on(runtime).await;
    world.create("job", r#"{"restartPolicy": "Never", "containers": [{"name": "c", "image": "job:1"}]}"#).await;
    let pod = world.until("job", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(condition(&pod, "Ready"), Some("False"));
    let agent = world.agent.as_ref().unwrap();
    let at = ContainerAt::new("default", "job");
    let logs = agent.logs(&at, false, &LogOptions::default()).await.unwrap();
    let logs: Vec<_> = futures::StreamExt::collect::<Vec<_>>(logs).await;
    assert_eq!(&logs[0].as_ref().unwrap().data[..], b"done\n");
    assert!(agent.logs(&at.clone().container("x"), false, &LogOptions::default()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_ends_within_its_grace_and_leaves_nothing() {
    let runtime = FakeRuntime::new();
    runtime.on(On::container("stubborn"), Behavior::new().run(Program::new().then(Step::Ignore("TERM".into())).wait()));
    let world = World::on(runtime).await;
    let spec = r#"{"terminationGracePeriodSeconds": 5,
        "containers": [{"name": "stubborn", "image": "web:1"}, {"name": "kind", "image": "web:1"}]}"#;
    world.create("web", spec).await;
    world.until("web", is_ready).await;
    let begun = tokio::time::Instant::now();
    world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
    let ending = world.until("web", |pod| condition(pod, "Ready") == Some("False")).await;
    assert!(ending.metadata.deletion_timestamp.is_some());
    world.until_gone("web").await;
    let took = begun.elapsed().as_secs();
    assert!((4..=6).contains(&took), "{took}");
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
    assert!(world.reasons().await.contains(&"Killing".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_force_deleted_pod_leaves_nothing() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.client.api::<Pod>("default").delete("web", &DeleteParams::now()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_its_image_is_pulled_does_not_wait_for_it() {
    let runtime = FakeRuntime::new();
    runtime.on_image("slow:1", ImageBehavior::absent().pull_delay(Duration::from_secs(300)));
    let world = World::on(runtime).await;
    world.create("web", r#"{"containers": [{"name": "c", "image": "slow:1"}]}"#).await;
    world.until("web", |pod| waiting(pod) == Some("ContainerCreating")).await;
    let begun = tokio::time::Instant::now();
    world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
    world.until_gone("web").await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_pull_is_told_and_tried_again() {
    let runtime = FakeRuntime::new();
    runtime.on_image("web:1", ImageBehavior::absent().pull_fails(2, "no such manifest", false));
    let world = World::on(runtime).await;
    let begun = tokio::time::Instant::now();
    world.create("web", ONE).await;
    let pod = world.until("web", |pod| waiting(pod) == Some("ErrImagePull")).await;
    assert_eq!(phase(&pod), "Pending");
    world.until("web", |pod| waiting(pod) == Some("ImagePullBackOff")).await;
    world.until("web", is_ready).await;
    assert_eq!(begun.elapsed().as_secs(), 30, "after 10 s and after 20 s");
    let reasons = world.reasons().await;
    assert!(reasons.contains(&"Failed".to_owned()) && reasons.contains(&"Pulling".to_owned()), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_may_not_be_pulled_is_missed() {
    let runtime = FakeRuntime::new();
    runtime.on_image("web:1", ImageBehavior::absent());
    let world = World::on(runtime).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "imagePullPolicy": "Never"}]}"#;
    world.create("web", spec).await;
    world.until("web", |pod| waiting(pod) == Some("ErrImageNeverPull")).await;
    assert_eq!(world.runtime.count(Call::PullImage), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_is_named_and_waited_for() {
    let runtime = FakeRuntime::new();
    runtime.on(On::Any, Behavior::new().run(Program::new().then(Step::Env("MODE".into())).wait()));
    let world = World::on(runtime).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "env": [
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}]}]}"#;
    world.create("web", spec).await;
    let pod = world.until("web", |pod| waiting(pod) == Some("CreateContainerConfigError")).await;
    let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    let message = status.state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    assert_eq!(message, "configmap \"settings\" not found");
    let map: ConfigMap = serde_json::from_str(r#"{"metadata": {"name": "settings"}, "data": {"mode": "fast"}}"#).unwrap();
    world.client.api::<ConfigMap>("default").create(&map).await.unwrap();
    let secret: Secret = serde_json::from_str(r#"{"metadata": {"name": "keys"}, "data": {"token": "eA=="}}"#).unwrap();
    world.client.api::<Secret>("default").create(&secret).await.unwrap();
    world.until("web", is_ready).await;
    let at = ContainerAt::new("default", "web");
    let logs = world.agent.as_ref().unwrap().logs(&at, false, &LogOptions::default()).await.unwrap();
    let logs: Vec<_> = futures::StreamExt::collect::<Vec<_>>(logs).await;
    assert_eq!(&logs[0].as_ref().unwrap().data[..], b"fast\n");
}

#[tokio::test(start_paused = true)]
async fn readiness_gates_ready_and_liveness_restarts() {
    let runtime = FakeRuntime::new();
    runtime.on(
        On::Any,
        Behavior::new().exec(|call| {
            let ready = call.command[0] == "ready" && call.running_for >= Duration::from_secs(10);
            let alive = call.command[0] == "alive" && call.running_for < Duration::from_secs(60);
            Program::new().exit(i32::from(!(ready || alive)))
        }),
    );
    let world = World::on(runtime).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1",
        "readinessProbe": {"exec": {"command": ["ready"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["alive"]}, "periodSeconds": 5, "failureThreshold": 2}}]}"#;
    let begun = tokio::time::Instant::now();
    world.create("web", spec).await;
    let pod = world.until("web", |pod| phase(pod) == "Running").await;
    assert!(!is_ready(&pod));
    world.until("web", is_ready).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    world.until("web", |pod| restarts(pod) == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 65, "the second failure in a row");
    let reasons = world.reasons().await;
    assert!(reasons.contains(&"Unhealthy".to_owned()) && reasons.contains(&"Killing".to_owned()), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_agent_takes_over_what_runs() {
    let mut world = World::new().await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1",
        "readinessProbe": {"exec": {"command": ["ready"]}}}]}"#;
    world.create("web", spec).await;
    world.create("other", ONE).await;
    world.until("web", is_ready).await;
    let before = world.until("other", is_ready).await;
    let web = world.running("c").await[0].id.clone();
    world.runtime.kill(&web, 1);
    world.until("web", |pod| restarts(pod) == 1 && is_ready(pod)).await;
    let containers = world.containers().await;
    world.agent = None;
    tokio::time::sleep(Duration::from_secs(30)).await;
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.containers().await, containers, "nothing was touched");
    assert_eq!(world.pod("other").await, before, "nor anything written");
    assert_eq!(restarts(&world.pod("web").await), 1);
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_no_pod_goes_when_an_agent_starts() {
    let mut world = World::new().await;
    world.create("web", ONE).await;
    world.create("keep", ONE).await;
    world.until("web", is_ready).await;
    world.until("keep", is_ready).await;
    world.agent = None;
    world.client.api::<Pod>("default").delete("web", &DeleteParams::now()).await.unwrap();
    world.start_agent().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(world.runtime.leaks().len(), 2, "{:?}", world.runtime.leaks());
    assert!(is_ready(&world.pod("keep").await));
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_while_no_agent_ran_is_ended_by_the_next() {
    let mut world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.agent = None;
    world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.start_agent().await;
    world.until_gone("web").await;
    assert_eq!(world.runtime.leaks(), [] as [String; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_engine_makes_the_node_not_ready_and_pods_stay() {
    let world = World::new().await;
    world.create("web", ONE).await;
    let before = world.until("web", is_ready).await;
    world.runtime.crash_engine();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let ready = node.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("ContainerRuntimeNotReady")));
    assert!(ready.message.unwrap().contains("crashed"));
    assert_eq!(world.pod("web").await, before);
    world.create("late", ONE).await;
    world.runtime.restart_engine();
    world.until("late", is_ready).await;
    assert_eq!(restarts(&world.pod("web").await), 0);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let ready = node.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True");
}

#[tokio::test(start_paused = true)]
async fn a_rebooted_machine_starts_its_pods_again() {
    let world = World::new().await;
    world.create("web", ONE).await;
    world.until("web", is_ready).await;
    world.runtime.crash_machine();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.runtime.restart_engine();
    world.until("web", |pod| restarts(pod) == 1 && is_ready(pod)).await;
    assert_eq!(world.running("c").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_node_says_what_it_is_and_its_lease_that_it_lives() {
    let world = World::new().await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    let status = node.status.unwrap();
    assert_eq!(status.capacity.as_ref().unwrap()["cpu"].0, "4");
    assert_eq!(status.allocatable.as_ref().unwrap()["pods"].0, "110");
    assert_eq!(node.metadata.labels.unwrap()["kubernetes.io/hostname"], "n1");
    let written = node.metadata.resource_version;
    let lease = world.client.api::<Lease>("kube-node-lease").get("n1").await.unwrap().spec.unwrap();
    assert_eq!((lease.holder_identity.as_deref(), lease.lease_duration_seconds), (Some("n1"), Some(40)));
    let age = orch_core::time::now().duration_since(lease.renew_time.unwrap().0);
    assert!(age.as_secs() <= 10, "{age:?}");
    tokio::time::sleep(Duration::from_secs(200)).await;
    let node = world.client.all::<Node>().get("n1").await.unwrap();
    assert_eq!(node.metadata.resource_version, written, "a status that says nothing new is not written");
}

#[tokio::test(start_paused = true)]
async fn what_the_runtime_cannot_do_is_refused_with_the_field() {
    let can = Capabilities::default();
    let world = World::on(FakeRuntime::with_capabilities(can)).await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}"#;
    world.create("web", spec).await;
    let pod = world.until("web", |pod| phase(pod) == "Failed").await;
    let status = pod.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("UnsupportedByRuntime"));
    assert!(status.message.unwrap().contains("spec.containers[0].ports"));
    assert_eq!(world.runtime.count(Call::RunSandbox), 0);
}

#[tokio::test(start_paused = true)]
async fn a_condition_somebody_else_writes_survives_and_gates() {
    let world = World::new().await;
    let spec = r#"{"readinessGates": [{"conditionType": "example.com/lb"}],
        "containers": [{"name": "c", "image": "web:1"}]}"#;
    world.create("web", spec).await;
    let pod = world.until("web", |pod| condition(pod, "ContainersReady") == Some("True")).await;
    assert!(!is_ready(&pod));
    let mut conditions = pod.status.unwrap().conditions.unwrap();
    conditions.push(serde_json::from_str(r#"{"type": "example.com/lb", "status": "True"}"#).unwrap());
    let patch = serde_json::json!({ "status": { "conditions": conditions } });
    world.client.api::<Pod>("default").patch_status("web", &Patch::Merge(patch)).await.unwrap();
    let pod = world.until("web", is_ready).await;
    assert_eq!(condition(&pod, "example.com/lb"), Some("True"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_killed_in_any_call_is_replaced_without_doubles_or_leaks() {
    let calls = [
        Call::RunSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::Container,
        Call::StopContainer,
        Call::RemoveSandbox,
    ];
    for call in calls {
        for fault in [Fault::Hangs, Fault::DoneButHangs] {
            let mut world = World::new().await;
            world.runtime.inject(call, fault.clone(), 1);
            world.create("web", ONE).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let deleting = matches!(call, Call::StopContainer | Call::RemoveSandbox);
            if deleting {
                world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            world.agent = None;
            world.start_agent().await;
            if !deleting {
                let pod = world.until("web", is_ready).await;
                assert_eq!(restarts(&pod), 0, "{call:?} {fault:?}");
                assert_eq!(world.containers().await.len(), 1, "{call:?} {fault:?}");
                world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
            }
            world.until_gone("web").await;
            assert_eq!(world.runtime.leaks(), [] as [String; 0], "{call:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_tried_again_until_all_is_well() {
    let calls = [
        Call::RunSandbox,
        Call::CreateContainer,
        Call::StartContainer,
        Call::Container,
        Call::StopContainer,
        Call::RemoveSandbox,
        Call::Sandboxes,
        Call::Containers,
    ];
    for call in calls {
        for fault in [Fault::Fails("no".into()), Fault::DoneButFails("no".into())] {
            let world = World::new().await;
            world.runtime.inject(call, fault.clone(), 2);
            world.create("web", ONE).await;
            let pod = world.until("web", is_ready).await;
            assert_eq!(restarts(&pod), 0, "{call:?} {fault:?}");
            assert_eq!(world.runtime.leaks().len(), 2, "{call:?} {fault:?}");
            world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
            world.until_gone("web").await;
            assert_eq!(world.runtime.leaks(), [] as [String; 0], "{call:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_a_containers_life() {
    let world = World::new().await;
    let spec = r#"{"containers": [{"name": "c", "image": "web:1", "lifecycle": {
        "postStart": {"exec": {"command": ["hello"]}}, "preStop": {"sleep": {"seconds": 7}}}}]}"#;
    world.create("web", spec).await;
    world.until("web", is_ready).await;
    assert_eq!(world.runtime.count(Call::Exec), 1);
    let begun = tokio::time::Instant::now();
    world.client.api::<Pod>("default").delete("web", &DeleteParams::default()).await.unwrap();
    world.until_gone("web").await;
    assert_eq!(begun.elapsed().as_secs(), 7);
}
