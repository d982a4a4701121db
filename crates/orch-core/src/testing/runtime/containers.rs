//! Cases about what containers are.

use std::time::Duration;

use futures::future::join_all;

use super::rig::{Case, Rig, Skip};
use super::{Program, Step};
use crate::runtime::{
    ContainerConfig, ContainerFilter, ContainerId, ContainerState, ExitReason, LogOptions, RuntimeError,
    SandboxId,
};

pub(super) async fn a_container_is_listed_as_it_was_asked_for(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let config = ContainerConfig {
        attempt: 3,
        ..rig.config("main", &Program::new().wait())
    };
    let id = rig.create(&sandbox, &config).await;
    let container = rig.get(&id).await;
    assert_eq!((&container.id, &container.sandbox), (&id, &sandbox));
    assert_eq!(container.pod_uid, rig.pod_uid("web"));
    assert_eq!(
        (&container.name, container.attempt),
        (&config.name, config.attempt)
    );
    assert_eq!(container.image, config.image);
    assert_eq!(
        (&*container.labels, &*container.annotations),
        (&config.labels, &config.annotations)
    );
    assert_eq!(container.state, ContainerState::Created);
    let filter = ContainerFilter {
        id: Some(id),
        ..ContainerFilter::default()
    };
    assert_eq!(
        rig.runtime().containers(&filter).await.expect("listing"),
        [container]
    );
    Ok(())
}

pub(super) async fn creating_a_container_twice_gives_the_same_one(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let config = rig.config("main", &Program::new().wait());
    let first = rig.create(&sandbox, &config).await;
    assert_eq!(rig.create(&sandbox, &config).await, first);
    let next = ContainerConfig {
        attempt: 1,
        ..config.clone()
    };
    assert_ne!(
        rig.create(&sandbox, &next).await,
        first,
        "another attempt is another container"
    );
    let other = ContainerConfig {
        name: "other".into(),
        ..config
    };
    assert_ne!(
        rig.create(&sandbox, &other).await,
        first,
        "another name is another container"
    );
    let filter = ContainerFilter {
        sandbox: Some(sandbox),
        ..ContainerFilter::default()
    };
    assert_eq!(rig.runtime().containers(&filter).await.expect("listing").len(), 3);
    Ok(())
}

