//! Cases about starting, ending and stopping.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerState, ExitReason, LogOptions, RuntimeError,
    RuntimeEvent, SandboxFilter, SandboxState,
};

const LONG: Duration = Duration::from_secs(60);

async fn assert_ended(rig: &Rig<'_>, id: &ContainerId, code: i32, expected: ExitReason) {
    match rig.ended(id).await.state {
        ContainerState::Exited {
            started_at,
            finished_at,
            exit_code,
            reason,
            ..
        } => {
            assert_eq!((exit_code, reason), (Some(code), expected));
            let started_at = started_at.expect("it had started");
            assert!(started_at <= finished_at, "{started_at} to {finished_at}");
        }
        state => panic!("it must have ended: {state:?}"),
    }
}

pub(super) async fn a_container_runs_only_once_it_is_started(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let config = rig.config("main", &Program::new().out("ready\n").wait());
    let id = rig.create(&sandbox, &config).await;
    assert_eq!(rig.get(&id).await.state, ContainerState::Created);
    rig.runtime().start_container(&id).await.expect("starting");
    let container = rig.get(&id).await;
    let ContainerState::Running { started_at } = container.state else {
        panic!("it must run: {:?}", container.state);
    };
    assert!(
        started_at >= container.created_at,
        "{started_at} after {}",
        container.created_at
    );
    Ok(())
}

pub(super) async fn starting_twice_starts_once(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| program.out("ready\n").wait())
        .await;
    let before = rig.get(&id).await.state;
    rig.runtime().start_container(&id).await.expect("starting again");
    assert_eq!(rig.get(&id).await.state, before);
    rig.runtime().stop_container(&id, LONG).await.expect("stopping");
    assert_eq!(
        rig.text(&id, &LogOptions::default()).await,
        "ready\n",
        "it ran once"
    );
    Ok(())
}

pub(super) async fn exit_codes_are_kept(rig: &mut Rig<'_>) -> Case {
    for (code, reason) in [
        (0, ExitReason::Completed),
        (3, ExitReason::Error),
        (255, ExitReason::Error),
    ] {
        let id = rig.run(&format!("code-{code}"), Program::new().exit(code)).await;
        assert_ended(rig, &id, code, reason).await;
    }
    Ok(())
}

pub(super) async fn a_signal_shows_as_128_and_its_number(rig: &mut Rig<'_>) -> Case {
    let id = rig.run("web", Program::new().then(Step::Kill(9))).await;
    assert_ended(rig, &id, 137, ExitReason::Error).await;
    Ok(())
}

pub(super) async fn an_ended_container_is_not_started_again(rig: &mut Rig<'_>) -> Case {
    let id = rig.run("web", Program::new().exit(3)).await;
    let ended = rig.ended(&id).await;
    match rig.runtime().start_container(&id).await {
        Err(RuntimeError::Ended { .. }) => {}
        other => panic!("expected Ended, got {other:?}"),
    }
    assert_eq!(rig.get(&id).await, ended);
    Ok(())
}

pub(super) async fn a_program_that_takes_the_stop_signal_ends_its_own_way(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| program.on_term(7).out("ready\n").wait())
        .await;
    let before = Instant::now();
    rig.runtime().stop_container(&id, LONG).await.expect("stopping");
    assert!(before.elapsed() < LONG, "it need not wait for the whole grace");
    assert!(
        rig.get(&id).await.state.is_exited(),
        "stop returns when it has ended"
    );
    assert_ended(rig, &id, 7, ExitReason::Error).await;
    Ok(())
}

