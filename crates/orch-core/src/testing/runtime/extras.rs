//! Cases about abilities that not every runtime has.

use super::rig::{Case, Rig, Skip, joined};
use super::{Program, Step};
use crate::runtime::{
    AppArmorProfile, AttachOptions, ContainerId, ContainerState, ExecRequest, ExitReason, LogOptions,
    LogStream, Mount, PullRequest, Resources, RuntimeError, SandboxConfig,
};

pub(super) async fn terminals_are_terminals(rig: &mut Rig<'_>) -> Case {
    rig.needs("tty", |has| has.tty)?;
    for tty in [false, true] {
        let mut config = rig.config("main", &Program::new().then(Step::Tty));
        config.tty = tty;
        let id = rig.start(&format!("tty-{tty}"), &config).await;
        rig.ended(&id).await;
        let text = rig.text(&id, &LogOptions::default()).await;
        assert_eq!(text.trim_end(), if tty { "tty" } else { "no tty" });
    }
    let id = rig.run("web", Program::new().wait()).await;
    let request = ExecRequest {
        tty: true,
        ..rig.exec(&Program::new().then(Step::Tty))
    };
    let session = rig
        .runtime()
        .open_exec(&id, &request)
        .await
        .expect("opening a command");
    let chunks = futures::StreamExt::collect::<Vec<_>>(session.output).await;
    let chunks: Vec<_> = chunks
        .into_iter()
        .map(|chunk| chunk.expect("reading output"))
        .collect();
    assert_eq!(joined(&chunks, None).trim_end(), "tty");
    Ok(())
}

pub(super) async fn stats_are_of_running_containers(rig: &mut Rig<'_>) -> Case {
    let id = rig
        .run_ready("web", |program| program.out("ready\n").wait())
        .await;
    match rig.runtime().stats(&id).await {
        Err(RuntimeError::Unsupported { .. }) => return Err(Skip("stats")),
        first => {
            let first = first.expect("stats of a running container");
            let second = rig
                .runtime()
                .stats(&id)
                .await
                .expect("stats of a running container");
            assert!(
                second.at >= first.at && second.cpu_nanos >= first.cpu_nanos,
                "{first:?} {second:?}"
            );
        }
    }
    rig.runtime()
        .stop_container(&id, rig.harness.patience())
        .await
        .expect("stopping");
    let ended = rig.runtime().stats(&id).await;
    assert!(matches!(ended, Err(RuntimeError::NotRunning { .. })), "{ended:?}");
    Ok(())
}

pub(super) async fn traffic_is_of_a_pods_own_network(rig: &mut Rig<'_>) -> Case {
    rig.needs("sandbox_network", |has| has.sandbox_network)?;
    let own = rig
        .run_ready("own", |program| program.out("ready\n").wait())
        .await;
    let shared = SandboxConfig {
        host_network: true,
        user_namespace: false,
        ..rig.sandbox_config("shared")
    };
    let shared = rig
        .runtime()
        .run_sandbox(&shared)
        .await
        .expect("running a sandbox");
    let config = rig.config("main", &Program::new().out("ready\n").wait());
    let shared = rig.create(&shared.id, &config).await;
    rig.runtime().start_container(&shared).await.expect("starting");
    let read = async |id| match rig.runtime().stats(id).await {
        Err(RuntimeError::Unsupported { .. }) => Err(Skip("stats")),
        stats => Ok(stats.expect("stats of a running container").network),
    };
    assert_eq!(
        read(&shared).await?,
        None,
        "the machine's network is not the pod's"
    );
    let (first, second) = (read(&own).await?, read(&own).await?);
    let first = first.expect("what went through the pod's network");
    let second = second.expect("what went through the pod's network");
    let mut names: Vec<_> = first.iter().map(|interface| &interface.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), first.len(), "each interface once: {first:?}");
    for (before, after) in first.iter().zip(&second) {
        let goes_on = before.name == after.name
            && before.rx_bytes <= after.rx_bytes
            && before.tx_bytes <= after.tx_bytes
            && before.rx_errors <= after.rx_errors
            && before.tx_errors <= after.tx_errors;
        assert!(before.name != "lo" && goes_on, "{before:?} {after:?}");
    }
    assert_eq!(first.len(), second.len());
    Ok(())
}

