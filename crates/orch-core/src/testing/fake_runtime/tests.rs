//! The fake does as it is told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::runtime::{
    AppArmorProfile, ContainerConfig, ContainerState, ExecRequest, ExitReason, PullRequest, Runtime,
    RuntimeError, SandboxFilter,
};
use crate::testing::runtime::{Harness, Program, cases, run_all};

struct Fake(FakeRuntime);

fn fake() -> Fake {
    // Everything, and what is no ability.
    let runtime = FakeRuntime::with_capabilities(Capabilities {
        memory_limit_min: 6 << 20,
        ..FakeRuntime::new().capabilities()
    });
    runtime.on_image(
        "missing",
        ImageBehavior::absent().pull_fails(u32::MAX, "no such image", false),
    );
    runtime.on_image("pullable", ImageBehavior::absent());
    Fake(runtime)
}

#[async_trait]
impl Harness for Fake {
    async fn open(&self) -> Arc<dyn Runtime> {
        Arc::new(self.0.clone())
    }
    fn image(&self) -> String {
        "any".into()
    }
    fn command(&self, program: &Program) -> Vec<String> {
        program.to_command()
    }
    fn missing_image(&self) -> Option<String> {
        Some("missing".into())
    }
    fn pullable_image(&self) -> Option<String> {
        Some("pullable".into())
    }
    fn virtual_time(&self) -> bool {
        true
    }
}

mod conformance {
    crate::runtime_conformance!(super::fake());
}

#[tokio::test(start_paused = true)]
async fn the_whole_suite_runs_in_one_go_and_leaves_nothing() {
    let harness = fake();
    let report = run_all(&harness).await;
    assert!(report.passed(), "{report}");
    assert_eq!(report.cases.len(), cases().count());
    assert_eq!(harness.0.leaks(), Vec::<String>::new());
}

fn pod() -> SandboxConfig {
    SandboxConfig {
        uid: "pod".into(),
        ..SandboxConfig::default()
    }
}

