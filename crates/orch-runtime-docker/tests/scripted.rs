//! Engines that answer late, halfway, or in an order that a real one takes only now and then.

mod common;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::script::{Script, inspected, serve};
use common::{PATIENCE, shell, until};
use futures::StreamExt;
use futures::future::join_all;
use orch_core::runtime::{
    AppArmorProfile, ContainerId, ExecRequest, LogOptions, Runtime, RuntimeError, SandboxConfig,
    SandboxFilter, SandboxId,
};
use orch_runtime_docker::{DockerOptions, DockerRuntime};

/// How long a call may take where a test waits for that to pass.
const BOUND: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_old_list_does_not_end_a_sandbox_that_runs() {
    for (listed, lives) in [
        ("created", true),
        ("configured", true),
        ("initialized", true),
        ("exited", false),
    ] {
        let engine = Script::new(move |asked| async move {
            if asked.is("GET /v1.41/containers/json") {
                let labels = r#"{"orch.scope":"default","orch.kind":"sandbox"}"#;
                let list = format!(r#"[{{"Id":"s1","State":"{listed}","Labels":{labels}}}]"#);
                asked.answer(200, &list).await;
            } else if asked.is("GET /v1.41/containers/s1/json") {
                asked.answer(200, &inspected("s1", "sandbox", "running")).await;
            } else {
                asked.answer(201, r#"{"Id":"c1","Warnings":[]}"#).await;
            }
        });
        let runtime = engine.runtime();
        let sandbox = SandboxId("s1".into());
        let create = async || runtime.create_container(&sandbox, &shell("true")).await;
        create().await.expect("its sandbox is seen running");
        let told = runtime.sandboxes(&SandboxFilter::default()).await;
        assert_eq!(told.expect("a list").len(), 1);
        match create().await {
            Ok(_) => assert!(lives, "{listed}"),
            Err(RuntimeError::Failed { .. }) => assert!(!lives, "{listed}"),
            Err(other) => panic!("{listed}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_apparmor_profile_is_refused_where_the_engine_has_no_apparmor_and_it_is_asked_once() {
    for (options, confines) in [
        (r#"["name=apparmor","name=seccomp,profile=default"]"#, true),
        (r#"["name=apparmor,x=y"]"#, true),
        (r#"["name=seccomp,profile=apparmor"]"#, false),
        ("null", false),
    ] {
        let (asked_for_info, engine_asked) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (infos, bodies) = (asked_for_info.clone(), engine_asked.clone());
        let engine = Script::new(move |asked| {
            let (infos, bodies) = (infos.clone(), bodies.clone());
            async move {
                if asked.is("GET /v1.41/info") {
                    infos.fetch_add(1, Ordering::SeqCst);
                    asked
                        .answer(200, &format!(r#"{{"SecurityOptions":{options}}}"#))
                        .await;
                } else if asked.is("GET /v1.41/containers/s1/json") {
                    asked.answer(200, &inspected("s1", "sandbox", "running")).await;
                } else {
                    bodies.lock().unwrap().push(asked.body.clone());
                    asked.answer(201, r#"{"Id":"c1","Warnings":[]}"#).await;
                }
            }
        });
        let runtime = engine.runtime();
        let sandbox = SandboxId("s1".into());
        runtime
            .create_container(&sandbox, &shell("true"))
            .await
            .expect("it asks for none");
        assert_eq!(asked_for_info.load(Ordering::SeqCst), 0, "{options}");
        let mut config = shell("true");
        config.security.app_armor = AppArmorProfile::Localhost("web".into());
        for _ in 0..2 {
            match runtime.create_container(&sandbox, &config).await {
                Ok(_) => assert!(confines, "{options}"),
                Err(RuntimeError::InvalidConfig { field, reason }) => {
                    assert!(!confines, "{options}: {reason}");
                    assert_eq!(field, "security.app_armor");
                    assert!(
                        reason.starts_with("\"web\": Cannot enforce AppArmor: "),
                        "{reason}"
                    );
                }
                Err(other) => panic!("{options}: {other:?}"),
            }
        }
        assert_eq!(asked_for_info.load(Ordering::SeqCst), 1, "{options}");
        let told = engine_asked
            .lock()
            .unwrap()
            .iter()
            .filter(|body| body.contains("apparmor=web"))
            .count();
        assert_eq!(told, if confines { 2 } else { 0 }, "{options}");
    }
}

#[tokio::test]
async fn every_scope_is_named_and_one_s_own_alone_is_seen() {
    let engine = Script::new(|asked| async move {
        let one = |id: &str, scope: &str| {
            format!(r#"{{"Id":"{id}","Labels":{{"orch.scope":"{scope}","orch.kind":"sandbox"}}}}"#)
        };
        let list = [one("s1", "default"), one("s2", "other"), one("s3", "other")].join(",");
        asked.answer(200, &format!("[{list}]")).await;
    });
    let runtime = engine.runtime();
    let scopes = runtime.scopes().await.expect("a list");
    assert_eq!(
        scopes,
        [("default".to_owned(), 1), ("other".to_owned(), 2)].into()
    );
    let own = runtime
        .sandboxes(&SandboxFilter::default())
        .await
        .expect("a list");
    assert_eq!(own.len(), 1);
}

#[tokio::test]
async fn a_log_that_stops_halfway_is_given_up() {
    let engine = Script::new(|asked| async move {
        if asked.is("GET /v1.41/containers/c1/logs") {
            let line = "2030-01-01T00:00:01.5Z half\n";
            let length = char::from(u8::try_from(line.len()).unwrap());
            let _open = asked.open(&format!("\x01\0\0\0\0\0\0{length}{line}")).await;
            std::future::pending::<()>().await;
        } else {
            asked.answer(200, &inspected("c1", "container", "running")).await;
        }
    });
    let runtime = DockerRuntime::new(engine.options().request_timeout(BOUND)).unwrap();
    for tail in [None, Some(5)] {
        let read = async {
            let options = LogOptions {
                tail,
                ..LogOptions::default()
            };
            let logs = runtime.logs(&ContainerId("c1".into()), &options).await?;
            logs.collect::<Vec<_>>()
                .await
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
        };
        let read = tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it is given up");
        assert!(
            matches!(read, Err(RuntimeError::Timeout { .. })),
            "tail {tail:?}: {read:?}"
        );
    }
}

#[tokio::test]
async fn all_who_wait_for_an_engine_that_hangs_give_up_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.sock");
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    serve(&path, move |exchange| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let _kept = exchange;
            std::future::pending::<()>().await;
        }
    });
    let options = DockerOptions::default().host(format!("unix://{}", path.display()));
    let runtime = DockerRuntime::new(options.request_timeout(BOUND)).unwrap();
    for round in 1..=2 {
        let list = async |_| runtime.images().await;
        for told in join_all((0..50).map(list)).await {
            assert!(matches!(told, Err(RuntimeError::Timeout { .. })), "{told:?}");
        }
        // The next to come ask anew.
        assert_eq!(asked.load(Ordering::SeqCst), round, "one question for all");
    }
}

#[tokio::test]
async fn waiting_for_a_turn_has_a_bound() {
    let engine = Script::new(|asked| async move {
        let _kept = asked;
        std::future::pending::<()>().await;
    });
    let options = engine.options().request_timeout(BOUND).parallelism(1);
    let runtime = DockerRuntime::new(options).unwrap();
    let begun = Instant::now();
    let remove = async |number: usize| runtime.remove_image(&format!("image-{number}")).await;
    let calls = 40;
    for told in join_all((0..calls).map(remove)).await {
        assert!(matches!(told, Err(RuntimeError::Timeout { .. })), "{told:?}");
    }
    // One by one they would have taken all of that.
    assert!(
        begun.elapsed() < BOUND * calls as u32 / 2,
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn only_what_the_runtime_says_of_a_start_gives_up_protection() {
    const TAKEN: &str = "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
    const SCORE: &str =
        "OCI runtime create failed: runc create failed: can't get final child's PID from pipe: EOF";
    // How protected starts end, one after the other, and with what protection each sandbox was tried.
    for (refusals, tried) in [
        (vec![None, None], vec![vec![true], vec![true]]),
        (vec![Some(TAKEN), None], vec![vec![true], vec![true]]),
        (vec![Some(SCORE)], vec![vec![true, false], vec![false]]),
        (
            vec![Some(TAKEN), Some(SCORE)],
            vec![vec![true], vec![true, false], vec![false]],
        ),
    ] {
        let refusals = Mutex::new(VecDeque::from(refusals));
        let created = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new((refusals, Arc::clone(&created)));
        let engine = Script::new(move |asked| {
            let state = Arc::clone(&state);
            async move {
                let (refusals, created) = &*state;
                if asked.is("POST /v1.41/containers/create") {
                    created
                        .lock()
                        .unwrap()
                        .push(asked.body.contains(r#""OomScoreAdj":-998"#));
                    asked.answer(201, r#"{"Id":"s1"}"#).await;
                } else if asked.is("POST /v1.41/containers/s1/start") {
                    let protected = created.lock().unwrap().last() == Some(&true);
                    let refusal = protected
                        .then(|| refusals.lock().unwrap().pop_front().flatten())
                        .flatten();
                    match refusal {
                        Some(message) => asked.answer(500, &format!(r#"{{"message":"{message}"}}"#)).await,
                        None => asked.answer(204, "").await,
                    }
                } else {
                    asked.answer(200, &inspected("s1", "sandbox", "running")).await;
                }
            }
        });
        let runtime = engine.runtime();
        for tried in tried {
            let pod = SandboxConfig {
                uid: "pod".into(),
                ..SandboxConfig::default()
            };
            let _ = runtime.run_sandbox(&pod).await;
            assert_eq!(std::mem::take(&mut *created.lock().unwrap()), tried);
        }
    }
}

#[tokio::test]
async fn only_so_many_containers_are_stopped_at_once() {
    const AT_ONCE: usize = 32;
    const ALL: usize = 40;
    let (release, released) = tokio::sync::watch::channel(false);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let engine = Script::new(move |asked| {
        let (seen, mut released) = (Arc::clone(&seen), released.clone());
        async move {
            seen.lock().unwrap().push(asked.target.clone());
            if asked.target.contains("/stop") {
                released.wait_for(|released| *released).await.expect("a test");
                asked.answer(204, "").await;
            } else if asked.target.contains("/kill") {
                asked.answer(204, "").await;
            } else {
                let id = asked.target.split('/').nth(3).unwrap().to_owned();
                asked.answer(200, &inspected(&id, "container", "running")).await;
            }
        }
    });
    let runtime = DockerRuntime::new(engine.options().parallelism(1)).unwrap();
    let count = |what: &str| {
        asked
            .lock()
            .unwrap()
            .iter()
            .filter(|target| target.contains(what))
            .count()
    };
    let stops = (0..ALL).map(|number| {
        let runtime = runtime.clone();
        tokio::spawn(async move {
            let id = ContainerId(format!("c{number}"));
            runtime.stop_container(&id, Duration::from_millis(100)).await
        })
    });
    let stops: Vec<_> = stops.collect();
    until("their grace is over", async || count("/kill") >= AT_ONCE).await;
    tokio::time::sleep(BOUND).await;
    // Whoever waits for a turn has not been told to stop, and is not killed either.
    assert_eq!((count("/stop"), count("/kill")), (AT_ONCE, AT_ONCE));
    release.send_replace(true);
    for stopped in stops {
        stopped.await.unwrap().expect("stopped");
    }
    assert_eq!(count("/stop"), ALL);
}

#[tokio::test]
async fn a_commands_end_is_told_by_an_event_or_asked_for() {
    // Whether the engine has events, and whether it ever says of itself that the command has ended.
    for (events, admits, code) in [(true, false, 7), (true, true, 5), (false, true, 5)] {
        let asked_about = Arc::new(AtomicUsize::new(0));
        let engine = Script::new(move |asked| {
            let asked_about = Arc::clone(&asked_about);
            async move {
                if asked.is("POST /v1.41/containers/c1/exec") {
                    asked.answer(201, r#"{"Id":"e1"}"#).await;
                } else if asked.is("POST /v1.41/exec/e1/start") {
                    drop(asked.upgrade().await);
                } else if asked.is("GET /v1.41/exec/e1/json") {
                    let ended = asked_about.fetch_add(1, Ordering::SeqCst) > 3 && admits;
                    let told = serde_json::json!({ "Running": !ended, "ExitCode": ended.then_some(5) });
                    asked.answer(200, &told.to_string()).await;
                } else if asked.is("GET /v1.41/events") && events {
                    let end = |command: &str, code: &str| {
                        let attributes = serde_json::json!({ "execID": command, "exitCode": code });
                        let event = serde_json::json!({
                            "Action": "exec_die", "Actor": { "ID": "c1", "Attributes": attributes },
                        });
                        format!("{event}\n")
                    };
                    let ours = if admits { String::new() } else { end("e1", "7") };
                    let _open = asked.open(&format!("?\n{}{ours}", end("e2", "1"))).await;
                    std::future::pending::<()>().await;
                } else if asked.is("GET /v1.41/containers/c1/json") {
                    asked.answer(200, &inspected("c1", "container", "running")).await;
                } else {
                    asked.answer(500, r#"{"message":"no"}"#).await;
                }
            }
        });
        let command = ExecRequest {
            timeout: Some(Duration::from_secs(10)),
            ..ExecRequest::new(["true"])
        };
        let output = engine.runtime().exec(&ContainerId("c1".into()), &command).await;
        let output = output.unwrap_or_else(|error| panic!("events {events}, admits {admits}: {error}"));
        assert_eq!(output.exit_code, code, "events {events}, admits {admits}");
    }
}

#[tokio::test]
async fn what_an_engine_says_of_pausing_is_told_in_our_words() {
    // How the container is, and what comes of a pause and of a resumption.
    for (status, pause, resume) in [
        ("paused", "Ok", "Refused"),
        ("running", "Refused", "Ok"),
        ("exited", "NotRunning", "NotRunning"),
    ] {
        let engine = Script::new(move |asked| async move {
            if asked.is("POST") {
                asked.answer(409, r#"{"message":"it is as it is"}"#).await;
            } else {
                asked.answer(200, &inspected("c1", "container", status)).await;
            }
        });
        let (runtime, id) = (engine.runtime(), ContainerId("c1".into()));
        let said = |done: Result<(), RuntimeError>| match done {
            Ok(()) => "Ok",
            Err(RuntimeError::NotRunning { .. }) => "NotRunning",
            Err(RuntimeError::Failed { .. }) => "Refused",
            Err(other) => panic!("{status}: {other:?}"),
        };
        assert_eq!(said(runtime.pause(&id).await), pause, "{status}");
        assert_eq!(said(runtime.resume(&id).await), resume, "{status}");
        assert_eq!(runtime.container(&id).await.unwrap().paused, status == "paused");
    }
}

#[tokio::test]
async fn a_command_in_a_paused_container_is_refused_as_that() {
    let engine = Script::new(|asked| async move {
        if asked.is("POST") {
            let paused = r#"{"message":"Container c1 is paused, unpause the container before exec"}"#;
            asked.answer(409, paused).await;
        } else {
            asked.answer(200, &inspected("c1", "container", "paused")).await;
        }
    });
    let (runtime, id) = (engine.runtime(), ContainerId("c1".into()));
    let refused = runtime.exec(&id, &ExecRequest::new(["true"])).await;
    assert!(matches!(refused, Err(RuntimeError::Paused { .. })), "{refused:?}");
    let attached = runtime.attach(&id, &Default::default()).await;
    assert!(
        matches!(attached, Err(RuntimeError::Paused { .. })),
        "{:?}",
        attached.err()
    );
}

#[tokio::test]
async fn a_port_is_not_reached_where_the_engines_processes_are_not_this_machines() {
    let engine = Script::new(|asked| async move {
        // Process 1 is this machine's, or another's of that number: not the container's.
        let running =
            inspected("s1", "sandbox", "running").replacen("\"State\":{", "\"State\":{\"Pid\":1,", 1);
        asked.answer(200, &running).await;
    });
    let elsewhere = DockerOptions::default().host("tcp://127.0.0.1:9");
    for runtime in [engine.runtime(), DockerRuntime::new(elsewhere).unwrap()] {
        let refused = runtime.port_forward(&SandboxId("s1".into()), 80).await;
        assert!(
            matches!(refused, Err(RuntimeError::Unsupported { .. })),
            "{refused:?}"
        );
    }
}
