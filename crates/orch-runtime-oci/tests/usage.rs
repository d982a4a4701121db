//! What containers use, by the kernel's files; and their limits, changed while they run.

mod common;

use std::fs;

use common::groups::{Files, MIB, limited, memory};
use common::{Oci, clear, config, create, ended, exec, exit_code, open, processes, says, start};
use futures::StreamExt;
use orch_core::runtime::{
    ContainerId, ContainerState, ContainerStats, ExitReason, LogOptions, Resources, Runtime, RuntimeError,
};
use orch_runtime_oci::OciRuntime;

/// Returns once a container has said so.
async fn ready(runtime: &OciRuntime, id: &ContainerId) {
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut log = runtime.logs(id, &options).await.expect("reading a log");
    let said = tokio::time::timeout(common::PATIENCE, log.next()).await;
    let said = said
        .expect("it says so")
        .expect("it runs")
        .expect("reading a log");
    assert_eq!(&said.data[..], b"ready\n");
}

/// Processor time, working set, anonymous memory and processes.
fn counted(files: &Files) -> (u64, u64, u64, u64) {
    let stat = |v1, v2| files.keyed("memory", ("memory.stat", v1), ("memory.stat", v2));
    let used = files.number("memory", "memory.usage_in_bytes", "memory.current");
    let cpu = if files.unified() {
        files.keyed("", ("", ""), ("cpu.stat", "usage_usec")) * 1000
    } else {
        files.number("cpuacct", "cpuacct.usage", "")
    };
    (
        cpu,
        used - stat("total_inactive_file", "inactive_file"),
        stat("total_rss", "anon"),
        files.number("pids", "pids.current", "pids.current"),
    )
}

fn told(stats: &ContainerStats) -> (u64, u64, u64, u64) {
    (
        stats.cpu_nanos,
        stats.memory_working_set_bytes,
        stats.memory_rss_bytes.expect("it is counted"),
        stats.pids.expect("they are counted"),
    )
}

#[tokio::test]
async fn what_is_told_of_use_is_what_the_kernel_counts() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    // Memory of its own, memory that holds files, and processor time.
    let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); head -c 8000000 /dev/zero > /file; \
        echo ready; sleep 3600; echo $x";
    let id = start(&runtime, &config("main", script)).await;
    ready(&runtime, &id).await;
    let files = Files::of(&oci, &id);
    let resting = async {
        loop {
            let before = counted(&files);
            let stats = runtime.stats(&id).await.unwrap();
            // What was in motion comes to rest, once the shell has the child that it waits for.
            if before.3 == 2 && counted(&files) == before {
                break (before, stats);
            }
            tokio::task::yield_now().await;
        }
    };
    let resting = tokio::time::timeout(common::PATIENCE, resting).await;
    let (counted, stats) = resting.expect("a shell and its child, which sleeps");
    assert_eq!(told(&stats), counted);
    let (cpu, working_set, anonymous, _) = counted;
    assert!(cpu > 1_000_000, "{stats:?}");
    assert!(anonymous >= 20_000_000 && working_set >= anonymous, "{stats:?}");
    let used = files.number("memory", "memory.usage_in_bytes", "memory.current");
    assert!(used >= working_set + 7_000_000, "{used} {stats:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn groups_that_a_container_makes_in_its_own_count_and_go_with_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let script = "(echo ready; until test -e /tmp/go; do sleep 0.01; done; exec tail /dev/zero); exit $?";
    let id = start(&runtime, &limited("main", script, memory(16 * MIB))).await;
    ready(&runtime, &id).await;
    let (_, init) = processes(&oci, &id);
    let init = init.as_raw_nonzero();
    let child = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    let files = Files::of(&oci, &id);
    for dir in files.dirs() {
        // Not where it is on version 2 beside version 1: with the machine's other groups.
        if !dir.ends_with(&id.0) {
            continue;
        }
        let inner = dir.join("made/in it");
        fs::create_dir_all(&inner).unwrap();
        for group in [dir.join("made"), inner.clone()] {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if group.join(file).exists() {
                    fs::write(group.join(file), fs::read(dir.join(file)).unwrap()).unwrap();
                }
            }
        }
        fs::write(inner.join("cgroup.procs"), child.trim()).unwrap();
    }
    let stats = runtime.stats(&id).await.unwrap();
    assert!(stats.pids.is_some_and(|count| count >= 2), "{stats:?}");
    says(&runtime, &id, "echo > /tmp/go").await;
    // The kernel counts what it kills in the inner group there.
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(137), "{state:?}");
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
    clear(&runtime).await;
}

