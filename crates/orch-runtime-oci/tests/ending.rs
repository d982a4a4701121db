//! Programs that end in good order while containers start: what was begun goes on without them.

mod common;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Oci, config, open, pods};
use orch_core::runtime::{ContainerId, Runtime, SandboxFilter};

/// So many containers start at once, and the program ends a little later each time.
const AT_ONCE: usize = 4;
const ROUNDS: u64 = 24;
const LATER: Duration = Duration::from_millis(3);

/// Lets a program begin to start containers, and end after a while.
fn begin(oci: &Oci, round: u64) -> Vec<ContainerId> {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let runtime = Arc::new(tokio.block_on(open(oci)));
    let ids = tokio.block_on(async {
        let pod = pods::run(&runtime, &pods::pod(&format!("pod-{round}"))).await;
        let mut ids = Vec::new();
        for nth in 0..AT_ONCE {
            let config = config(&format!("c{nth}"), "sleep 3600");
            ids.push(runtime.create_container(&pod, &config).await.unwrap());
        }
        ids
    });
    for id in ids.clone() {
        let runtime = runtime.clone();
        tokio.spawn(async move { runtime.start_container(&id).await });
    }
    // Whatever is under way then.
    thread::sleep(LATER * u32::try_from(round).unwrap());
    drop(tokio);
    assert!(Arc::into_inner(runtime).is_some(), "it goes with this");
    ids
}

#[test]
fn containers_that_start_while_the_program_ends_run() {
    let Some(oci) = Oci::new() else { return };
    for round in 0..ROUNDS {
        let ids = begin(&oci, round);
        let tokio = tokio::runtime::Runtime::new().unwrap();
        tokio.block_on(async {
            let runtime = open(&oci).await;
            for id in &ids {
                // Those that had begun run, and the others do now.
                let started = runtime.start_container(id).await;
                started.unwrap_or_else(|error| panic!("round {round}: {error}"));
                let state = runtime.container(id).await.unwrap().state;
                assert!(state.is_running(), "round {round}: {state:?}");
            }
            for sandbox in runtime.sandboxes(&SandboxFilter::default()).await.unwrap() {
                runtime.remove_sandbox(&sandbox.id).await.unwrap();
            }
        });
    }
}
