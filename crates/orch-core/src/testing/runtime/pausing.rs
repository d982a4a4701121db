//! Cases about pausing.

use std::time::Duration;

use futures::future::join;

use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{
    AttachOptions, ContainerFilter, ContainerId, ContainerState, LogOptions, RuntimeError, SessionInput,
};

const LONG: Duration = Duration::from_secs(60);

async fn paused(rig: &Rig<'_>, program: impl FnOnce(Program) -> Program) -> ContainerId {
    let id = rig.run_ready("web", program).await;
    rig.runtime().pause(&id).await.expect("pausing");
    id
}

pub(super) async fn a_paused_container_stands_still_until_it_is_resumed(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    rig.needs("attach", |has| has.attach)?;
    let program = Program::new().out("ready\n").then(Step::Cat).exit(7);
    let mut config = rig.config("main", &program);
    (config.stdin, config.stdin_once) = (true, true);
    let id = rig.start("web", &config).await;
    rig.said(&id, "ready\n").await;
    let options = AttachOptions { stdin: true };
    let session = rig.runtime().attach(&id, &options).await.expect("attaching");
    let before = rig.get(&id).await;
    assert!(!before.paused);
    for _ in 0..2 {
        rig.runtime().pause(&id).await.expect("pausing");
    }
    let container = rig.get(&id).await;
    assert!(container.paused);
    assert_eq!(container.state, before.state, "it runs");
    // What it would have copied at once it has not, after a time in which one that runs would have.
    let hello = SessionInput::Stdin("hello\n".into());
    session.input.send(hello).await.expect("sending");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.text(&id, &LogOptions::default()).await, "ready\n");
    for _ in 0..2 {
        rig.runtime().resume(&id).await.expect("resuming");
    }
    rig.said(&id, "ready\nhello\n").await;
    assert!(!rig.get(&id).await.paused);
    drop(session);
    assert_eq!(rig.exit_code(&id).await, 7);
    Ok(())
}

pub(super) async fn no_command_runs_in_a_paused_container(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    rig.needs("exec", |has| has.exec)?;
    let id = paused(rig, |program| program.out("ready\n").wait()).await;
    let request = rig.exec(&Program::new().out("here"));
    let errors = [
        rig.runtime().exec(&id, &request).await.err(),
        rig.runtime().open_exec(&id, &request).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(RuntimeError::Paused { .. })), "{error:?}");
    }
    rig.runtime().resume(&id).await.expect("resuming");
    let output = rig
        .runtime()
        .exec(&id, &request)
        .await
        .expect("running a command");
    assert_eq!(&output.stdout[..], b"here");
    Ok(())
}

pub(super) async fn a_paused_container_can_be_asked_to_end(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    let id = paused(rig, |program| program.on_term(5).out("ready\n").wait()).await;
    rig.runtime().stop_container(&id, LONG).await.expect("stopping");
    assert_eq!(rig.exit_code(&id).await, 5, "it ends its own way");
    assert!(!rig.get(&id).await.paused);
    Ok(())
}

pub(super) async fn a_paused_container_can_be_killed_and_removed(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    let id = paused(rig, |program| {
        program.then(Step::Ignore("TERM".into())).out("ready\n").wait()
    })
    .await;
    rig.runtime()
        .stop_container(&id, Duration::ZERO)
        .await
        .expect("killing");
    assert_eq!(rig.exit_code(&id).await, 137);
    let id = rig.run("other", Program::new().wait()).await;
    rig.runtime().pause(&id).await.expect("pausing");
    rig.runtime().remove_container(&id).await.expect("removing");
    let gone = rig.runtime().container(&id).await;
    assert!(matches!(gone, Err(RuntimeError::NotFound { .. })), "{gone:?}");
    let (id, twin) = (
        rig.run("third", Program::new().wait()).await,
        rig.run("fourth", Program::new().wait()).await,
    );
    let (one, two) = join(rig.runtime().pause(&id), rig.runtime().pause(&twin)).await;
    one.and(two).expect("pausing two");
    let sandbox = rig.get(&id).await.sandbox;
    rig.runtime()
        .stop_sandbox(&sandbox)
        .await
        .expect("stopping its sandbox");
    assert_eq!(rig.exit_code(&id).await, 137);
    assert!(rig.get(&twin).await.paused, "one is not the other");
    Ok(())
}

pub(super) async fn only_what_runs_can_be_paused(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    let sandbox = rig.sandbox("web").await;
    let created = rig.create(&sandbox, &rig.config("main", &Program::new())).await;
    let ended = rig.run("ended", Program::new()).await;
    rig.ended(&ended).await;
    for id in [created, ended] {
        for done in [rig.runtime().pause(&id).await, rig.runtime().resume(&id).await] {
            assert!(matches!(done, Err(RuntimeError::NotRunning { .. })), "{done:?}");
        }
    }
    let missing = rig.runtime().pause(&ContainerId("nonesuch".into())).await;
    assert!(
        matches!(missing, Err(RuntimeError::NotFound { .. })),
        "{missing:?}"
    );
    Ok(())
}

pub(super) async fn a_paused_container_is_found_again_so(rig: &mut Rig<'_>) -> Case {
    rig.needs("pause", |has| has.pause)?;
    rig.needs("survives_restart", |has| has.survives_restart)?;
    let id = paused(rig, |program| program.on_term(4).out("ready\n").wait()).await;
    rig.reopen_after(Duration::ZERO).await;
    let container = rig.get(&id).await;
    assert!(
        container.paused && matches!(container.state, ContainerState::Running { .. }),
        "{container:?}"
    );
    let listed = rig
        .runtime()
        .containers(&ContainerFilter::default())
        .await
        .expect("listing");
    assert!(
        listed.iter().any(|other| other.id == id && other.paused),
        "lists show it as well"
    );
    rig.runtime().resume(&id).await.expect("resuming");
    assert!(!rig.get(&id).await.paused);
    rig.runtime().stop_container(&id, LONG).await.expect("stopping");
    assert_eq!(rig.exit_code(&id).await, 4);
    Ok(())
}
