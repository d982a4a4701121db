//! The process runtime against real processes.

mod holders;
mod output;
mod power;
mod stops;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::join_all;
use rustix::process::Signal;

use super::*;
use crate::runtime::{
    AppArmorProfile, Container, ContainerConfig, ContainerState, ExecRequest, ExitReason, LogOptions,
    Runtime, SandboxConfig, Security,
};
use crate::testing::runtime::Harness;

struct Processes(tempfile::TempDir);

fn processes() -> Processes {
    Processes(tempfile::tempdir().expect("a directory for a test"))
}

#[async_trait]
impl Harness for Processes {
    async fn open(&self) -> Arc<dyn Runtime> {
        Arc::new(
            ProcessRuntime::open(self.0.path())
                .await
                .expect("opening the state directory"),
        )
    }
    fn image(&self) -> String {
        "host".into()
    }
}

mod conformance {
    crate::runtime_conformance!(super::processes());
}

const PATIENCE: Duration = Duration::from_secs(60);

fn shell(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        image: "host".into(),
        command: ["sh", "-c", script].map(String::from).to_vec(),
        ..ContainerConfig::default()
    }
}

async fn sandbox(runtime: &ProcessRuntime) -> SandboxId {
    let config = SandboxConfig {
        uid: "pod".into(),
        ..SandboxConfig::default()
    };
    runtime.run_sandbox(&config).await.unwrap().id
}

async fn created(runtime: &ProcessRuntime, config: &ContainerConfig) -> ContainerId {
    runtime
        .create_container(&sandbox(runtime).await, config)
        .await
        .unwrap()
}

async fn started(runtime: &ProcessRuntime, config: &ContainerConfig) -> ContainerId {
    let id = created(runtime, config).await;
    runtime.start_container(&id).await.unwrap();
    id
}

/// All lines of a log, until the container ends.
async fn lines(runtime: &ProcessRuntime, id: &ContainerId) -> Vec<String> {
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let log = runtime.logs(id, &options).await.unwrap();
    let line = |chunk: Result<crate::runtime::LogChunk, _>| {
        String::from_utf8_lossy(&chunk.unwrap().data)
            .trim_end_matches('\n')
            .to_owned()
    };
    tokio::time::timeout(PATIENCE, log.map(line).collect())
        .await
        .expect("the end of the log")
}

/// Returns once the container has written a line.
async fn said(runtime: &ProcessRuntime, id: &ContainerId, line: &str) {
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut log = runtime.logs(id, &options).await.unwrap();
    let wanted = format!("{line}\n");
    while let Some(chunk) = tokio::time::timeout(PATIENCE, log.next())
        .await
        .expect("a line in time")
    {
        if chunk.unwrap().data == wanted.as_bytes() {
            return;
        }
    }
    panic!("it ended without {line:?}");
}

async fn ended(runtime: &ProcessRuntime, id: &ContainerId) -> Container {
    let cell = runtime.inner.cell(id).unwrap();
    tokio::time::timeout(PATIENCE, cell.wait())
        .await
        .expect("the end of a container");
    cell.container()
}

async fn exit_code(runtime: &ProcessRuntime, id: &ContainerId) -> Option<i32> {
    match ended(runtime, id).await.state {
        ContainerState::Exited { exit_code, .. } => exit_code,
        state => panic!("it must have ended: {state:?}"),
    }
}

