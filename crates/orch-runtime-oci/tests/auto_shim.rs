//! A program whose `main` knows nothing of shims, as this one's, which is the test harness's, and is one: the feature
//! `auto-shim`.
#![cfg(feature = "auto-shim")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{Oci, clear, config, ended, exit_code, open, pods, processes, says, start};
use orch_core::runtime::{Runtime, SandboxConfig};
use orch_runtime_oci::{OciOptions, OciRuntime, init};
use rustix::process::Pid;

async fn own(oci: &Oci) -> OciRuntime {
    let options = OciOptions::new(oci.root()).cgroup_parent(oci.group());
    OciRuntime::open(options).await.expect("opening the runtime")
}

/// Which file a process executes, by its numbers: the path is not the same.
fn program(process: &str) -> (u64, u64) {
    let file = fs::metadata(format!("/proc/{process}/exe")).expect("it runs");
    (file.dev(), file.ino())
}

/// Whether broken pipes are ignored, which Rust's start sees to in others.
fn outlives_broken_pipes(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("it runs");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.expect("a field").trim(), 16).expect("a number");
    ignored & 1 << (rustix::process::Signal::PIPE.as_raw() - 1) != 0
}

#[tokio::test]
async fn a_program_is_its_own_shim_without_a_word() {
    let Some(oci) = Oci::new() else { return };
    let runtime = own(&oci).await;
    // Threads are no matter: nobody has called it in time either.
    init();
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let (shim, _) = processes(&oci, &id);
    assert_eq!(program(&shim.as_raw_nonzero().to_string()), program("self"));
    assert!(outlives_broken_pipes(shim));
    assert_eq!(says(&runtime, &id, "echo a command").await, "a command\n");
    let together = SandboxConfig {
        share_process_namespace: true,
        ..pods::pod("together")
    };
    let sandbox = pods::run(&runtime, &together).await;
    pods::idle(&runtime, &sandbox, "main").await;
    let first = pods::first_of_pod(&oci).expect("it runs");
    assert!(outlives_broken_pipes(first));
    clear(&runtime).await;
    drop(runtime);
    // Opened again, it may be named all the same.
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exit 7")).await;
    assert_eq!(exit_code(&ended(&runtime, &id).await), Some(7));
    assert_eq!(runtime.containers(&Default::default()).await.unwrap().len(), 1);
    clear(&runtime).await;
}
