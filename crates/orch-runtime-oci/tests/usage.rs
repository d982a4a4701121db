//! What containers use, by the kernel's files.

mod common;

use common::groups::Files;
use common::{Oci, clear, config, open, start};
use futures::StreamExt;
use orch_core::runtime::{ContainerId, ContainerStats, LogOptions, Runtime};
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
    let mut quiet = None;
    for _ in 0..1000 {
        let before = counted(&files);
        let stats = runtime.stats(&id).await.unwrap();
        // What was in motion comes to rest.
        if counted(&files) == before {
            quiet = Some((before, stats));
            break;
        }
    }
    let (counted, stats) = quiet.expect("it sleeps");
    assert_eq!(told(&stats), counted);
    let (cpu, working_set, anonymous, pids) = counted;
    assert!(cpu > 1_000_000, "{stats:?}");
    assert!(anonymous >= 20_000_000 && working_set >= anonymous, "{stats:?}");
    let used = files.number("memory", "memory.usage_in_bytes", "memory.current");
    assert!(used >= working_set + 7_000_000, "{used} {stats:?}");
    assert_eq!(pids, 2, "a shell and its child");
    clear(&runtime).await;
}
