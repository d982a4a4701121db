//! What the conformance suite does not ask for: details of pods on a real engine.

mod common;

use std::io::Read;
use std::time::Duration;

use common::{BUSYBOX, PATIENCE, Scope, clean, docker, shell, until};
use futures::StreamExt;
use orch_core::runtime::{
    AttachOptions, ContainerConfig, ContainerFilter, ContainerState, HostPort, LogOptions, Protocol, Runtime,
    RuntimeError, RuntimeEvent, Sandbox, SandboxConfig, SandboxFilter, SandboxState,
};

async fn said(runtime: &dyn Runtime, pod: &SandboxConfig, config: &ContainerConfig) -> String {
    let sandbox = runtime.run_sandbox(pod).await.expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, config)
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let logs = runtime.logs(&id, &follow).await.expect("logs");
    let chunks: Vec<_> = logs.map(|chunk| chunk.expect("logs").data).collect().await;
    String::from_utf8(chunks.concat()).expect("text")
}

#[tokio::test]
async fn a_sandbox_has_the_names_and_settings_it_was_given() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let pod = SandboxConfig {
        dns_servers: vec!["10.1.2.3".parse().unwrap()],
        dns_searches: vec!["example.test".into()],
        dns_options: vec!["ndots:5".into()],
        host_aliases: vec![("10.9.8.7".parse().unwrap(), vec!["db".into(), "db.test".into()])],
        sysctls: [("net.core.somaxconn".to_owned(), "77".to_owned())].into(),
        share_process_namespace: true,
        ..scope.pod("web-0")
    };
    let script = "hostname; cat /etc/resolv.conf /etc/hosts /proc/sys/net/core/somaxconn; ps -o pid,args";
    let text = said(&runtime, &pod, &shell(script)).await;
    for wanted in [
        "web-0\n",
        "nameserver 10.1.2.3",
        "search example.test",
        "ndots:5",
        "10.9.8.7\tdb",
        "77\n",
        "1 /pause",
    ] {
        assert!(text.contains(wanted), "{wanted:?} in {text}");
    }
    let refused = SandboxConfig {
        sysctls: [("kernel.panic".to_owned(), "1".to_owned())].into(),
        ..scope.pod("bad")
    };
    let refused = runtime.run_sandbox(&refused).await;
    assert!(refused.is_err(), "{refused:?}");
    let left = runtime.sandboxes(&SandboxFilter::default()).await.unwrap();
    assert_eq!(left.len(), 1, "a sandbox that could not be started is gone");
    clean(&runtime).await;
}

#[tokio::test]
async fn the_network_outlives_the_containers() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let pod = SandboxConfig {
        host_ports: vec![HostPort {
            host_ip: Some("127.0.0.1".parse().unwrap()),
            host_port: port,
            container_port: 8080,
            protocol: Protocol::Tcp,
        }],
        ..scope.pod("web")
    };
    let sandbox = runtime.run_sandbox(&pod).await.expect("a sandbox");
    for attempt in 0..2 {
        let config = ContainerConfig {
            attempt,
            ..shell(&format!(
                "echo attempt {attempt} > /www/index.html; exec httpd -f -p 8080 -h /www"
            ))
        };
        let id = runtime
            .create_container(&sandbox.id, &config)
            .await
            .expect("a container");
        runtime.start_container(&id).await.expect("starting");
        let wanted = format!("attempt {attempt}");
        until("an answer through the host's port", async || {
            let mut text = String::new();
            let mut get = || -> std::io::Result<()> {
                let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
                std::io::Write::write_all(&mut stream, b"GET /index.html HTTP/1.0\r\n\r\n")?;
                stream.read_to_string(&mut text).map(drop)
            };
            get().is_ok() && text.contains(&wanted)
        })
        .await;
        runtime
            .stop_container(&id, Duration::ZERO)
            .await
            .expect("stopping");
        let again = runtime.run_sandbox(&pod).await.expect("the same sandbox");
        assert_eq!((again.state, &again.ips), (SandboxState::Ready, &sandbox.ips));
    }
    clean(&runtime).await;
}

