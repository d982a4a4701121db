//! Attaching to a container's program: what is seen, what goes in, and that nobody holds it up.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use common::{
    Oci, PATIENCE, clear, code, config, create, ended, exit_code, hears, open, processes, rest, says, start,
    tell, text,
};
use orch_core::runtime::{
    AttachOptions, ContainerConfig, ContainerId, Runtime, RuntimeError, Session, SessionInput, TerminalSize,
};
use orch_runtime_oci::OciRuntime;

async fn attach(runtime: &OciRuntime, id: &ContainerId, stdin: bool) -> Session {
    let options = AttachOptions { stdin };
    runtime.attach(id, &options).await.expect("attaching")
}

/// A program that repeats what it is told, a line at a time, until it is told to end, or of the end.
fn parrot(stdin_once: bool) -> ContainerConfig {
    let script = "while read line; do [ $line = end ] && exit 6; echo \"heard $line\"; done; exit 7";
    ContainerConfig {
        stdin: true,
        stdin_once,
        ..config("main", script)
    }
}

#[tokio::test]
async fn all_who_are_attached_see_the_same_and_detaching_changes_nothing() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(false)).await;
    let mut first = attach(&runtime, &id, true).await;
    tell(&first, "one\n").await;
    assert_eq!(hears(&mut first, "heard one\n").await, "heard one\n");
    let mut second = attach(&runtime, &id, false).await;
    tell(&second, "not connected\n").await;
    tell(&first, "two\n").await;
    assert_eq!(hears(&mut first, "heard two\n").await, "heard two\n");
    assert_eq!(
        hears(&mut second, "heard two\n").await,
        "heard two\n",
        "from now on"
    );
    drop(first);
    let mut third = attach(&runtime, &id, true).await;
    tell(&third, "three\n").await;
    assert_eq!(hears(&mut third, "heard three\n").await, "heard three\n");
    // What is not read of the input is no trouble either.
    tell(&third, "end\n").await;
    for mut session in [second, third] {
        let (_, error) = rest(&mut session).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(code(session).await.unwrap(), 6);
    }
    ended(&runtime, &id).await;
    assert_eq!(
        text(&runtime, &id, false).await,
        "heard one\nheard two\nheard three\n"
    );
    let late = runtime.attach(&id, &AttachOptions::default()).await;
    assert!(matches!(late, Err(RuntimeError::NotRunning { .. })), "{late:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn attaching_needs_a_container_that_runs() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = create(&runtime, &config("main", "exec sleep 3600")).await;
    let early = runtime.attach(&id, &AttachOptions::default()).await;
    assert!(matches!(early, Err(RuntimeError::NotRunning { .. })), "{early:?}");
    let none = runtime
        .attach(&ContainerId("nonesuch".into()), &AttachOptions::default())
        .await;
    assert!(matches!(none, Err(RuntimeError::NotFound { .. })), "{none:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn input_that_is_for_one_session_ends_with_it_and_other_input_does_not() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(true)).await;
    let watching = attach(&runtime, &id, false).await;
    let mut first = attach(&runtime, &id, true).await;
    // One that has no input ends none.
    drop(watching);
    tell(&first, "one\n").await;
    hears(&mut first, "heard one\n").await;
    let (input, _) = tokio::sync::mpsc::channel(1);
    drop(std::mem::replace(&mut first.input, input));
    assert_eq!(code(first).await.unwrap(), 7, "the end of its input");
    let kept = ContainerConfig {
        name: "kept".into(),
        ..parrot(false)
    };
    let id = start(&runtime, &kept).await;
    drop(attach(&runtime, &id, true).await);
    let mut second = attach(&runtime, &id, true).await;
    tell(&second, "two\n").await;
    hears(&mut second, "heard two\n").await;
    clear(&runtime).await;
}

#[tokio::test]
async fn input_ends_also_with_a_program_that_was_killed_while_attached() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(true)).await;
    let dir = oci.root().join("run").join(&id.0);
    // What it said before: a message to attach, with input. Shims that run know it as it is, for ever.
    let mut killed = UnixStream::connect(dir.join("sock")).unwrap();
    killed.write_all(&[1, 0, 0, 0, 3, 1]).unwrap();
    let mut hello = [0; 5];
    killed.read_exact(&mut hello).unwrap();
    assert_eq!(hello, [0, 0, 0, 0, 1]);
    drop(killed);
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(7), "{state:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_program_that_comes_back_attaches_again() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(false)).await;
    let session = attach(&runtime, &id, true).await;
    tell(&session, "one\n").await;
    drop(runtime);
    let left = code(session).await;
    assert!(
        matches!(left, Err(RuntimeError::Unavailable { .. })),
        "nobody tells of its end: {left:?}"
    );
    let runtime = open(&oci).await;
    let mut session = attach(&runtime, &id, true).await;
    tell(&session, "two\nend\n").await;
    hears(&mut session, "heard two\n").await;
    assert_eq!(code(session).await.unwrap(), 6);
    assert_eq!(text(&runtime, &id, false).await, "heard one\nheard two\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn one_who_does_not_read_does_not_stop_a_container_and_learns_that_there_was_more() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let flood = ContainerConfig {
        stdin: true,
        ..config("main", "read go; head -c 30000000 /dev/zero | tr '\\0' x; exit 3")
    };
    let id = start(&runtime, &flood).await;
    let mut idle = attach(&runtime, &id, true).await;
    tell(&idle, "go\n").await;
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(3), "{state:?}");
    assert_eq!(
        text(&runtime, &id, false).await.len(),
        30_000_000,
        "its log has all"
    );
    let (heard, error) = rest(&mut idle).await;
    let error = error.expect("an error").to_string();
    assert!(!heard.is_empty() && heard.len() < 30_000_000, "{}", heard.len());
    assert!(
        error.contains("main") && error.contains("fell too far behind"),
        "{error}"
    );
    assert_eq!(code(idle).await.unwrap(), 3, "its end is told all the same");
    clear(&runtime).await;
}

