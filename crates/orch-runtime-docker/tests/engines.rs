//! Engines that are away, come back, or are not quite Docker.

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::script::serve;
use common::{BUSYBOX, OwnEngine, PATIENCE, shell, until};
use futures::StreamExt;
use orch_core::runtime::{
    ContainerFilter, ContainerState, Runtime, RuntimeError, RuntimeEvent, SandboxConfig, SandboxFilter,
    SandboxState,
};
use orch_runtime_docker::{DockerOptions, DockerRuntime};
use tokio::net::UnixListener;

#[test]
#[should_panic(expected = "ORCH_REQUIRE_ENGINE is set, and there is none")]
fn an_engine_that_is_required_is_not_done_without() {
    common::skip("there is none", true);
}

#[tokio::test]
async fn an_absent_engine_is_a_status_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let host = format!("unix://{}/none.sock", directory.path().display());
    let runtime = DockerRuntime::new(DockerOptions::default().host(&host)).unwrap();
    let status = runtime.status().await;
    assert!(!status.ready);
    let message = status.message.expect("a message");
    for words in [&host, "No such file", "start it", "DOCKER_HOST"] {
        assert!(message.contains(words), "{words:?} in {message}");
    }
    let listed = runtime.sandboxes(&SandboxFilter::default()).await;
    assert!(
        matches!(listed, Err(RuntimeError::Unavailable { .. })),
        "{listed:?}"
    );
    let pod = SandboxConfig {
        uid: "pod".into(),
        ..SandboxConfig::default()
    };
    let run = runtime.run_sandbox(&pod).await;
    assert!(matches!(run, Err(RuntimeError::Unavailable { .. })), "{run:?}");
    // Events wait for it.
    let mut events = runtime.events().await;
    assert!(futures::poll!(events.next()).is_pending());
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hangs.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let options = DockerOptions::default()
        .host(format!("unix://{}", path.display()))
        .request_timeout(Duration::from_millis(100));
    let runtime = DockerRuntime::new(options).unwrap();
    let status = runtime.status().await;
    assert!(
        !status.ready && status.message.as_ref().unwrap().contains("restart it"),
        "{status:?}"
    );
    let listed = runtime.sandboxes(&SandboxFilter::default()).await;
    assert!(matches!(listed, Err(RuntimeError::Timeout { .. })), "{listed:?}");
}