pub(super) async fn limits_change_in_place(rig: &mut Rig<'_>) -> Case {
    rig.needs("update_resources", |has| has.update_resources)?;
    let mut config = rig.config("main", &Program::new().out("ready\n").wait());
    config.resources = Resources {
        cpu_shares: Some(256),
        memory_limit_bytes: Some(64 << 20),
        ..Resources::default()
    };
    let id = rig.start("web", &config).await;
    rig.said(&id, "ready\n").await;
    let more = Resources {
        memory_limit_bytes: Some(128 << 20),
        ..Resources::default()
    };
    rig.runtime()
        .update_resources(&id, &more)
        .await
        .expect("changing limits");
    let container = rig.get(&id).await;
    assert!(container.state.is_running(), "it runs on");
    assert_eq!(container.resources.memory_limit_bytes, Some(128 << 20));
    assert_eq!(
        container.resources.cpu_shares,
        Some(256),
        "what is not set does not change"
    );
    Ok(())
}

pub(super) async fn a_limit_of_memory_below_the_least_is_refused(rig: &mut Rig<'_>) -> Case {
    rig.needs("memory_limit_min", |has| has.memory_limit_min > 0)?;
    let least = rig.runtime().capabilities().memory_limit_min;
    let sandbox = rig.sandbox("web").await;
    let mut config = rig.config("main", &Program::new().wait());
    config.resources.memory_limit_bytes = Some(least - 1);
    let refused = |outcome: Result<(), RuntimeError>| match outcome {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert_eq!(field, "resources.memory_limit_bytes");
            assert!(reason.contains(&least.to_string()), "{reason}");
        }
        other => panic!("expected InvalidConfig, got {other:?}"),
    };
    let made = rig.runtime().create_container(&sandbox, &config).await;
    refused(made.map(drop));
    let less = config.resources.memory_limit_bytes.replace(least);
    let id = rig.create(&sandbox, &config).await;
    if rig.runtime().capabilities().update_resources {
        rig.runtime().start_container(&id).await.expect("starting");
        let update = Resources {
            memory_limit_bytes: less,
            ..Resources::default()
        };
        refused(rig.runtime().update_resources(&id, &update).await);
        assert_eq!(rig.get(&id).await.resources.memory_limit_bytes, Some(least));
    }
    Ok(())
}

pub(super) async fn exceeding_memory_is_out_of_memory(rig: &mut Rig<'_>) -> Case {
    rig.needs("resource_limits", |has| has.resource_limits)?;
    rig.needs("attach", |has| has.attach)?;
    // An engine counts what runs out of memory from a moment after the program's first instruction on, and can
    // miss one that does so before. This one waits for its input to end, which is after the start was confirmed.
    let program = Program::new().then(Step::Cat).then(Step::OutOfMemory);
    let mut config = rig.config("main", &program);
    (config.stdin, config.stdin_once) = (true, true);
    config.resources.memory_limit_bytes = Some(16 << 20);
    let id = rig.start("web", &config).await;
    let session = rig
        .runtime()
        .attach(&id, &AttachOptions { stdin: true })
        .await
        .expect("attaching");
    drop(session);
    killed_over_memory(rig, &id).await;
    Ok(())
}

pub(super) async fn killed_over_memory(rig: &Rig<'_>, id: &ContainerId) {
    match rig.ended(id).await.state {
        ContainerState::Exited {
            exit_code, reason, ..
        } => {
            assert_eq!((exit_code, reason), (Some(137), ExitReason::OutOfMemory));
        }
        state => panic!("it must have ended: {state:?}"),
    }
}

pub(super) async fn mounts_show_files_of_the_machine(rig: &mut Rig<'_>) -> Case {
    rig.needs("mounts", |has| has.mounts)?;
    let directory = rig.directory();
    let source = &directory.0;
    std::fs::write(source.join("given"), "from outside\n").expect("writing a file to mount");
    for (pod, read_only) in [("writable", false), ("read-only", true)] {
        let program = Program::new()
            .then(Step::Read("/mnt/data/given".into()))
            .then(Step::Write(format!("/mnt/data/{pod}"), "from inside\n".into()));
        let mut config = rig.config("main", &program);
        let target = "/mnt/data".into();
        config.mounts = vec![Mount {
            source: source.clone(),
            target,
            read_only,
        }];
        let id = rig.start(pod, &config).await;
        let code = rig.exit_code(&id).await;
        let stdout = LogOptions {
            stream: Some(LogStream::Stdout),
            ..LogOptions::default()
        };
        assert_eq!(rig.text(&id, &stdout).await, "from outside\n");
        assert_eq!(code != 0, read_only, "writing fails where it is read-only");
        let written = std::fs::read_to_string(source.join(pod)).ok();
        assert_eq!(written.as_deref(), (!read_only).then_some("from inside\n"));
    }
    Ok(())
}

pub(super) async fn a_user_can_be_chosen(rig: &mut Rig<'_>) -> Case {
    rig.needs("security", |has| has.security)?;
    let mut config = rig.config("main", &Program::new().then(Step::UserId));
    config.security.run_as_user = Some(12345);
    let id = rig.start("web", &config).await;
    rig.ended(&id).await;
    assert_eq!(rig.text(&id, &LogOptions::default()).await, "12345\n");
    Ok(())
}