#[tokio::test]
async fn what_a_program_does_not_read_holds_up_none_of_its_output() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let deaf = ContainerConfig {
        stdin: true,
        stdin_once: true,
        ..config(
            "main",
            "while [ ! -e /tmp/go ]; do echo on; sleep 0.02; done; wc -c; exit 8",
        )
    };
    let id = start(&runtime, &deaf).await;
    let writer = attach(&runtime, &id, true).await;
    let mut reader = attach(&runtime, &id, false).await;
    // More than a pipe, the sockets and the channels hold.
    let input = writer.input.clone();
    let sending = tokio::spawn(async move {
        for _ in 0..200 {
            let piece = SessionInput::Stdin(vec![b'x'; 100_000].into());
            input.send(piece).await.expect("it is taken in time");
        }
    });
    for _ in 0..20 {
        hears(&mut reader, "on\n").await;
    }
    assert!(!sending.is_finished(), "it waits");
    says(&runtime, &id, "touch /tmp/go").await;
    sending.await.unwrap();
    let Session { input, output, exit } = writer;
    drop((input, output));
    hears(&mut reader, "20000000\n").await;
    let end = tokio::time::timeout(PATIENCE, exit).await.expect("it ends");
    assert_eq!(end.unwrap(), 8);
    clear(&runtime).await;
}

#[tokio::test]
async fn a_terminal_is_one_and_can_be_resized() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let script =
        "trap 'stty size' WINCH; read go; tty; echo $TERM; echo to-errors >&2; while :; do sleep 0.05; done";
    let terminal = ContainerConfig {
        tty: true,
        stdin: true,
        ..config("main", script)
    };
    let id = start(&runtime, &terminal).await;
    let mut session = attach(&runtime, &id, true).await;
    let mut other = attach(&runtime, &id, false).await;
    tell(&session, "go\n").await;
    let heard = hears(&mut session, "to-errors\r\n").await;
    assert_eq!(heard, "go\r\n/dev/pts/0\r\nxterm\r\nto-errors\r\n");
    let size = |width, height| SessionInput::Resize(TerminalSize { width, height });
    session.input.send(size(300, 50)).await.unwrap();
    hears(&mut session, "50 300").await;
    other.input.send(size(90, 20)).await.unwrap();
    hears(&mut other, "20 90").await;
    // What it is told makes a signal of this.
    tell(&session, "\x03").await;
    let (_, error) = rest(&mut session).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(code(session).await.unwrap(), 130);
    assert!(text(&runtime, &id, false).await.starts_with(&heard));
    clear(&runtime).await;
}

#[tokio::test]
async fn there_is_a_bound_to_how_many_are_attached() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(false)).await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        sessions.push(attach(&runtime, &id, true).await);
    }
    let options = AttachOptions { stdin: true };
    let refused = runtime.attach(&id, &options).await;
    assert!(
        matches!(&refused, Err(error @ RuntimeError::Failed { .. }) if error.to_string().contains("16 sessions")),
        "{refused:?}"
    );
    sessions.truncate(1);
    let again = async {
        // The shim learns a moment later.
        while let Err(error) = runtime.attach(&id, &options).await {
            assert!(error.to_string().contains("16 sessions"), "{error}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("there is room again");
    tell(&sessions[0], "on\n").await;
    hears(&mut sessions[0], "heard on\n").await;
    clear(&runtime).await;
}

#[tokio::test]
async fn the_end_of_a_shim_that_was_killed_is_told() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &parrot(false)).await;
    let mut session = attach(&runtime, &id, true).await;
    let (shim, _) = processes(&oci, &id);
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    let (_, error) = rest(&mut session).await;
    assert!(error.is_some_and(|error| error.to_string().contains("shim was killed")));
    let end = code(session).await;
    assert!(matches!(end, Err(RuntimeError::Failed { .. })), "{end:?}");
    clear(&runtime).await;
}
