//! A program that is its own shim, starts many containers at once, and allocates memory all the while.
//!
//! What is forked off a busy program can hang for ever, on a lock of its allocator's for one. So there is a program for
//! each of several allocators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use orch_core::runtime::{ContainerState, Runtime, SandboxConfig};
use orch_runtime_oci::{OciOptions, OciRuntime, init};

use super::groups::{MIB, limited, memory};
use super::{Oci, clear, create, ended, pods, zombies};

/// How many containers are started, by how many tasks, while how many threads allocate.
const CONTAINERS: usize = 500;
const TASKS: usize = 16;
const THREADS: usize = 32;

/// The whole of such a program.
pub(crate) fn main() {
    init();
    let Some(oci) = Oci::new() else { return };
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    tokio.block_on(a_busy_program_starts_all_of_many_containers(&oci));
}

async fn a_busy_program_starts_all_of_many_containers(oci: &Oci) {
    let options = OciOptions::new(oci.root()).cgroup_parent(oci.group());
    let runtime = Arc::new(OciRuntime::open(options).await.expect("opening the runtime"));
    let done = Arc::new(AtomicBool::new(false));
    let busy = |_| {
        let done = done.clone();
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let sizes = 1..200_usize;
                let kept: Vec<Vec<u8>> = sizes.map(|size| vec![1; size * 37 % 5000]).collect();
                assert!(
                    kept.iter()
                        .all(|bytes| bytes.last().is_none_or(|byte| *byte == 1))
                );
                // Two processors are to be had by others too.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        })
    };
    let threads: Vec<_> = (0..THREADS).map(busy).collect();
    let tasks = (0..TASKS).map(|task| {
        let runtime = runtime.clone();
        tokio::spawn(async move {
            for number in (task..CONTAINERS).step_by(TASKS) {
                run_one(&runtime, number).await;
            }
        })
    });
    for task in join_all(tasks).await {
        task.expect("a task that starts containers");
    }
    done.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("a thread that allocates");
    }
    let sandbox = SandboxConfig {
        share_process_namespace: true,
        ..pods::pod("together")
    };
    let sandbox = pods::run(&runtime, &sandbox).await;
    pods::idle(&runtime, &sandbox, "main").await;
    assert!(pods::first_of_pod(oci).is_some());
    clear(&runtime).await;
    drop(runtime);
    assert!(zombies().is_empty(), "each shim was waited for");
}

async fn run_one(runtime: &OciRuntime, number: usize) {
    let code = i32::try_from(number % 100).expect("a small number");
    // The least that is taken: what of this program is in a process that becomes a container's must not count.
    let config = limited(&format!("c{number}"), &format!("exit {code}"), memory(6 * MIB));
    let id = create(runtime, &config).await;
    runtime.start_container(&id).await.expect("starting a container");
    let state = ended(runtime, &id).await;
    assert!(
        matches!(state, ContainerState::Exited { exit_code: Some(so), .. } if so == code),
        "{state:?}"
    );
    runtime.remove_container(&id).await.expect("removing a container");
}
