//! Cases about sandboxes.

use std::time::Duration;

use super::Program;
use super::rig::{Case, Rig};
use crate::runtime::{
    ContainerFilter, ContainerId, LogOptions, RuntimeError, SandboxConfig, SandboxFilter, SandboxId,
    SandboxState,
};

pub(super) async fn a_sandbox_is_listed_as_it_was_asked_for(rig: &mut Rig<'_>) -> Case {
    let config = SandboxConfig {
        attempt: 2,
        ..rig.sandbox_config("web")
    };
    let made = rig
        .runtime()
        .run_sandbox(&config)
        .await
        .expect("running a sandbox");
    assert_eq!(made.state, SandboxState::Ready, "a sandbox returned is ready");
    assert_eq!(
        (&made.name, &made.namespace, &made.uid, made.attempt),
        (&config.name, &config.namespace, &config.uid, config.attempt)
    );
    assert_eq!(
        (&*made.labels, &*made.annotations),
        (&config.labels, &config.annotations)
    );
    let filter = SandboxFilter {
        id: Some(made.id.clone()),
        ..SandboxFilter::default()
    };
    assert_eq!(rig.runtime().sandboxes(&filter).await.expect("listing"), [made]);
    Ok(())
}

pub(super) async fn running_a_sandbox_twice_gives_the_same_one(rig: &mut Rig<'_>) -> Case {
    let config = rig.sandbox_config("web");
    let first = rig
        .runtime()
        .run_sandbox(&config)
        .await
        .expect("running a sandbox");
    let again = rig
        .runtime()
        .run_sandbox(&config)
        .await
        .expect("running it again");
    assert_eq!(first, again);
    let next = SandboxConfig {
        attempt: 1,
        ..config.clone()
    };
    let next = rig
        .runtime()
        .run_sandbox(&next)
        .await
        .expect("running the next attempt");
    assert_ne!(first.id, next.id, "another attempt is another sandbox");
    let filter = SandboxFilter {
        pod_uid: Some(config.uid),
        ..SandboxFilter::default()
    };
    assert_eq!(rig.runtime().sandboxes(&filter).await.expect("listing").len(), 2);
    Ok(())
}

pub(super) async fn a_stopped_sandbox_stays_listed_and_runs_nothing(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let program = Program::new().out("ready\n").wait();
    let id = rig.create(&sandbox, &rig.config("main", &program)).await;
    rig.runtime().start_container(&id).await.expect("starting");
    rig.said(&id, "ready\n").await;
    for time in ["first", "second"] {
        let stopped = rig.runtime().stop_sandbox(&sandbox).await;
        stopped.unwrap_or_else(|error| panic!("stopping a sandbox a {time} time: {error}"));
        let filter = SandboxFilter {
            id: Some(sandbox.clone()),
            ..SandboxFilter::default()
        };
        let listed = rig.runtime().sandboxes(&filter).await.expect("listing");
        assert_eq!(listed.len(), 1, "a stopped sandbox is listed");
        assert_eq!(listed[0].state, SandboxState::NotReady);
        let container = rig.get(&id).await;
        assert!(
            container.state.is_exited(),
            "no container runs: {:?}",
            container.state
        );
    }
    assert_eq!(rig.text(&id, &LogOptions::default()).await, "ready\n");
    let again = rig
        .runtime()
        .create_container(&sandbox, &rig.config("late", &program))
        .await;
    assert!(again.is_err(), "a stopped sandbox takes no containers");
    Ok(())
}

