//! State directories that are moved while nobody has them open, and containers run on.

mod common;

use common::{Oci, clear, code, config, create, ended, exit_code, images, pods, says, start, tell, text};
use orch_core::runtime::{ContainerConfig, ExecRequest, Runtime, SandboxConfig};
use orch_runtime_oci::{OciOptions, OciRuntime};
use serde_json::json;

#[tokio::test]
async fn containers_of_a_state_directory_that_was_moved_run_on() {
    let Some(oci) = Oci::new() else { return };
    // Logs of a line or two.
    let open = |name: &str| {
        let options = OciOptions::new(oci.beside(name)).shim(common::SHIM);
        OciRuntime::open(options.cgroup_parent(oci.group()).log_limits(40, 1000))
    };
    let runtime = open("state").await.unwrap();
    let image = images::shell(&json!({})).map(|image| {
        let archive = oci.beside("shell.tar");
        images::archive(&archive, &image, "shell:1");
        archive
    });
    if let Some(archive) = &image {
        runtime.image_store().import(archive, None).await.unwrap();
    }
    let script = "trap 'for i in 1 2 3 4 5 6 7 8; do echo bye $i; done; exit 7' TERM; echo ready; while :; do sleep 3600 & wait; done";
    let id = start(&runtime, &config("main", script)).await;
    let sandbox = runtime.container(&id).await.unwrap().sandbox;
    let together = SandboxConfig {
        share_process_namespace: true,
        ..pods::pod("together")
    };
    let together = pods::run(&runtime, &together).await;
    let beside = pods::idle(&runtime, &together, "beside").await;
    let owned = pods::run(&runtime, &pods::owned("owned")).await;
    let of_users = pods::idle(&runtime, &owned, "of-users").await;
    // Made and not started: all that is written down of these names the old place.
    let place = oci.beside("moved");
    let script = format!(
        "grep -q localhost /etc/hosts && test -w /dev/shm && test -z \"$(ls -A {} 2>/dev/null)\" && exit 6",
        place.display()
    );
    let mut later = Vec::new();
    for sandbox in [&sandbox, &together, &owned] {
        let created = runtime.create_container(sandbox, &config("later", &script)).await;
        later.push(created.unwrap());
    }
    // Of an image of its own it is the layers that it finds where they are now.
    if image.is_some() {
        let config = ContainerConfig {
            image: "shell:1".into(),
            ..config(
                "layered",
                "read -r line < /etc/upper && echo changed > /etc/own && exit 6",
            )
        };
        later.push(runtime.create_container(&sandbox, &config).await.unwrap());
    }
    // A command runs meanwhile, as it would if whoever asked for it were slow to end.
    let open_exec = ExecRequest {
        stdin: true,
        ..ExecRequest::new(["/bin/sh", "-c", "read line; exit 3"])
    };
    let session = runtime.open_exec(&id, &open_exec).await.unwrap();
    std::fs::rename(oci.root(), oci.beside("moved")).unwrap();
    tell(&session, "go on\n").await;
    assert_eq!(code(session).await.unwrap(), 3);
    drop(runtime);

    let runtime = open("moved").await.unwrap();
    for id in [&id, &beside, &of_users] {
        assert!(runtime.container(id).await.unwrap().state.is_running());
        assert_eq!(says(&runtime, id, "echo a command").await, "a command\n");
    }
    for id in &later {
        runtime.start_container(id).await.unwrap();
        let state = ended(&runtime, id).await;
        assert_eq!(exit_code(&state), Some(6), "{state:?}");
    }
    let another = ContainerConfig {
        name: "another".into(),
        ..config("", "exit 5")
    };
    let another = create(&runtime, &another).await;
    assert_eq!(runtime.container(&another).await.unwrap().sandbox, sandbox);
    runtime.start_container(&another).await.unwrap();
    assert_eq!(exit_code(&ended(&runtime, &another).await), Some(5));
    runtime.stop_container(&id, common::PATIENCE).await.unwrap();
    assert_eq!(exit_code(&ended(&runtime, &id).await), Some(7));
    let byes: String = (1..9).map(|number| format!("bye {number}\n")).collect();
    assert_eq!(text(&runtime, &id, false).await, format!("ready\n{byes}"));
    assert!(!oci.root().exists(), "nothing is where it was");
    clear(&runtime).await;
}
