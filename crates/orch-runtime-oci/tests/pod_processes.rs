//! Pods whose containers see each other's processes.

mod common;

use std::fs;
use std::time::Duration;

use common::pods::{first_of_pod, idle, namespace, own, pod, run, seen};
use common::{Oci, PATIENCE, clear, config, ended, exit_code, open, says};
use futures::StreamExt;
use orch_core::runtime::{
    AppArmorProfile, ContainerConfig, ContainerId, Runtime, RuntimeEvent, SandboxConfig, SandboxId,
    SandboxState,
};
use orch_runtime_oci::OciRuntime;
use rustix::process::{Pid, Signal, kill_process};

fn together(uid: &str) -> SandboxConfig {
    SandboxConfig {
        share_process_namespace: true,
        ..pod(uid)
    }
}

fn status(pid: Pid, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("it runs");
    let found = status.lines().find_map(|line| line.strip_prefix(field));
    found.expect("a field").trim().to_owned()
}

/// A container that AppArmor keeps from nothing: it would be kept from more than what is looked at here.
fn free(name: &str) -> ContainerConfig {
    let mut config = config(name, "sleep 3600");
    config.security.app_armor = AppArmorProfile::Unconfined;
    config
}

async fn start(runtime: &OciRuntime, sandbox: &SandboxId, config: &ContainerConfig) -> ContainerId {
    let id = runtime.create_container(sandbox, config).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    id
}

async fn is_lost(runtime: &OciRuntime, id: &SandboxId) {
    let losing = async {
        while seen(runtime, id).await.state != SandboxState::NotReady {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, losing)
        .await
        .expect("it is noticed");
}

#[tokio::test]
async fn containers_of_a_pod_see_each_others_processes_if_that_was_asked_for() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &together("web")).await;
    let (one, two) = (
        start(&runtime, &sandbox, &free("one")).await,
        idle(&runtime, &sandbox, "two").await,
    );
    let shared = namespace(&oci, &one, "pid");
    assert!(shared == namespace(&oci, &two, "pid") && shared != own("pid"));
    let seen = says(&runtime, &one, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert_eq!(seen.matches("-c sleep 3600").count(), 2, "{seen}");
    // The first is nobody's container, tells nothing of the machine, and cannot be ended from here.
    let first = says(
        &runtime,
        &one,
        "tr '\\0' ' ' < /proc/1/cmdline; kill -9 1; echo $?",
    )
    .await;
    assert_eq!(first, "orch-oci-shim --pause 0\n");
    // It waits for those that nobody else does.
    says(&runtime, &one, "for i in 1 2 3; do (sleep 0.05 &) ; done").await;
    let orphans = "until [ $(cat /proc/[0-9]*/comm 2>/dev/null | grep -c '^sleep$') = 2 ]; do :; done";
    says(&runtime, &one, orphans).await;
    // The end of one container is its own.
    runtime.stop_container(&one, Duration::ZERO).await.unwrap();
    assert_eq!(
        exit_code(&runtime.container(&one).await.unwrap().state),
        Some(137)
    );
    let seen = says(&runtime, &two, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert_eq!(seen.matches("-c sleep 3600").count(), 1, "{seen}");
    runtime.stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(first_of_pod(&oci), None);
    clear(&runtime).await;
}

#[tokio::test]
async fn the_first_process_of_a_pod_is_no_way_to_the_machine() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &together("web")).await;
    let mut tracer = free("main");
    tracer.security.add_capabilities = vec!["SYS_PTRACE".into()];
    let id = start(&runtime, &sandbox, &tracer).await;
    let first = first_of_pod(&oci).expect("it runs");
    for (field, expected) in [
        ("CapPrm:", "0000000000000000"),
        ("CapEff:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
    ] {
        assert_eq!(status(first, field), expected, "{field}");
    }
    // Who may trace it finds an empty root, and the file of its program cannot be written.
    assert_eq!(
        says(&runtime, &id, "ls -A /proc/1/root/ /proc/1/cwd/").await,
        "/proc/1/cwd/:\n\n/proc/1/root/:\n"
    );
    let exe = rustix::fs::statvfs(format!("/proc/{}/exe", first.as_raw_nonzero())).unwrap();
    assert!(exe.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", first.as_raw_nonzero())).unwrap();
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_pod_whose_first_process_has_ended_is_not_ready_and_nothing_runs_in_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &together("web")).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let mut events = runtime.events().await;
    kill_process(first_of_pod(&oci).unwrap(), Signal::KILL).unwrap();
    let told = async {
        while !matches!(events.next().await, Some(RuntimeEvent::Sandbox { id, .. }) if id == sandbox) {}
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    is_lost(&runtime, &sandbox).await;
    assert_eq!(exit_code(&ended(&runtime, &id).await), Some(137));
    assert!(
        runtime
            .create_container(&sandbox, &config("next", "true"))
            .await
            .is_err()
    );
    let next = SandboxConfig {
        attempt: 1,
        ..together("web")
    };
    run(&runtime, &next).await;
    clear(&runtime).await;
}

#[tokio::test]
async fn the_first_process_is_found_again_and_missed_if_it_has_ended() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &together("web")).await;
    let before = first_of_pod(&oci).unwrap();
    drop(runtime);
    let runtime = open(&oci).await;
    assert_eq!(first_of_pod(&oci), Some(before));
    assert_eq!(run(&runtime, &together("web")).await, sandbox);
    kill_process(before, Signal::KILL).unwrap();
    is_lost(&runtime, &sandbox).await;
    clear(&runtime).await;
    let sandbox = run(&runtime, &together("other")).await;
    drop(runtime);
    kill_process(first_of_pod(&oci).unwrap(), Signal::KILL).unwrap();
    let runtime = open(&oci).await;
    assert_eq!(seen(&runtime, &sandbox).await.state, SandboxState::NotReady);
    clear(&runtime).await;
}

#[tokio::test]
async fn among_the_machines_processes_a_pod_needs_no_first_of_its_own() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = SandboxConfig {
        host_pid: true,
        ..together("web")
    };
    let sandbox = run(&runtime, &sandbox).await;
    let id = idle(&runtime, &sandbox, "main").await;
    assert_eq!(namespace(&oci, &id, "pid"), own("pid"));
    assert_eq!(first_of_pod(&oci), None);
    clear(&runtime).await;
}