pub(super) async fn the_stop_signal_can_be_chosen(rig: &mut Rig<'_>) -> Case {
    let on = |signal: &str, code| Step::OnSignal {
        signal: signal.into(),
        after: Duration::ZERO,
        code,
    };
    for (pod, signal) in [("short", "USR1"), ("long", "SIGUSR1")] {
        let program = Program::new()
            .then(on("TERM", 1))
            .then(on("USR1", 9))
            .out("ready\n")
            .wait();
        let mut config = rig.config("main", &program);
        config.stop_signal = Some(signal.into());
        let id = rig.start(pod, &config).await;
        rig.said(&id, "ready\n").await;
        rig.runtime().stop_container(&id, LONG).await.expect("stopping");
        assert_ended(rig, &id, 9, ExitReason::Error).await;
    }
    Ok(())
}

pub(super) async fn a_program_that_ignores_the_stop_signal_is_killed_after_the_grace(
    rig: &mut Rig<'_>,
) -> Case {
    let ignore = |program: Program| program.then(Step::Ignore("TERM".into())).out("ready\n").wait();
    let id = rig.run_ready("web", ignore).await;
    let (before, grace) = (Instant::now(), Duration::from_secs(1));
    rig.runtime().stop_container(&id, grace).await.expect("stopping");
    assert!(
        before.elapsed() >= grace,
        "it has the grace to end: {:?}",
        before.elapsed()
    );
    assert_ended(rig, &id, 137, ExitReason::Error).await;
    Ok(())
}

pub(super) async fn no_grace_kills_at_once(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| program.on_term(7).out("ready\n").wait())
        .await;
    rig.runtime()
        .stop_container(&id, Duration::ZERO)
        .await
        .expect("stopping");
    assert!(
        rig.get(&id).await.state.is_exited(),
        "stop returns when it has ended"
    );
    assert_ended(rig, &id, 137, ExitReason::Error).await;
    Ok(())
}

pub(super) async fn stopping_what_does_not_run_succeeds(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("never").await;
    let created = rig.create(&sandbox, &rig.config("main", &Program::new())).await;
    let ended = rig.run("ended", Program::new().exit(3)).await;
    rig.ended(&ended).await;
    for id in [&created, &ended] {
        rig.runtime()
            .stop_container(id, LONG)
            .await
            .expect("stopping what does not run");
        rig.runtime()
            .stop_container(id, Duration::ZERO)
            .await
            .expect("stopping what does not run");
    }
    assert_ended(rig, &ended, 3, ExitReason::Error).await;
    Ok(())
}

/// Polls a call for a moment, and drops it.
async fn dropped<T>(after: Duration, call: impl Future<Output = T>) {
    let _ = timeout(after, call).await;
}

pub(super) async fn calls_dropped_halfway_can_be_repeated(rig: &mut Rig<'_>) -> Case {
    for micros in [0, 100, 1_000, 10_000] {
        let after = Duration::from_micros(micros);
        let pod = format!("after-{micros}");
        let config = rig.sandbox_config(&pod);
        dropped(after, rig.runtime().run_sandbox(&config)).await;
        let sandbox = rig.sandbox(&pod).await;
        let filter = SandboxFilter {
            pod_uid: Some(config.uid),
            ..SandboxFilter::default()
        };
        let found = rig.runtime().sandboxes(&filter).await.expect("listing");
        assert_eq!(found.len(), 1, "one sandbox of one attempt: {found:?}");

        let config = rig.config("main", &Program::new().out("ready\n").wait());
        dropped(after, rig.runtime().create_container(&sandbox, &config)).await;
        let id = rig.create(&sandbox, &config).await;
        let filter = ContainerFilter {
            sandbox: Some(sandbox.clone()),
            ..ContainerFilter::default()
        };
        let found = rig.runtime().containers(&filter).await.expect("listing");
        assert_eq!(found.len(), 1, "one container of one attempt: {found:?}");

        dropped(after, rig.runtime().start_container(&id)).await;
        rig.runtime().start_container(&id).await.expect("starting again");
        rig.said(&id, "ready\n").await;
        dropped(after, rig.runtime().stop_container(&id, LONG)).await;
        rig.runtime()
            .stop_container(&id, LONG)
            .await
            .expect("stopping again");
        assert_eq!(
            rig.text(&id, &LogOptions::default()).await,
            "ready\n",
            "it ran once"
        );
        dropped(after, rig.runtime().remove_container(&id)).await;
        rig.runtime().remove_container(&id).await.expect("removing again");
        dropped(after, rig.runtime().remove_sandbox(&sandbox)).await;
        rig.runtime()
            .remove_sandbox(&sandbox)
            .await
            .expect("removing again");
    }
    Ok(())
}