/// Returns once the number of running processes that carry a container's mark is as wanted.
async fn marked(id: &ContainerId, wanted: impl Fn(usize) -> bool) {
    let mark = format!("{}={id}", wrapper::MARK).into_bytes();
    let mut seen = 0;
    let looking = async {
        loop {
            let marks: Vec<_> = os::processes().map(|pid| os::mark_of(pid, &mark)).collect();
            seen = marks.iter().filter(|seen| **seen == os::Mark::Present).count();
            // One that is about to begin a program may be marked.
            if !marks.contains(&os::Mark::Unknown) && wanted(seen) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("not as many marked processes as expected: {seen}");
    }
}

async fn none_marked(id: &ContainerId) {
    marked(id, |running| running == 0).await;
}

#[tokio::test]
async fn a_state_directory_has_one_holder_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = ProcessRuntime::open(dir.path()).await.unwrap();
    let error = ProcessRuntime::open(dir.path()).await.unwrap_err().to_string();
    let expected = format!(
        "is in use by process {}; end that, or choose another directory",
        std::process::id()
    );
    assert!(
        error.starts_with("runtime process is unavailable: the state directory")
            && error.ends_with(&expected),
        "{error}"
    );
    drop(first);
    ProcessRuntime::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_state_directory_of_an_unknown_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "7\n").unwrap();
    let error = ProcessRuntime::open(dir.path()).await.unwrap_err().to_string();
    assert!(
        error.ends_with("format \"7\" is unknown; this version reads 1"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_done_here_is_refused_when_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let sandbox = sandbox(&runtime).await;
    let base = shell("main", "");
    let odd_name = vec![("A=B".to_owned(), String::new())];
    for (config, expected) in [
        (
            ContainerConfig {
                command: vec![],
                ..base.clone()
            },
            "command: the process runtime has no images to take a command from; name a program of this machine",
        ),
        (
            ContainerConfig {
                image: String::new(),
                ..base.clone()
            },
            "image \"\": must not be empty",
        ),
        (
            ContainerConfig {
                tty: true,
                ..base.clone()
            },
            "tty: the process runtime has no terminals",
        ),
        (
            ContainerConfig {
                stop_signal: Some("SIGNO".into()),
                ..base.clone()
            },
            "stop_signal: \"SIGNO\" is no",
        ),
        (
            ContainerConfig {
                env: odd_name,
                ..base.clone()
            },
            "env: \"A=B\" is no variable's name",
        ),
        (
            ContainerConfig {
                security: Security {
                    app_armor: AppArmorProfile::Localhost("web".into()),
                    ..Security::default()
                },
                ..base.clone()
            },
            "security.app_armor: \"web\": the process runtime does not confine containers",
        ),
    ] {
        let error = runtime
            .create_container(&sandbox, &config)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(runtime.containers(&Default::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_program_gets_a_clean_environment_and_any_names() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let mut config = shell("main", "");
    config.command = vec!["env".into()];
    config.env = vec![
        ("with.dots-and-dashes".into(), "1".into()),
        ("PLAIN".into(), "two words".into()),
    ];
    let id = started(&runtime, &config).await;
    let mut variables = lines(&runtime, &id).await;
    // Shells add what they please.
    variables.retain(|line| {
        !["PWD=", "OLDPWD=", "SHLVL=", "_="]
            .iter()
            .any(|prefix| line.starts_with(prefix))
    });
    let names: Vec<&str> = variables
        .iter()
        .filter_map(|line| line.split('=').next())
        .collect();
    let allowed = ["PATH", "HOME", wrapper::MARK, "with.dots-and-dashes", "PLAIN"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{variables:?}");
    for expected in [
        "with.dots-and-dashes=1",
        "PLAIN=two words",
        &format!("{}={id}", wrapper::MARK),
    ] {
        assert!(
            variables.iter().any(|line| line == expected),
            "{expected} in {variables:?}"
        );
    }
}

#[tokio::test]
async fn stopping_takes_grandchildren_along_and_those_that_left_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let script = "trap '' TERM; (sleep 1000 & sleep 1000) & setsid sleep 1000 & echo ready; wait";
    let id = started(&runtime, &shell("main", script)).await;
    said(&runtime, &id, "ready").await;
    // The wrapper, the program and its descendants.
    marked(&id, |running| running >= 4).await;
    runtime
        .stop_container(&id, Duration::from_millis(50))
        .await
        .unwrap();
    assert_eq!(exit_code(&runtime, &id).await, Some(137));
    none_marked(&id).await;
}

#[tokio::test]
async fn a_program_that_ends_by_itself_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(
        &runtime,
        &shell("main", "sleep 1000 & setsid sleep 1000 & exit 3"),
    )
    .await;
    assert_eq!(exit_code(&runtime, &id).await, Some(3));
    none_marked(&id).await;
}

#[tokio::test]
async fn a_container_whose_wrapper_is_killed_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(&runtime, &shell("main", "echo ready; sleep 1000")).await;
    said(&runtime, &id, "ready").await;
    let wrapper = runtime.inner.cell(&id).unwrap().group().unwrap();
    rustix::process::kill_process(wrapper, Signal::KILL).unwrap();
    assert_eq!(exit_code(&runtime, &id).await, Some(137));
    none_marked(&id).await;
}

#[tokio::test]
async fn a_process_that_took_over_the_number_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(&runtime, &shell("main", "echo ready; sleep 1000")).await;
    said(&runtime, &id, "ready").await;
    let cell = runtime.inner.cell(&id).unwrap();
    let (files, wrapper) = (cell.dir.clone(), cell.group().unwrap());
    drop((cell, runtime));
    // It is killed while no runtime watches, and its number goes to another group leader.
    os::signal_group(wrapper, Signal::KILL);
    os::ended(wrapper).await;
    os::reap(wrapper);
    let mut bystander = Command::new("sleep")
        .arg("1000")
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    std::fs::write(files.join("claim"), format!("{}\n", bystander.id())).unwrap();

    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let state = ended(&runtime, &id).await.state;
    let unknown = matches!(
        state,
        ContainerState::Exited {
            exit_code: None,
            reason: ExitReason::Unknown,
            ..
        }
    );
    assert!(unknown, "nobody saw how it ended: {state:?}");
    runtime.stop_container(&id, Duration::ZERO).await.unwrap();
    runtime.remove_container(&id).await.unwrap();
    assert_eq!(bystander.try_wait().unwrap(), None, "the bystander runs on");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_start_that_an_earlier_holder_did_not_live_to_record_is_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    for number in 0..10 {
        let id = created(
            &runtime,
            &shell(&format!("c{number}"), "echo ran; sleep 0.1; exit 4"),
        )
        .await;
        let cell = runtime.inner.cell(&id).unwrap();
        let output = cell.log.begin().unwrap();
        // The wrapper of a holder that died right after, in its own words.
        let earlier = wrapper::spawn(&cell.id, &cell.dir, &cell.record, None, output).unwrap();
        if number % 2 == 0 {
            while !cell.dir.join("claim").exists() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        runtime.start_container(&id).await.unwrap();
        assert_eq!(
            lines(&runtime, &id).await,
            ["ran"],
            "whichever wrapper was first, only one ran"
        );
        assert_eq!(exit_code(&runtime, &id).await, Some(4));
        os::ended(earlier).await;
        os::reap(earlier);
        none_marked(&id).await;
    }
}

#[tokio::test]
async fn a_command_ends_with_its_container_and_with_its_timeout() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let id = started(&runtime, &shell("main", "echo ready; exec sleep 1000")).await;
    said(&runtime, &id, "ready").await;
    let before = 2; // The wrapper and the program.
    let mut request = ExecRequest::new(["sh", "-c", "sleep 1000 & sleep 1000"]);
    request.timeout = Some(Duration::from_millis(100));
    assert!(matches!(
        runtime.exec(&id, &request).await,
        Err(RuntimeError::Timeout { .. })
    ));
    // The command and its child are killed.
    marked(&id, |running| running <= before).await;

    request.timeout = None;
    let stopping = async {
        marked(&id, |running| running > before).await;
        runtime.stop_container(&id, Duration::ZERO).await.unwrap();
    };
    let (output, ()) = tokio::join!(runtime.exec(&id, &request), stopping);
    assert_eq!(output.unwrap().exit_code, 137);
    none_marked(&id).await;

    let missing = ExecRequest::new(["/no/such/program"]);
    let id = started(&runtime, &shell("other", "sleep 1000")).await;
    let output = runtime.exec(&id, &missing).await.unwrap();
    assert_eq!(output.exit_code, 127);
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/program"));
    runtime.remove_container(&id).await.unwrap();
}

#[tokio::test]
async fn stats_count_the_programs_processes_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo ready; sleep 1000 & wait";
    let id = started(&runtime, &shell("main", script)).await;
    said(&runtime, &id, "ready").await;
    let stats = runtime.stats(&id).await.unwrap();
    assert!(stats.cpu_nanos >= 10_000_000, "{stats:?}");
    assert!(
        stats.memory_working_set_bytes >= stats.memory_rss_bytes.unwrap(),
        "{stats:?}"
    );
    assert!((1..=2).contains(&stats.pids.unwrap()), "{stats:?}");
    runtime.remove_container(&id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_containers_start_and_stop_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::open(dir.path()).await.unwrap();
    let runs = (0..50).map(|number| {
        let runtime = runtime.clone();
        tokio::spawn(async move {
            let script =
                format!("trap 'exit {number}' TERM; echo {number}; while :; do sleep 1000 & wait $!; done");
            let id = started(&runtime, &shell(&format!("c{number}"), &script)).await;
            said(&runtime, &id, &number.to_string()).await;
            runtime.stop_container(&id, PATIENCE).await.unwrap();
            assert_eq!(exit_code(&runtime, &id).await, Some(number));
            id
        })
    });
    for id in join_all(runs).await {
        none_marked(&id.unwrap()).await;
    }
    runtime.remove_sandbox(&sandbox(&runtime).await).await.unwrap();
    let left = |name: &str| std::fs::read_dir(dir.path().join(name)).unwrap().count();
    assert_eq!((left("containers"), left("sandboxes"), left("trash")), (0, 0, 0));
}

/// How much disk a file really takes.
fn allocated(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(&path.metadata().unwrap()) * 512
}
