//! Cases about commands run in containers, and about attaching.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::rig::{Case, Rig, joined};
use super::{Program, Step};
use crate::runtime::{
    AttachOptions, ContainerId, ExecRequest, LogStream, RuntimeError, Session, SessionInput,
};

async fn running(rig: &Rig<'_>) -> ContainerId {
    rig.run_ready("web", |program| program.out("ready\n").wait())
        .await
}

pub(super) async fn a_command_returns_output_and_exit_code(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let id = running(rig).await;
    for (program, code, stdout, stderr) in [
        (Program::new(), 0, "", ""),
        (Program::new().out("out").err("err\n").exit(3), 3, "out", "err\n"),
        (
            Program::new().out("dying\n").then(Step::Kill(9)),
            137,
            "dying\n",
            "",
        ),
    ] {
        let output = rig
            .runtime()
            .exec(&id, &rig.exec(&program))
            .await
            .expect("running a command");
        assert_eq!(output.exit_code, code, "{program:?}");
        assert_eq!(
            (&output.stdout[..], &output.stderr[..]),
            (stdout.as_bytes(), stderr.as_bytes())
        );
        assert!(!output.truncated);
    }
    assert!(
        rig.get(&id).await.state.is_running(),
        "a command's end is not the container's"
    );
    Ok(())
}

pub(super) async fn a_command_sees_the_containers_environment(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let mut config = rig.config("main", &Program::new().wait());
    config.env = vec![("WHO".into(), "you".into())];
    let id = rig.start("web", &config).await;
    let program = Program::new().then(Step::Env("WHO".into()));
    let output = rig
        .runtime()
        .exec(&id, &rig.exec(&program))
        .await
        .expect("running a command");
    assert_eq!(&output.stdout[..], b"you\n");
    Ok(())
}

pub(super) async fn a_command_that_takes_too_long_is_killed(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let id = running(rig).await;
    let (before, limit) = (Instant::now(), Duration::from_millis(300));
    let request = ExecRequest {
        timeout: Some(limit),
        ..rig.exec(&Program::new().wait())
    };
    match rig.runtime().exec(&id, &request).await {
        Err(RuntimeError::Timeout { after, .. }) => assert_eq!(after, limit),
        other => panic!("expected Timeout, got {other:?}"),
    }
    assert!(before.elapsed() < rig.harness.patience());
    assert!(
        rig.get(&id).await.state.is_running(),
        "the container itself runs on"
    );
    Ok(())
}

pub(super) async fn too_much_output_is_cut_and_said_so(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let id = running(rig).await;
    let program = Program::new().then(Step::Fill(3 << 20)).exit(4);
    let output = rig
        .runtime()
        .exec(&id, &rig.exec(&program))
        .await
        .expect("running a command");
    assert_eq!(output.exit_code, 4, "the rest is read and dropped");
    assert_eq!((output.stdout.len(), output.truncated), (1 << 20, true));
    Ok(())
}

pub(super) async fn a_command_needs_a_running_container(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let ended = rig.run("ended", Program::new()).await;
    rig.ended(&ended).await;
    let request = rig.exec(&Program::new());
    let errors = [
        rig.runtime().exec(&ended, &request).await.err(),
        rig.runtime().open_exec(&ended, &request).await.err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(RuntimeError::NotRunning { .. })),
            "{error:?}"
        );
    }
    let missing = rig
        .runtime()
        .exec(&ContainerId("nonesuch".into()), &request)
        .await;
    assert!(
        matches!(missing, Err(RuntimeError::NotFound { .. })),
        "{missing:?}"
    );
    Ok(())
}

/// Reads one stream until it holds a text.
async fn hears(rig: &Rig<'_>, session: &mut Session, text: &str) {
    let mut heard = String::new();
    let reading = async {
        while !heard.contains(text) {
            let chunk = session
                .output
                .next()
                .await
                .expect("not the end yet")
                .expect("reading output");
            assert_eq!(chunk.stream, LogStream::Stdout);
            heard += &String::from_utf8_lossy(&chunk.data);
        }
    };
    if timeout(rig.harness.patience(), reading).await.is_err() {
        panic!("expected {text:?} in what was heard, {heard:?}");
    }
}