pub(super) async fn containers_are_listed_by_filter(rig: &mut Rig<'_>) -> Case {
    let (web, db) = (rig.sandbox("web").await, rig.sandbox("db").await);
    let config = rig.config("main", &Program::new().wait());
    let (in_web, in_db) = (rig.create(&web, &config).await, rig.create(&db, &config).await);
    let uid = Some(rig.pod_uid("web"));
    for (id, sandbox, pod_uid, expected) in [
        (Some(in_web.clone()), None, None, vec![in_web.clone()]),
        (None, Some(web.clone()), None, vec![in_web.clone()]),
        (None, None, uid.clone(), vec![in_web.clone()]),
        (Some(in_web.clone()), Some(web), uid.clone(), vec![in_web.clone()]),
        (Some(in_db.clone()), None, uid.clone(), vec![]),
        (Some(in_web.clone()), Some(db), None, vec![]),
        (None, Some(SandboxId("nonesuch".into())), None, vec![]),
    ] {
        let filter = ContainerFilter { id, sandbox, pod_uid };
        let found = rig.runtime().containers(&filter).await.expect("listing");
        let found: Vec<ContainerId> = found.into_iter().map(|container| container.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let all = rig
        .runtime()
        .containers(&ContainerFilter::default())
        .await
        .expect("listing");
    assert!(
        [in_web, in_db]
            .iter()
            .all(|id| all.iter().any(|container| container.id == *id))
    );
    Ok(())
}

pub(super) async fn a_container_needs_its_image(rig: &mut Rig<'_>) -> Case {
    let image = rig
        .harness
        .missing_image()
        .ok_or(Skip("Harness::missing_image"))?;
    assert_eq!(
        rig.runtime().image(&image).await.expect("looking for an image"),
        None
    );
    let sandbox = rig.sandbox("web").await;
    let config = ContainerConfig {
        image: image.clone(),
        ..rig.config("main", &Program::new())
    };
    match rig.runtime().create_container(&sandbox, &config).await {
        Err(RuntimeError::ImageNotFound { image: named }) => assert_eq!(named, image),
        other => panic!("expected ImageNotFound, got {other:?}"),
    }
    Ok(())
}

pub(super) async fn a_program_sees_its_arguments_and_environment(rig: &mut Rig<'_>) -> Case {
    let program = Program::new()
        .then(Step::Env("GREETING".into()))
        .then(Step::Env("WHO".into()));
    let mut config = rig.config("main", &program);
    config.env = [
        ("GREETING", "once"),
        ("WHO", "it's \"you\" $HOME\ttoo"),
        ("GREETING", "hello"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    // The last words of the command, as arguments.
    config.args = config.command.split_off(1);
    let id = rig.start("web", &config).await;
    assert_eq!(rig.exit_code(&id).await, 0);
    let text = rig.text(&id, &LogOptions::default()).await;
    assert_eq!(
        text, "hello\nit's \"you\" $HOME\ttoo\n",
        "a later name wins, values come through whole"
    );
    Ok(())
}

pub(super) async fn a_program_starts_in_its_working_directory(rig: &mut Rig<'_>) -> Case {
    let program = Program::new().then(Step::Pwd);
    for (pod, directory) in [("given", Some("/usr")), ("default", None)] {
        let mut config = rig.config("main", &program);
        config.working_dir = directory.map(str::to_owned);
        let id = rig.start(pod, &config).await;
        assert_eq!(rig.exit_code(&id).await, 0);
        let text = rig.text(&id, &LogOptions::default()).await;
        assert_eq!(text, format!("{}\n", directory.unwrap_or("/")));
    }
    Ok(())
}

pub(super) async fn a_program_that_cannot_be_started_is_a_start_failure(rig: &mut Rig<'_>) -> Case {
    let sandbox = rig.sandbox("web").await;
    let config = rig.config("main", &Program::new().then(Step::CannotStart));
    let id = rig.create(&sandbox, &config).await;
    match rig.runtime().start_container(&id).await {
        Err(RuntimeError::StartFailed { container, reason }) => {
            assert_eq!(container, "main", "the error names the container");
            assert!(!reason.is_empty());
        }
        other => panic!("expected StartFailed, got {other:?}"),
    }
    match rig.get(&id).await.state {
        ContainerState::Exited {
            started_at,
            exit_code,
            reason,
            message,
            ..
        } => {
            assert_eq!((started_at, reason), (None, ExitReason::StartError));
            assert_ne!(exit_code, Some(0));
            assert!(message.is_some_and(|message| !message.is_empty()), "it says why");
        }
        state => panic!("it must have ended: {state:?}"),
    }
    Ok(())
}

pub(super) async fn removing_a_running_container_kills_it(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| {
            program.then(Step::Ignore("TERM".into())).out("ready\n").wait()
        })
        .await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let logs = rig.runtime().logs(&id, &follow).await.expect("following logs");
    for time in ["first", "second"] {
        let removed = rig.runtime().remove_container(&id).await;
        removed.unwrap_or_else(|error| panic!("removing a container a {time} time: {error}"));
        let found = rig.runtime().container(&id).await;
        assert!(matches!(found, Err(RuntimeError::NotFound { .. })), "{found:?}");
    }
    let reading = futures::StreamExt::count(logs);
    let ended = tokio::time::timeout(rig.harness.patience(), reading).await;
    assert!(ended.is_ok(), "a followed log ends when its container is removed");
    Ok(())
}

pub(super) async fn many_containers_run_at_once(rig: &mut Rig<'_>) -> Case {
    let rig = &*rig;
    let runs = (0..20).map(|number| async move {
        let program = Program::new()
            .out(format!("{number}\n"))
            .sleep(Duration::from_millis(10))
            .exit(number);
        let id = rig.run(&format!("pod-{number}"), program).await;
        assert_eq!(rig.exit_code(&id).await, number);
        assert_eq!(rig.text(&id, &LogOptions::default()).await, format!("{number}\n"));
    });
    join_all(runs).await;
    Ok(())
}
