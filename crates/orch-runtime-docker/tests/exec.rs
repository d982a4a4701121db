//! Commands and terminals in containers of a real engine, beyond what the conformance suite asks for.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{PATIENCE, Scope, clean, shell, until};
use futures::StreamExt;
use orch_core::runtime::{
    AttachOptions, ContainerConfig, ExecRequest, LogOptions, Runtime, RuntimeError, SessionInput,
};

#[tokio::test]
async fn commands_are_killed_when_their_time_is_up_or_nobody_listens() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let running = async || {
        let ps = runtime
            .exec(&id, &ExecRequest::new(["ps", "-o", "args"]))
            .await
            .expect("ps");
        String::from_utf8_lossy(&ps.stdout)
            .lines()
            .filter(|line| line.contains("77777"))
            .count()
    };
    let long = ExecRequest::new(["sleep", "77777"]);
    let limit = Some(Duration::from_millis(300));
    let late = runtime
        .exec(
            &id,
            &ExecRequest {
                timeout: limit,
                ..long.clone()
            },
        )
        .await;
    assert!(matches!(late, Err(RuntimeError::Timeout { .. })), "{late:?}");
    assert_eq!(running().await, 0);

    let session = runtime.open_exec(&id, &long).await.expect("a session");
    until("it runs", async || running().await == 1).await;
    drop(session);
    until("it is killed", async || running().await == 0).await;

    let session = runtime
        .open_exec(
            &id,
            &ExecRequest {
                timeout: limit,
                ..long.clone()
            },
        )
        .await
        .expect("a session");
    assert!(matches!(session.exit.await, Err(RuntimeError::Timeout { .. })));
    assert_eq!(running().await, 0);

    let request = ExecRequest {
        timeout: limit,
        ..long
    };
    let session = runtime.open_exec(&id, &request).await.expect("a session");
    // Its time runs also while nobody asks for its end.
    let output = tokio::time::timeout(PATIENCE, session.output.collect::<Vec<_>>());
    output.await.expect("the end of output");
    until("it is killed", async || running().await == 0).await;
    clean(&runtime).await;
}

#[tokio::test]
async fn a_command_that_is_no_program_ends_with_the_shells_code_and_says_why() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let output = runtime
            .exec(&id, &ExecRequest::new([program]))
            .await
            .expect("an answer");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.exit_code, code, "{program}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.contains(program), "{stderr}");
    }
    assert!(matches!(
        runtime.exec(&id, &ExecRequest::default()).await,
        Err(RuntimeError::InvalidConfig { .. })
    ));
    clean(&runtime).await;
}

#[tokio::test]
async fn a_terminal_passes_bytes_through_and_can_be_resized() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let config = ContainerConfig {
        tty: true,
        stdin: true,
        ..shell("printf '\\001\\002first'; exec sh")
    };
    let id = runtime
        .create_container(&sandbox.id, &config)
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let mut session = runtime
        .attach(&id, &AttachOptions { stdin: true })
        .await
        .expect("attaching");
    let size = orch_core::runtime::TerminalSize {
        width: 91,
        height: 37,
    };
    session.input.send(SessionInput::Resize(size)).await.unwrap();
    let ask = Bytes::from_static(b"stty size; exit 5\n");
    session.input.send(SessionInput::Stdin(ask)).await.unwrap();
    let chunks: Vec<_> = session
        .output
        .by_ref()
        .map(|chunk| chunk.unwrap().data)
        .collect()
        .await;
    let text = String::from_utf8_lossy(&chunks.concat()).into_owned();
    assert!(text.contains("37 91"), "{text:?}");
    assert_eq!(session.exit.await.unwrap(), 5);
    let logs = runtime.logs(&id, &LogOptions::default()).await.unwrap();
    let logs: Vec<_> = logs.map(|chunk| chunk.unwrap().data).collect().await;
    assert!(logs.concat().starts_with(b"\x01\x02first"), "{logs:?}");
    clean(&runtime).await;
}

#[tokio::test]
async fn a_command_that_goes_on_without_output_is_waited_for() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let quiet = ExecRequest::new(["sh", "-c", "exec >&- 2>&-; sleep 1; exit 7"]);
    let output = runtime.exec(&id, &quiet).await.expect("an exit code");
    assert_eq!(output.exit_code, 7);
    let session = runtime.open_exec(&id, &quiet).await.expect("a session");
    assert_eq!(session.exit.await.expect("an exit code"), 7);
    clean(&runtime).await;
}