/// What became of a pod when its engine was killed and started again.
async fn after_a_crash(live_restore: bool) -> Option<()> {
    let mut engine = OwnEngine::start(live_restore)?;
    let options = DockerOptions::default()
        .host(engine.host())
        .scope("crash")
        .network("none");
    let runtime = DockerRuntime::new(options).unwrap();
    let pod = SandboxConfig {
        name: "web".into(),
        uid: "uid-1".into(),
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(&pod).await.expect("a sandbox");
    assert!(sandbox.ips.is_empty());
    let id = runtime
        .create_container(&sandbox.id, &shell("sleep 1000"))
        .await
        .expect("a container");
    runtime.start_container(&id).await.expect("starting");
    let before = runtime.container(&id).await.expect("a container");
    let mut events = runtime.events().await;

    engine.kill();
    let status = runtime.status().await;
    assert!(!status.ready && status.message.is_some(), "{status:?}");
    let away = runtime.container(&id).await;
    assert!(matches!(away, Err(RuntimeError::Unavailable { .. })), "{away:?}");
    engine.up();

    // The same runtime goes on, and is told to look at everything.
    let told = async { while events.next().await != Some(RuntimeEvent::Relist) {} };
    tokio::time::timeout(PATIENCE, told)
        .await
        .expect("a hint to relist");
    assert!(runtime.status().await.ready);
    let after = runtime.container(&id).await.expect("a container");
    let sandboxes = runtime.sandboxes(&SandboxFilter::default()).await.unwrap();
    if live_restore {
        assert_eq!(after, before, "it never noticed");
        assert_eq!(sandboxes[0].state, SandboxState::Ready);
    } else {
        assert!(after.state.is_exited(), "{:?}", after.state);
        assert_eq!(sandboxes[0].state, SandboxState::NotReady);
        // The next attempt is another sandbox.
        let next = runtime
            .run_sandbox(&SandboxConfig { attempt: 1, ..pod })
            .await
            .expect("a sandbox");
        let id = runtime
            .create_container(&next.id, &shell("sleep 1000"))
            .await
            .expect("a container");
        runtime.start_container(&id).await.expect("starting");
    }
    common::clean(&runtime).await;
    Some(())
}

#[tokio::test]
async fn an_engines_crash_with_live_restore_leaves_pods_running() {
    after_a_crash(true).await;
}

#[tokio::test]
async fn an_engines_crash_without_live_restore_ends_pods_and_says_so() {
    after_a_crash(false).await;
}

/// An engine that answers each path with what it was told to.
fn pretend(path: &Path, answers: Vec<(&'static str, String)>) {
    let answers = Arc::new(answers);
    serve(path, move |exchange| {
        let answers = Arc::clone(&answers);
        async move {
            let target = exchange.target.split(' ').nth(1).unwrap_or_default();
            match answers.iter().find(|(path, _)| target.starts_with(path)) {
                Some((_, body)) => exchange.answer(200, body).await,
                None => {
                    let refusal = format!(r#"{{"message":"no answer to {target}"}}"#);
                    exchange.answer(404, &refusal).await;
                }
            }
        }
    });
}

fn pretended(directory: &Path) -> DockerRuntime {
    let host = format!("unix://{}/engine.sock", directory.display());
    DockerRuntime::new(DockerOptions::default().host(host)).unwrap()
}

const PODMAN: &str = r#"{"Version":"5.4.2","ApiVersion":"1.41","MinAPIVersion":"1.24","Arch":"amd64",
    "Components":[{"Name":"Podman Engine","Version":"5.4.2"}]}"#;

#[tokio::test]
async fn states_that_docker_does_not_have_are_kept_as_they_are() {
    let labels = r#"{"orch.scope":"default","orch.kind":"container","orch.sandbox":"s1","orch.pod.uid":"u1",
        "orch.container.name":"main"}"#;
    let states = ["stopping", "initialized", "hibernating", "exited"];
    let listed: Vec<String> = states
        .iter()
        .map(|state| {
            format!(r#"{{"Id":"{state}","State":"{state}","Labels":{labels},"Ports":"?","HostConfig":7}}"#)
        })
        .collect();
    let mut answers = vec![
        ("/version", PODMAN.to_owned()),
        ("/v1.41/containers/json", format!("[{}]", listed.join(","))),
    ];
    for (state, path) in states
        .iter()
        .zip(["stopping", "initialized", "hibernating", "exited"])
    {
        let path: &'static str = Box::leak(format!("/v1.41/containers/{path}/json").into_boxed_str());
        answers.push((path, format!(
            r#"{{"Id":"{state}","Created":"2030-01-01T00:00:00.5Z","State":{{"Status":"{state}","ExitCode":3,
            "StartedAt":"2030-01-01T00:00:01Z","FinishedAt":"2030-01-01T00:00:02Z","Health":{{"Status":"sleepy"}}}},
            "Config":{{"Labels":{labels}}},"NetworkSettings":null,"Mounts":{{}}}}"#
        )));
    }
    let directory = tempfile::tempdir().unwrap();
    pretend(&directory.path().join("engine.sock"), answers);
    let runtime = pretended(directory.path());
    let status = runtime.status().await;
    assert_eq!((status.version.as_str(), status.ready), ("podman 5.4.2", true));
    let containers = runtime
        .containers(&ContainerFilter::default())
        .await
        .expect("a list with odd states");
    let told: Vec<&ContainerState> = containers.iter().map(|container| &container.state).collect();
    assert!(told[0].is_running());
    assert_eq!(*told[1], ContainerState::Created);
    assert_eq!(*told[2], ContainerState::Unknown("hibernating".into()));
    assert!(matches!(
        told[3],
        ContainerState::Exited {
            exit_code: Some(3),
            ..
        }
    ));
}

#[tokio::test]
async fn an_engine_of_another_age_is_refused_with_what_to_do() {
    for (newest, oldest, advice) in [
        ("1.40", "1.12", "upgrade the engine"),
        ("1.99", "1.90", "upgrade this program"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let version = format!(r#"{{"Version":"99","ApiVersion":"{newest}","MinAPIVersion":"{oldest}"}}"#);
        pretend(&directory.path().join("engine.sock"), vec![("/version", version)]);
        let runtime = pretended(directory.path());
        let status = runtime.status().await;
        assert!(
            !status.ready && status.message.as_ref().unwrap().contains(advice),
            "{status:?}"
        );
        let listed = runtime.sandboxes(&SandboxFilter::default()).await;
        assert!(
            matches!(listed, Err(RuntimeError::Unavailable { .. })),
            "{listed:?}"
        );
    }
}

#[tokio::test]
async fn an_engine_is_asked_in_a_version_that_it_speaks() {
    let directory = tempfile::tempdir().unwrap();
    let version = r#"{"Version":"29.1.0","ApiVersion":"1.52","MinAPIVersion":"1.44"}"#;
    let image = r#"{"Id":"sha256:1","RepoTags":null,"Size":5,"Config":null}"#;
    let answers = vec![
        ("/version", version.to_owned()),
        ("/v1.52/images/orch-test/busybox:latest/json", image.to_owned()),
    ];
    pretend(&directory.path().join("engine.sock"), answers);
    let runtime = pretended(directory.path());
    let image = runtime
        .image(BUSYBOX)
        .await
        .unwrap()
        .expect("found under the right version");
    assert_eq!((image.id.as_str(), image.size_bytes), ("sha256:1", 5));
}

#[tokio::test]
async fn an_engine_that_comes_later_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = pretended(directory.path());
    assert!(!runtime.status().await.ready);
    pretend(
        &directory.path().join("engine.sock"),
        vec![("/version", PODMAN.to_owned())],
    );
    until("it is found", async || runtime.status().await.ready).await;
}