/// An engine tells of an end before its lists do, and nothing follows that would make anybody look again.
#[tokio::test]
async fn a_sandbox_that_somebody_kills_is_told_of_at_once() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    for attempt in 0..3 {
        let pod = SandboxConfig {
            attempt,
            ..scope.pod("web")
        };
        let sandbox = runtime.run_sandbox(&pod).await.expect("a sandbox").id;
        // One that still runs makes the engine no quicker to take the network down.
        let id = runtime
            .create_container(&sandbox, &shell("sleep 1000"))
            .await
            .expect("a container");
        runtime.start_container(&id).await.expect("starting");
        let mut events = runtime.events().await;
        let began = std::time::Instant::now();
        docker(&["kill", &sandbox.0]).expect("killing it");
        let by_id = SandboxFilter {
            id: Some(sandbox.clone()),
            ..SandboxFilter::default()
        };
        let told = async {
            loop {
                let event = events.next().await.expect("events do not end");
                if matches!(&event, RuntimeEvent::Sandbox { id, .. } if *id == sandbox) {
                    let one = runtime.sandboxes(&by_id).await.expect("looking at it");
                    // Nor does a list say otherwise from then on.
                    let all = runtime
                        .sandboxes(&SandboxFilter::default())
                        .await
                        .expect("a list");
                    let its = |seen: &&Sandbox| seen.id == sandbox;
                    if one[0].state == SandboxState::NotReady {
                        assert_eq!(all.iter().find(its).unwrap().state, SandboxState::NotReady);
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, told)
            .await
            .expect("a hint at its end");
        let took = began.elapsed();
        // A fraction of a second where the machine has nothing else to do.
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
    clean(&runtime).await;
}

#[tokio::test]
async fn another_scopes_containers_are_neither_seen_nor_touched() {
    let (Some(mine), Some(theirs)) = (Scope::new(), Scope::new()) else {
        return;
    };
    let (ours, other) = (mine.runtime(), theirs.runtime());
    let sandbox = other.run_sandbox(&theirs.pod("web")).await.expect("a sandbox");
    let id = other
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    other.start_container(&id).await.expect("starting");
    assert!(
        ours.sandboxes(&SandboxFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        ours.containers(&ContainerFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(matches!(
        ours.container(&id).await,
        Err(RuntimeError::NotFound { .. })
    ));
    assert!(ours.stop_container(&id, Duration::ZERO).await.is_err());
    ours.remove_container(&id)
        .await
        .expect("it is gone, as far as we know");
    ours.remove_sandbox(&sandbox.id)
        .await
        .expect("it is gone, as far as we know");
    ours.stop_sandbox(&sandbox.id)
        .await
        .expect("it is gone, as far as we know");
    assert!(matches!(
        ours.create_container(&sandbox.id, &shell("true")).await,
        Err(RuntimeError::NotFound { .. })
    ));
    assert!(other.container(&id).await.unwrap().state.is_running());
    clean(&other).await;
}

#[tokio::test]
async fn following_the_last_lines_goes_on_where_they_end() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; [ $((i % 5)) = 0 ] && sleep 0.02; done; printf end";
    let id = runtime
        .create_container(&sandbox.id, &shell(script))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    // Whenever reading begins, the lines that follow are the next ones, none lost or doubled.
    let mut reads = Vec::new();
    for _ in 0..10 {
        let options = LogOptions {
            follow: true,
            tail: Some(3),
            ..LogOptions::default()
        };
        let logs = runtime.logs(&id, &options).await.expect("logs");
        reads.push(tokio::spawn(
            logs.map(|chunk| chunk.unwrap().data).collect::<Vec<_>>(),
        ));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for read in reads {
        let text = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("the end")
            .unwrap()
            .concat();
        let text = String::from_utf8(text).unwrap();
        let (lines, end) = text.rsplit_once('\n').expect("lines");
        assert_eq!(end, "end");
        let numbers: Vec<u32> = lines.lines().map(|line| line.parse().unwrap()).collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{numbers:?}"
        );
        assert_eq!(numbers.last(), Some(&200));
    }
    clean(&runtime).await;
}

#[tokio::test]
async fn connections_are_closed_when_nobody_reads_them() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let id = runtime
        .create_container(&sandbox.id, &shell("echo ready; sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let sockets = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = all.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    };
    let before = sockets();
    for _ in 0..20 {
        let follow = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut logs = runtime.logs(&id, &follow).await.expect("logs");
        logs.next().await.expect("a line").expect("a line");
        let mut events = runtime.events().await;
        drop(
            runtime
                .attach(&id, &AttachOptions::default())
                .await
                .expect("attaching"),
        );
        assert!(futures::poll!(events.next()).is_pending());
    }
    // Other tests of this process have connections of their own.
    until("connections are closed", async || sockets() < before + 15).await;
    clean(&runtime).await;
}

#[tokio::test]
async fn what_an_image_says_holds_where_nothing_else_is_said() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let entry = || ContainerConfig {
        name: "main".into(),
        image: "orch-test/entry:latest".into(),
        ..ContainerConfig::default()
    };
    let image = runtime
        .image("orch-test/entry:latest")
        .await
        .unwrap()
        .expect("scripts/engine makes it");
    assert_eq!(image.user, "1000:1000");
    let script = |script: &str| vec![script.to_owned()];
    let asked = ContainerConfig {
        args: script("id -u; id -g; pwd; echo $FROM_IMAGE"),
        ..entry()
    };
    assert_eq!(
        said(&runtime, &scope.pod("image"), &asked).await,
        "1000\n1000\n/tmp\nyes\n"
    );
    let mut group = ContainerConfig {
        args: script("id -u; id -g; id -G"),
        ..entry()
    };
    group.security.run_as_group = Some(7);
    group.security.run_as_non_root = true;
    group.security.supplemental_groups = vec![8];
    assert_eq!(
        said(&runtime, &scope.pod("group"), &group).await,
        "1000\n7\n7 8\n"
    );
    let mut root = shell("true");
    root.security.run_as_non_root = true;
    let sandbox = runtime.run_sandbox(&scope.pod("root")).await.expect("a sandbox");
    let refused = runtime.create_container(&sandbox.id, &root).await;
    assert!(
        matches!(&refused, Err(RuntimeError::InvalidConfig { reason, .. }) if reason.contains("root")),
        "{refused:?}"
    );
    let mut confined =
        shell("touch /x 2>/dev/null || echo read-only; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
    confined.security.read_only_root = true;
    confined.security.drop_capabilities = vec!["ALL".into()];
    confined.security.allow_privilege_escalation = Some(false);
    let text = said(&runtime, &scope.pod("confined"), &confined).await;
    assert_eq!(text, "read-only\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
    clean(&runtime).await;
}

#[tokio::test]
async fn a_mount_that_is_not_there_is_the_configurations_fault() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let mount = orch_core::runtime::Mount {
        source: "/no/such/directory".into(),
        target: "/data".into(),
        read_only: true,
    };
    let config = ContainerConfig {
        mounts: vec![mount],
        ..shell("true")
    };
    let refused = runtime.create_container(&sandbox.id, &config).await;
    assert!(
        matches!(&refused, Err(RuntimeError::InvalidConfig { .. })),
        "{refused:?}"
    );
    assert!(
        !std::path::Path::new("/no/such/directory").exists(),
        "and it is not made"
    );
    let wrong = ContainerConfig {
        image: format!("{BUSYBOX}/../.."),
        ..shell("true")
    };
    let refused = runtime.create_container(&sandbox.id, &wrong).await;
    assert!(
        matches!(refused, Err(RuntimeError::InvalidImage { .. })),
        "{refused:?}"
    );
    clean(&runtime).await;
}

#[tokio::test]
async fn a_grace_is_kept_to_parts_of_a_second() {
    let Some(scope) = Scope::new() else { return };
    let runtime = scope.runtime();
    let sandbox = runtime.run_sandbox(&scope.pod("web")).await.expect("a sandbox");
    let config = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
    let id = runtime
        .create_container(&sandbox.id, &config)
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    runtime
        .logs(&id, &follow)
        .await
        .unwrap()
        .next()
        .await
        .expect("ready")
        .unwrap();
    let grace = Duration::from_millis(2100);
    let begun = std::time::Instant::now();
    runtime.stop_container(&id, grace).await.expect("stopping");
    let taken = begun.elapsed();
    // The engine counts whole seconds, and would have given it three.
    assert!(grace <= taken && taken < Duration::from_secs(3), "{taken:?}");
    let state = runtime.container(&id).await.unwrap().state;
    assert!(
        matches!(
            state,
            ContainerState::Exited {
                exit_code: Some(137),
                ..
            }
        ),
        "{state:?}"
    );
    clean(&runtime).await;
}