async fn says(session: &mut Session, text: &'static str) {
    let input = SessionInput::Stdin(Bytes::from_static(text.as_bytes()));
    session.input.send(input).await.expect("standard input is open");
}

pub(super) async fn an_open_command_reads_and_writes(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let id = running(rig).await;
    let program = Program::new().then(Step::Cat).out("bye\n").exit(5);
    let request = ExecRequest {
        stdin: true,
        ..rig.exec(&program)
    };
    let mut session = rig
        .runtime()
        .open_exec(&id, &request)
        .await
        .expect("opening a command");
    for text in ["hello\n", "again\n"] {
        says(&mut session, text).await;
        hears(rig, &mut session, text).await;
    }
    let Session { input, output, exit } = session;
    drop(input);
    let rest = timeout(rig.harness.patience(), output.collect::<Vec<_>>())
        .await
        .expect("the end of output");
    let rest: Vec<_> = rest
        .into_iter()
        .map(|chunk| chunk.expect("reading output"))
        .collect();
    assert_eq!(joined(&rest, None), "bye\n");
    assert_eq!(exit.await.expect("an exit code"), 5);
    Ok(())
}

pub(super) async fn an_open_command_reports_its_exit_code(rig: &mut Rig<'_>) -> Case {
    rig.needs("exec", |has| has.exec)?;
    let id = running(rig).await;
    for (program, code) in [
        (Program::new().out("x").exit(3), 3),
        (Program::new().then(Step::Kill(9)), 137),
    ] {
        let request = ExecRequest {
            timeout: None,
            ..rig.exec(&program)
        };
        let session = rig
            .runtime()
            .open_exec(&id, &request)
            .await
            .expect("opening a command");
        // Nobody reads its output.
        let exit = timeout(rig.harness.patience(), session.exit)
            .await
            .expect("it ends");
        assert_eq!(exit.expect("an exit code"), code);
    }
    Ok(())
}

pub(super) async fn attaching_shows_what_is_written_from_now_on(rig: &mut Rig<'_>) -> Case {
    rig.needs("attach", |has| has.attach)?;
    let step = Duration::from_secs(1);
    let program = Program::new()
        .out("ready\n")
        .sleep(step)
        .out("later\n")
        .sleep(step)
        .exit(6);
    let id = rig.run("web", program).await;
    rig.said(&id, "ready\n").await;
    let session = rig
        .runtime()
        .attach(&id, &AttachOptions::default())
        .await
        .expect("attaching");
    let chunks = timeout(rig.harness.patience(), session.output.collect::<Vec<_>>())
        .await
        .expect("the end");
    let chunks: Vec<_> = chunks
        .into_iter()
        .map(|chunk| chunk.expect("reading output"))
        .collect();
    assert_eq!(joined(&chunks, None), "later\n");
    assert_eq!(session.exit.await.expect("an exit code"), 6);
    Ok(())
}

pub(super) async fn attaching_feeds_standard_input(rig: &mut Rig<'_>) -> Case {
    rig.needs("attach", |has| has.attach)?;
    let mut config = rig.config("main", &Program::new().then(Step::Cat).exit(8));
    (config.stdin, config.stdin_once) = (true, true);
    let id = rig.start("web", &config).await;
    let mut session = rig
        .runtime()
        .attach(&id, &AttachOptions { stdin: true })
        .await
        .expect("attaching");
    says(&mut session, "hello\n").await;
    hears(rig, &mut session, "hello\n").await;
    assert!(rig.get(&id).await.state.is_running());
    drop(session);
    assert_eq!(
        rig.exit_code(&id).await,
        8,
        "stdin_once closes standard input with the first session"
    );
    Ok(())
}
