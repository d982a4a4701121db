//! Cases about finding again what an earlier holder of the runtime left.

use std::time::Duration;

use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{ContainerState, ExitReason, LogOptions, SandboxFilter};

fn needs_it(rig: &Rig<'_>) -> Case {
    rig.needs("survives_restart", |has| has.survives_restart)
}

pub(super) async fn running_containers_are_found_again(rig: &mut Rig<'_>) -> Case {
    needs_it(rig)?;
    let id = rig
        .run_ready("web", |program| program.out("ready\n").wait())
        .await;
    let sandbox = rig.sandbox("web").await;
    let created = rig
        .create(&sandbox, &rig.config("created", &Program::new().exit(4)))
        .await;
    let filter = SandboxFilter {
        id: Some(sandbox.clone()),
        ..SandboxFilter::default()
    };
    let before = (
        rig.get(&id).await,
        rig.get(&created).await,
        rig.runtime().sandboxes(&filter).await.expect("listing"),
    );
    rig.reopen_after(Duration::ZERO).await;
    let after = (
        rig.get(&id).await,
        rig.get(&created).await,
        rig.runtime().sandboxes(&filter).await.expect("listing"),
    );
    assert_eq!(before, after);
    assert_eq!(
        rig.sandbox("web").await,
        sandbox,
        "the same sandbox for the same pod"
    );
    assert_eq!(
        rig.create(&sandbox, &rig.config("main", &Program::new())).await,
        id
    );
    rig.runtime()
        .start_container(&id)
        .await
        .expect("starting what runs");
    rig.runtime()
        .start_container(&created)
        .await
        .expect("starting what was only created");
    assert_eq!(rig.exit_code(&created).await, 4);
    Ok(())
}

pub(super) async fn what_ended_meanwhile_kept_its_exit_code(rig: &mut Rig<'_>) -> Case {
    needs_it(rig)?;
    let half = Duration::from_millis(500);
    let early = rig.run("early", Program::new().exit(3)).await;
    rig.ended(&early).await;
    let meanwhile = rig.run("meanwhile", Program::new().sleep(half).exit(5)).await;
    let killed = rig
        .run("killed", Program::new().sleep(half).then(Step::Kill(9)))
        .await;
    let later = rig.run("later", Program::new().sleep(half * 6).exit(6)).await;
    rig.reopen_after(half * 3).await;
    for (id, code) in [(&early, 3), (&meanwhile, 5), (&killed, 137), (&later, 6)] {
        match rig.ended(id).await.state {
            ContainerState::Exited {
                exit_code,
                reason,
                started_at: Some(start),
                finished_at,
                ..
            } => {
                assert_eq!((exit_code, reason), (Some(code), ExitReason::Error));
                assert!(start <= finished_at, "{start} to {finished_at}");
            }
            state => panic!("it must have started and ended: {state:?}"),
        }
    }
    Ok(())
}

pub(super) async fn logs_have_no_gap(rig: &mut Rig<'_>) -> Case {
    needs_it(rig)?;
    let step = Duration::from_millis(20);
    let mut program = Program::new();
    let mut expected = String::new();
    for number in 0..100 {
        program = program.out(format!("line {number}\n")).sleep(step);
        expected += &format!("line {number}\n");
    }
    let id = rig.run("web", program).await;
    rig.said(&id, "line 5\n").await;
    for _ in 0..3 {
        rig.reopen_after(step * 10).await;
        // Reading in between must neither lose nor double anything.
        rig.text(&id, &LogOptions::default()).await;
    }
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    assert_eq!(rig.text(&id, &follow).await, expected);
    rig.reopen_after(Duration::ZERO).await;
    assert_eq!(rig.text(&id, &LogOptions::default()).await, expected);
    Ok(())
}

pub(super) async fn an_adopted_container_can_be_stopped_and_removed(rig: &mut Rig<'_>) -> Case {
    needs_it(rig)?;
    let id = rig
        .run_ready("web", |program| program.on_term(7).out("ready\n").wait())
        .await;
    rig.reopen_after(Duration::ZERO).await;
    rig.runtime()
        .stop_container(&id, rig.harness.patience())
        .await
        .expect("stopping");
    assert_eq!(rig.exit_code(&id).await, 7);
    rig.runtime().remove_container(&id).await.expect("removing");
    rig.reopen_after(Duration::ZERO).await;
    assert!(rig.runtime().container(&id).await.is_err(), "it is gone for good");
    Ok(())
}
