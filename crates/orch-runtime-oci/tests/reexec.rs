//! A program that is its own shim: `init` first thing in a synchronous `main`, and no other program.
//!
//! Has a `main` of its own, for the usual one of tests starts threads first.

#[allow(dead_code, reason = "its own shim, and no suite")]
mod common;

use common::Oci;
use orch_core::runtime::{ContainerConfig, ContainerState, Runtime, SandboxConfig};
use orch_runtime_oci::{OciOptions, OciRuntime, init};

fn main() {
    init();
    let Some(oci) = Oci::new() else { return };
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    tokio.block_on(a_container_runs_through_this_very_program(&oci));
}

async fn a_container_runs_through_this_very_program(oci: &Oci) {
    let options = OciOptions::new(oci.root()).cgroup_parent(oci.group());
    let runtime = OciRuntime::open(options).await.expect("opening the runtime");
    let sandbox = runtime
        .run_sandbox(&SandboxConfig::default())
        .await
        .expect("running a sandbox");
    let config = ContainerConfig {
        name: "main".into(),
        image: "host".into(),
        command: vec!["true".into()],
        ..ContainerConfig::default()
    };
    let id = runtime
        .create_container(&sandbox.id, &config)
        .await
        .expect("creating a container");
    runtime.start_container(&id).await.expect("starting a container");
    let begin = std::time::Instant::now();
    loop {
        let state = runtime.container(&id).await.expect("looking at it").state;
        if let ContainerState::Exited { exit_code, .. } = state {
            assert_eq!(exit_code, Some(0));
            break;
        }
        assert!(begin.elapsed() < common::PATIENCE, "it does not end: {state:?}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    runtime
        .remove_sandbox(&sandbox.id)
        .await
        .expect("removing a sandbox");
}