#[tokio::test]
async fn limits_change_while_it_runs_and_are_known_to_whoever_opens_the_runtime_next() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let first = Resources {
        cpu_shares: Some(512),
        oom_score_adj: Some(300),
        ..memory(32 * MIB)
    };
    let id = start(&runtime, &limited("main", "sleep 3600", first.clone())).await;
    let files = Files::of(&oci, &id);
    let limit = |files: &Files| {
        let swap = files.read("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
        let alone = files.number("memory", "memory.limit_in_bytes", "memory.max");
        let swap = if files.unified() {
            swap.parse::<u64>().unwrap()
        } else {
            swap.parse::<u64>().unwrap() - alone
        };
        (alone, swap)
    };
    // More, less and more again: memory and memory with swap can be written in one order alone.
    for mib in [128, 16, 64] {
        let update = memory(mib * MIB);
        runtime.update_resources(&id, &update).await.unwrap();
        assert_eq!(limit(&files), (mib * MIB, 0));
    }
    let more = Resources {
        cpu_shares: Some(2048),
        cpu_limit_millis: Some(250),
        pids_limit: Some(50),
        ..Resources::default()
    };
    runtime.update_resources(&id, &more).await.unwrap();
    let expected = Resources {
        memory_limit_bytes: Some(64 * MIB),
        oom_score_adj: Some(300),
        ..more
    };
    drop(runtime);
    let runtime = open(&oci).await;
    assert_eq!(runtime.container(&id).await.unwrap().resources, expected);
    // A command in it does not bring back what was before.
    assert_eq!(says(&runtime, &id, "echo in it").await, "in it\n");
    let v2 = files.unified();
    assert_eq!(limit(&files), (64 * MIB, 0));
    let shares = if v2 { "174" } else { "2048" };
    assert_eq!(files.read("cpu", "cpu.shares", "cpu.weight"), shares);
    let quota = if v2 { "25000 100000" } else { "25000" };
    assert_eq!(files.read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota);
    assert_eq!(files.read("pids", "pids.max", "pids.max"), "50");
    let none = Resources {
        cpu_limit_millis: Some(0),
        pids_limit: Some(0),
        ..memory(0)
    };
    runtime.update_resources(&id, &none).await.unwrap();
    let quota = if v2 { "max 100000" } else { "-1" };
    assert_eq!(files.read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota);
    assert_eq!(files.read("pids", "pids.max", "pids.max"), "max");
    let memory = files.read("memory", "memory.limit_in_bytes", "memory.max");
    let unlimited = if v2 { "max" } else { "9223372036854771712" };
    assert_eq!(memory, unlimited);
    clear(&runtime).await;
}

#[tokio::test]
async fn new_limits_of_memory_are_kept_to() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    // Holds 30 MB at once.
    let eat = "head -c 31000000 /dev/zero | tail -c 30000000 > /dev/null";
    // Where the kernel ends a group as a whole, the program goes with the command.
    let id = start(&runtime, &limited("little", "sleep 3600", memory(16 * MIB))).await;
    assert_ne!(exec(&runtime, &id, eat).await.exit_code, 0);
    let id = start(&runtime, &limited("more", "sleep 3600", memory(16 * MIB))).await;
    runtime.update_resources(&id, &memory(64 * MIB)).await.unwrap();
    assert_eq!(exec(&runtime, &id, eat).await.exit_code, 0);
    let script = "until test -e /tmp/go; do sleep 0.01; done; exec tail /dev/zero";
    let id = start(&runtime, &config("fewer", script)).await;
    runtime.update_resources(&id, &memory(16 * MIB)).await.unwrap();
    says(&runtime, &id, "echo > /tmp/go").await;
    let state = ended(&runtime, &id).await;
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
    assert_eq!(exit_code(&state), Some(137));
    clear(&runtime).await;
}

#[tokio::test]
async fn a_limit_below_what_is_in_use_is_refused_and_changes_nothing() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let script = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; sleep 3600; echo $x";
    let first = Resources {
        cpu_shares: Some(512),
        ..memory(128 * MIB)
    };
    let id = start(&runtime, &limited("main", script, first.clone())).await;
    ready(&runtime, &id).await;
    let update = Resources {
        cpu_shares: Some(1024),
        ..memory(16 * MIB)
    };
    match runtime.update_resources(&id, &update).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert_eq!(field, "resources.memory_limit_bytes");
            assert!(reason.starts_with("16777216: container main uses 3"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let files = Files::of(&oci, &id);
    let limit = files.number("memory", "memory.limit_in_bytes", "memory.max");
    assert_eq!(limit, 128 * MIB);
    let shares = if files.unified() { "59" } else { "512" };
    assert_eq!(files.read("cpu", "cpu.shares", "cpu.weight"), shares);
    let container = runtime.container(&id).await.unwrap();
    assert!(container.state.is_running());
    assert_eq!(container.resources, first);
    clear(&runtime).await;
}

#[tokio::test]
async fn what_does_not_run_has_no_use_and_no_limits_to_change() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = create(&runtime, &config("main", "exit 0")).await;
    let update = memory(16 * MIB);
    for step in ["created", "ended", "removed"] {
        match step {
            "created" => {}
            "ended" => {
                runtime.start_container(&id).await.unwrap();
                ended(&runtime, &id).await;
            }
            _ => runtime.remove_container(&id).await.unwrap(),
        }
        let errors = [
            runtime.stats(&id).await.unwrap_err(),
            runtime.update_resources(&id, &update).await.unwrap_err(),
            // Nor is there nothing to change.
            runtime
                .update_resources(&id, &Resources::default())
                .await
                .unwrap_err(),
        ];
        for error in errors {
            let expected = match error {
                RuntimeError::NotRunning { .. } => step != "removed",
                RuntimeError::NotFound { .. } => step == "removed",
                _ => false,
            };
            assert!(expected, "{step}: {error:?}");
        }
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn bad_changes_are_refused_by_the_name_of_their_field() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let score = Resources {
        oom_score_adj: Some(7),
        ..Resources::default()
    };
    for (update, expected) in [
        (memory(MIB), "resources.memory_limit_bytes"),
        (score, "resources.oom_score_adj"),
    ] {
        match runtime.update_resources(&id, &update).await {
            Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, expected),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        runtime.container(&id).await.unwrap().resources,
        Resources::default()
    );
    clear(&runtime).await;
}
