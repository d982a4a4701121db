//! Many commands leave nothing. The only test of its program, for it counts what the program has.

mod common;

use std::fs;

use common::{Oci, PATIENCE, clear, command, config, open, start};
use futures::StreamExt;
use orch_core::runtime::{ExecRequest, Runtime};

const COMMANDS: usize = 300;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[tokio::test]
async fn hundreds_of_commands_leave_no_descriptor_socket_or_process() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "exec sleep 3600")).await;
    let run = async |number: usize| {
        let request = match number % 3 {
            0 => command("echo $PPID; exit 3"),
            1 => ExecRequest {
                tty: true,
                ..command("echo $PPID; exit 3")
            },
            _ => ExecRequest::new(["no-such-program"]),
        };
        let output = runtime.exec(&id, &request).await.expect("running a command");
        assert_eq!(
            output.exit_code,
            if number % 3 == 2 { 127 } else { 3 },
            "{output:?}"
        );
    };
    // What is made once and kept is there then.
    run(0).await;
    let before = descriptors();
    futures::stream::iter(1..COMMANDS)
        .for_each_concurrent(8, run)
        .await;
    let settling = async {
        // The last shims are waited for a moment after they have told of their ends.
        while descriptors() > before || !common::zombies().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settling).await;
    assert!(
        settled.is_ok(),
        "{} descriptors and not {before}, {:?}",
        descriptors(),
        common::zombies()
    );
    let dir = oci.root().join("run").join(&id.0);
    assert_eq!(fs::read_dir(dir.join("execs")).unwrap().count(), 0);
    let names: Vec<_> = fs::read_dir(dir.join("lc/c"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().starts_with("tenant")),
        "{names:?}"
    );
    // Nothing but its program, and the one that looks.
    let output = runtime.exec(&id, &command("echo /proc/[0-9]*")).await.unwrap();
    let processes = String::from_utf8_lossy(&output.stdout).split_whitespace().count();
    assert_eq!(processes, 2, "{output:?}");
    clear(&runtime).await;
}