pub(super) async fn a_removed_sandbox_takes_its_containers_along(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let running = rig
        .create(&sandbox, &rig.config("running", &Program::new().wait()))
        .await;
    rig.runtime().start_container(&running).await.expect("starting");
    let created = rig
        .create(&sandbox, &rig.config("created", &Program::new()))
        .await;
    for time in ["first", "second"] {
        let removed = rig.runtime().remove_sandbox(&sandbox).await;
        removed.unwrap_or_else(|error| panic!("removing a sandbox a {time} time: {error}"));
    }
    for id in [&running, &created] {
        let found = rig.runtime().container(id).await;
        assert!(matches!(found, Err(RuntimeError::NotFound { .. })), "{found:?}");
    }
    let all = rig
        .runtime()
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("listing");
    assert!(
        !all.iter().any(|other| other.id == sandbox),
        "a removed sandbox is not listed"
    );
    Ok(())
}

pub(super) async fn sandboxes_are_listed_by_filter(rig: &mut Rig<'_>) -> Case {
    let (one, two) = (rig.sandbox("one").await, rig.sandbox("two").await);
    let uid = Some(rig.pod_uid("one"));
    for (id, pod_uid, expected) in [
        (Some(one.clone()), None, vec![one.clone()]),
        (None, uid.clone(), vec![one.clone()]),
        (Some(one.clone()), uid.clone(), vec![one.clone()]),
        (Some(two.clone()), uid, vec![]),
        (Some(SandboxId("nonesuch".into())), None, vec![]),
    ] {
        let filter = SandboxFilter { id, pod_uid };
        let found = rig.runtime().sandboxes(&filter).await.expect("listing");
        let found: Vec<SandboxId> = found.into_iter().map(|sandbox| sandbox.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let all = rig
        .runtime()
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("listing");
    assert!(
        [one, two]
            .iter()
            .all(|id| all.iter().any(|sandbox| sandbox.id == *id))
    );
    Ok(())
}

pub(super) async fn a_pod_network_gives_each_sandbox_an_address(rig: &mut Rig<'_>) -> Case {
    rig.needs("sandbox_network", |has| has.sandbox_network)?;
    let one = rig
        .runtime()
        .run_sandbox(&rig.sandbox_config("one"))
        .await
        .expect("running");
    let two = rig
        .runtime()
        .run_sandbox(&rig.sandbox_config("two"))
        .await
        .expect("running");
    let addresses = (one.ip().expect("an address"), two.ip().expect("an address"));
    assert_ne!(addresses.0, addresses.1);
    let shared = SandboxConfig {
        host_network: true,
        user_namespace: false,
        ..rig.sandbox_config("shared")
    };
    let shared = rig
        .runtime()
        .run_sandbox(&shared)
        .await
        .expect("running on the machine's network");
    assert_eq!(
        shared.ip(),
        None,
        "no address of its own on the machine's network"
    );
    Ok(())
}

pub(super) async fn what_is_not_there_is_not_found(rig: &mut Rig<'_>) -> Case {
    let runtime = rig.runtime();
    let (sandbox, container) = (SandboxId("nonesuch".into()), ContainerId("nonesuch".into()));
    runtime
        .remove_sandbox(&sandbox)
        .await
        .expect("removing a sandbox that is gone");
    runtime
        .remove_container(&container)
        .await
        .expect("removing a container that is gone");
    let filter = ContainerFilter {
        id: Some(container.clone()),
        ..ContainerFilter::default()
    };
    assert_eq!(runtime.containers(&filter).await.expect("listing"), []);

    let config = rig.config("main", &Program::new());
    let errors = [
        (
            "create_container",
            runtime.create_container(&sandbox, &config).await.err(),
        ),
        ("start_container", runtime.start_container(&container).await.err()),
        ("container", runtime.container(&container).await.err()),
        (
            "logs",
            runtime.logs(&container, &LogOptions::default()).await.err(),
        ),
        ("stats", runtime.stats(&container).await.err()),
    ];
    for (call, error) in errors {
        assert!(
            matches!(error, Some(RuntimeError::NotFound { .. })),
            "{call}: {error:?}"
        );
    }
    // Whether stopping what was never there succeeds is left open; it must end.
    let _ = tokio::time::timeout(
        Duration::from_secs(30),
        runtime.stop_container(&container, Duration::ZERO),
    )
    .await;
    Ok(())
}