async fn started(runtime: &FakeRuntime, attempt: u32) -> ContainerId {
    let sandbox = runtime.run_sandbox(&pod()).await.unwrap();
    let config = ContainerConfig {
        name: "web".into(),
        image: "web:1".into(),
        attempt,
        ..ContainerConfig::default()
    };
    let id = runtime.create_container(&sandbox.id, &config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

async fn exit_code(runtime: &FakeRuntime, id: &ContainerId) -> Option<i32> {
    match runtime.container(id).await.unwrap().state {
        ContainerState::Exited { exit_code, .. } => exit_code,
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn containers_crash_so_many_times_and_then_run() {
    let runtime = FakeRuntime::new();
    runtime.on(On::container("web"), Behavior::new().crash(2, 7));
    for (attempt, code) in [(0, Some(7)), (1, Some(7)), (2, None), (9, None)] {
        let id = started(&runtime, attempt).await;
        assert_eq!(exit_code(&runtime, &id).await, code, "attempt {attempt}");
    }
}

#[tokio::test(start_paused = true)]
async fn starting_and_running_take_the_time_they_are_told() {
    let runtime = FakeRuntime::new();
    let hour = Duration::from_secs(3600);
    runtime.on(
        On::image("web:1"),
        Behavior::new().start_delay(hour).run_for(hour, 3),
    );
    let before = Instant::now();
    let id = started(&runtime, 0).await;
    assert_eq!(before.elapsed(), hour);
    tokio::time::sleep(hour - Duration::from_millis(1)).await;
    assert_eq!(exit_code(&runtime, &id).await, None);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(exit_code(&runtime, &id).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_probe_changes_with_time_and_with_each_call() {
    let runtime = FakeRuntime::new();
    runtime.on(
        On::Any,
        Behavior::new().exec(|call| {
            let ready = call.running_for >= Duration::from_secs(10) && call.nth != 3;
            Program::new()
                .sleep(Duration::from_secs(1))
                .exit(if ready { 0 } else { 1 })
        }),
    );
    let id = started(&runtime, 0).await;
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(
            runtime
                .exec(&id, &ExecRequest::new(["probe"]))
                .await
                .unwrap()
                .exit_code,
        );
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(codes, [1, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pull_takes_its_time_and_fails_as_often_as_told() {
    let runtime = FakeRuntime::new();
    let delay = Duration::from_secs(5);
    runtime.on_image(
        "web:1",
        ImageBehavior::absent()
            .pull_delay(delay)
            .pull_fails(1, "no route", true),
    );
    let request = PullRequest {
        image: "web:1".into(),
        credentials: None,
    };
    let before = Instant::now();
    let failed = runtime.pull_image(&request).await.unwrap_err();
    assert_eq!(failed.to_string(), "pulling image web:1: no route");
    assert_eq!(before.elapsed(), delay);
    assert_eq!(runtime.image("web:1").await.unwrap(), None);
    runtime.pull_image(&request).await.unwrap();
    assert!(runtime.image("web:1").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn injected_faults_hit_the_next_calls_of_their_kind() {
    let runtime = FakeRuntime::new();
    runtime.inject(Call::RunSandbox, Fault::Fails("no".into()), 2);
    runtime.inject(Call::RunSandbox, Fault::DoneButFails("lost".into()), 1);
    runtime.inject(Call::RunSandbox, Fault::Hangs, 1);
    let config = SandboxConfig {
        uid: "pod".into(),
        ..SandboxConfig::default()
    };
    let listed = async || runtime.sandboxes(&SandboxFilter::default()).await.unwrap().len();
    for expected in [0, 0, 1] {
        assert!(runtime.run_sandbox(&config).await.is_err());
        assert_eq!(listed().await, expected);
    }
    let hung = tokio::time::timeout(Duration::from_secs(86_400), runtime.run_sandbox(&config)).await;
    assert!(hung.is_err());
    runtime.run_sandbox(&config).await.unwrap();
    assert_eq!(
        (runtime.count(Call::RunSandbox), runtime.count(Call::Sandboxes)),
        (5, 3)
    );
    assert_eq!(runtime.calls()[0].subject, "pod/0");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_crashed_answers_nothing_until_it_is_back() {
    let runtime = FakeRuntime::new();
    let id = started(&runtime, 0).await;
    let events = runtime.events().await;
    runtime.crash_engine();
    assert!(!runtime.status().await.ready);
    assert!(matches!(
        runtime.container(&id).await,
        Err(RuntimeError::Unavailable { .. })
    ));
    assert_eq!(futures::StreamExt::count(events).await, 0, "the stream ends");
    runtime.restart_engine();
    assert!(runtime.container(&id).await.unwrap().state.is_running());
    runtime.crash_machine();
    runtime.restart_engine();
    assert_eq!(exit_code(&runtime, &id).await, Some(137));
}

#[tokio::test(start_paused = true)]
async fn a_container_over_its_memory_says_so() {
    let runtime = FakeRuntime::new();
    let id = started(&runtime, 0).await;
    assert!(runtime.kill_out_of_memory(&id));
    assert!(!runtime.kill_out_of_memory(&id), "only what runs");
    let state = runtime.container(&id).await.unwrap().state;
    assert!(
        matches!(
            state,
            ContainerState::Exited {
                reason: ExitReason::OutOfMemory,
                ..
            }
        ),
        "{state:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn processor_time_adds_up_over_changing_usage() {
    let runtime = FakeRuntime::new();
    let usage = |cpu_millis| Usage {
        cpu_millis,
        memory_bytes: 7,
    };
    runtime.on(On::Any, Behavior::new().usage(usage(500)));
    let id = started(&runtime, 0).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    runtime.set_usage(&id, usage(2000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stats = runtime.stats(&id).await.unwrap();
    assert_eq!(Duration::from_nanos(stats.cpu_nanos), Duration::from_secs(7));
    assert_eq!(stats.memory_working_set_bytes, 7);
}

#[tokio::test(start_paused = true)]
async fn siblings_share_scripts_and_addresses_but_not_containers() {
    let (one, config) = (
        FakeRuntime::new(),
        SandboxConfig {
            uid: "pod".into(),
            ..SandboxConfig::default()
        },
    );
    let two = one.sibling();
    one.on(On::Any, Behavior::new().crash(1, 9));
    let id = started(&two, 0).await;
    assert_eq!(exit_code(&two, &id).await, Some(9));
    assert_eq!(one.leaks(), Vec::<String>::new());
    let addresses = [&one, &two].map(|runtime| runtime.run_sandbox(&config));
    let addresses = futures::future::join_all(addresses).await;
    assert_ne!(
        addresses[0].as_ref().unwrap().ip(),
        addresses[1].as_ref().unwrap().ip()
    );
}

#[tokio::test(start_paused = true)]
async fn what_calls_end_while_it_runs_is_told_of() {
    let runtime = FakeRuntime::new();
    let (ended, stopped, removed) = (
        started(&runtime, 0).await,
        started(&runtime, 1).await,
        started(&runtime, 2).await,
    );
    runtime.kill(&ended, 1);
    for id in [&ended, &stopped] {
        runtime.stop_container(id, Duration::ZERO).await.unwrap();
    }
    let sandbox = runtime.container(&removed).await.unwrap().sandbox;
    runtime.remove_sandbox(&sandbox).await.unwrap();
    let told: Vec<_> = runtime
        .cut_off(0)
        .into_iter()
        .map(|cut_off| (cut_off.call, cut_off.container.id))
        .collect();
    assert_eq!(
        told,
        [(Call::StopContainer, stopped), (Call::RemoveSandbox, removed)]
    );
    assert_eq!(runtime.cut_off(1).len(), 1);
    assert!(runtime.cut_off(2).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_profile_by_name_is_refused_by_one_without_apparmor() {
    for app_armor in [true, false] {
        let mut capabilities = FakeRuntime::new().capabilities();
        capabilities.app_armor = app_armor;
        let runtime = FakeRuntime::with_capabilities(capabilities);
        let sandbox = runtime.run_sandbox(&pod()).await.unwrap();
        let mut config = ContainerConfig {
            name: "main".into(),
            image: "any".into(),
            ..ContainerConfig::default()
        };
        config.security.app_armor = AppArmorProfile::Localhost("web".into());
        match runtime.create_container(&sandbox.id, &config).await {
            Ok(_) => assert!(app_armor),
            Err(RuntimeError::InvalidConfig { field, .. }) => {
                assert_eq!((field.as_str(), app_armor), ("security.app_armor", false));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