pub(super) async fn concurrent_calls_are_as_good_as_one(rig: &mut Rig<'_>) -> Case {
    let rig = &*rig;
    let sandboxes = join_all((0..5).map(|_| rig.sandbox("web"))).await;
    assert!(sandboxes.iter().all(|id| *id == sandboxes[0]), "{sandboxes:?}");
    let config = rig.config("main", &Program::new().out("ready\n").wait());
    let ids = join_all((0..5).map(|_| rig.create(&sandboxes[0], &config))).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let id = &ids[0];
    for started in join_all((0..5).map(|_| rig.runtime().start_container(id))).await {
        started.expect("starting at once with others");
    }
    rig.said(id, "ready\n").await;
    for stopped in join_all((0..5).map(|_| rig.runtime().stop_container(id, LONG))).await {
        stopped.expect("stopping at once with others");
    }
    assert_eq!(
        rig.text(id, &LogOptions::default()).await,
        "ready\n",
        "it ran once"
    );
    for removed in join_all((0..5).map(|_| rig.runtime().remove_container(id))).await {
        removed.expect("removing at once with others");
    }
    Ok(())
}

pub(super) async fn changes_are_hinted_at(rig: &mut Rig<'_>) -> Case {
    let mut events = rig.runtime().events().await;
    let sandbox = rig.sandbox("web").await;
    let config = ContainerConfig {
        stdin: false,
        ..rig.config("main", &Program::new().exit(0))
    };
    let id = rig.create(&sandbox, &config).await;
    rig.runtime().start_container(&id).await.expect("starting");
    let uid = rig.pod_uid("web");
    // Whoever looks at the container at each hint about it sees it end.
    let watching = async {
        while let Some(event) = events.next().await {
            let ours = match &event {
                RuntimeEvent::Container {
                    id: of,
                    sandbox: inside,
                    pod_uid,
                } => {
                    assert!(*of != id || (*inside == sandbox && *pod_uid == uid), "{event:?}");
                    *of == id
                }
                RuntimeEvent::Relist => true,
                _ => false,
            };
            if ours && rig.get(&id).await.state.is_exited() {
                return;
            }
        }
        panic!("the events ended");
    };
    timeout(rig.harness.patience(), watching)
        .await
        .expect("a hint at the end of a container");
    Ok(())
}

pub(super) async fn the_end_of_a_sandbox_is_hinted_at(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let mut events = rig.runtime().events().await;
    let filter = SandboxFilter {
        id: Some(sandbox.clone()),
        ..SandboxFilter::default()
    };
    // Whoever looks at the sandbox at each hint about it sees it end, and nothing has to be in it.
    let watching = async {
        while let Some(event) = events.next().await {
            let ours = match &event {
                RuntimeEvent::Sandbox { id, pod_uid } => {
                    assert!(*id != sandbox || *pod_uid == rig.pod_uid("web"), "{event:?}");
                    *id == sandbox
                }
                event => *event == RuntimeEvent::Relist,
            };
            if ours {
                let seen = rig.runtime().sandboxes(&filter).await.expect("looking at it");
                if seen.iter().all(|seen| seen.state == SandboxState::NotReady) {
                    return;
                }
            }
        }
        panic!("the events ended");
    };
    let stopping = async {
        let stopped = rig.runtime().stop_sandbox(&sandbox).await;
        stopped.expect("stopping the sandbox");
    };
    timeout(rig.harness.patience(), async { tokio::join!(watching, stopping) })
        .await
        .expect("a hint at the end of a sandbox");
    Ok(())
}