pub(super) async fn images_are_pulled_listed_and_removed(rig: &mut Rig<'_>) -> Case {
    rig.needs("images", |has| has.images)?;
    let image = rig
        .harness
        .pullable_image()
        .ok_or(Skip("Harness::pullable_image"))?;
    let runtime = rig.runtime();
    runtime.remove_image(&image).await.expect("removing an image");
    runtime
        .remove_image(&image)
        .await
        .expect("removing an image that is gone");
    assert_eq!(runtime.image(&image).await.expect("looking for an image"), None);
    let request = PullRequest {
        image: image.clone(),
        credentials: None,
    };
    for _ in 0..2 {
        let pulled = runtime.pull_image(&request).await.expect("pulling an image");
        assert_eq!(
            runtime.image(&image).await.expect("looking for an image"),
            Some(pulled.clone())
        );
        let all = runtime.images().await.expect("listing images");
        assert!(
            all.iter().any(|other| other.id == pulled.id),
            "a pulled image is listed"
        );
    }
    let sandbox = rig.sandbox("web").await;
    let mut config = rig.config("main", &Program::new());
    config.image.clone_from(&image);
    let id = rig.create(&sandbox, &config).await;
    let used = runtime.remove_image(&image).await;
    assert!(matches!(used, Err(RuntimeError::InUse { .. })), "{used:?}");
    runtime.remove_container(&id).await.expect("removing a container");
    runtime.remove_image(&image).await.expect("removing an image");
    if let Some(image) = rig.harness.missing_image() {
        let failed = runtime
            .pull_image(&PullRequest {
                image,
                credentials: None,
            })
            .await;
        assert!(
            matches!(failed, Err(RuntimeError::PullFailed { .. })),
            "{failed:?}"
        );
    }
    Ok(())
}

pub(super) async fn what_is_not_declared_is_refused(rig: &mut Rig<'_>) -> Case {
    let grouped = SandboxConfig {
        cgroup_parent: "class/pod".into(),
        ..rig.sandbox_config("grouped")
    };
    let id = rig
        .run_ready("web", |program| program.out("ready\n").wait())
        .await;
    let (has, runtime) = (rig.runtime().capabilities(), rig.runtime());
    let refused = |what: &str, error: Option<RuntimeError>| {
        assert!(
            matches!(error, Some(RuntimeError::Unsupported { .. })),
            "{what}: {error:?}"
        );
    };
    if !has.exec {
        refused("exec", runtime.exec(&id, &rig.exec(&Program::new())).await.err());
        refused(
            "open_exec",
            runtime.open_exec(&id, &rig.exec(&Program::new())).await.err(),
        );
    }
    if !has.attach {
        refused("attach", runtime.attach(&id, &Default::default()).await.err());
    }
    if !has.pause {
        refused("pause", runtime.pause(&id).await.err());
        refused("resume", runtime.resume(&id).await.err());
    }
    if !has.port_forward {
        let sandbox = rig.get(&id).await.sandbox;
        refused("port_forward", runtime.port_forward(&sandbox, 80).await.err());
    }
    if !has.pod_groups {
        refused("cgroup_parent", runtime.run_sandbox(&grouped).await.err());
    }
    if !has.user_namespaces {
        let owned = SandboxConfig {
            user_namespace: true,
            ..rig.sandbox_config("owned")
        };
        refused("user_namespace", runtime.run_sandbox(&owned).await.err());
    }
    if !has.hugepages {
        let mut config = rig.config("huge", &Program::new());
        config.resources.hugepages = [(2 << 20, 2 << 20)].into();
        let sandbox = rig.get(&id).await.sandbox;
        refused(
            "hugepages",
            runtime.create_container(&sandbox, &config).await.err(),
        );
    }
    if !has.app_armor {
        let mut config = rig.config("confined", &Program::new());
        config.security.app_armor = AppArmorProfile::Localhost("conformance".into());
        let sandbox = rig.get(&id).await.sandbox;
        match runtime.create_container(&sandbox, &config).await {
            Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "security.app_armor"),
            other => panic!("an AppArmor profile by name: {other:?}"),
        }
    }
    if !has.update_resources {
        refused(
            "update_resources",
            runtime.update_resources(&id, &Resources::default()).await.err(),
        );
    }
    if !has.update_resources || !has.pod_groups {
        let sandbox = rig.get(&id).await.sandbox;
        let update = runtime.update_sandbox(&sandbox, &Resources::default()).await;
        refused("update_sandbox", update.err());
    }
    Ok(())
}
