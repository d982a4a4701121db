//! Containers of the pod that most tests have one of.

use std::fs;
use std::time::{Duration, Instant};

use futures::StreamExt;
use orch_core::runtime::{ContainerConfig, ContainerId, ContainerState, LogOptions, Runtime, SandboxConfig};
use orch_runtime_oci::OciRuntime;
use rustix::process::Pid;

use super::{Oci, PATIENCE};

pub(crate) fn config(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        image: "host".into(),
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        ..ContainerConfig::default()
    }
}

pub(crate) async fn open(oci: &Oci) -> OciRuntime {
    OciRuntime::open(oci.options())
        .await
        .expect("opening the runtime")
}

pub(crate) async fn create(runtime: &OciRuntime, config: &ContainerConfig) -> ContainerId {
    let sandbox = SandboxConfig {
        uid: "pod".into(),
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(&sandbox).await.expect("running a sandbox");
    runtime
        .create_container(&sandbox.id, config)
        .await
        .expect("creating a container")
}

pub(crate) async fn start(runtime: &OciRuntime, config: &ContainerConfig) -> ContainerId {
    let id = create(runtime, config).await;
    runtime.start_container(&id).await.expect("starting a container");
    id
}

pub(crate) async fn ended(runtime: &OciRuntime, id: &ContainerId) -> ContainerState {
    let begin = Instant::now();
    let mut events = runtime.events().await;
    loop {
        let state = runtime.container(id).await.expect("looking at a container").state;
        if state.is_exited() {
            return state;
        }
        assert!(begin.elapsed() < PATIENCE, "it does not end: {state:?}");
        let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
    }
}

/// None while it runs, and if nobody can know it.
pub(crate) fn exit_code(state: &ContainerState) -> Option<i32> {
    match state {
        ContainerState::Exited { exit_code, .. } => *exit_code,
        _ => None,
    }
}

pub(crate) async fn text(runtime: &OciRuntime, id: &ContainerId, follow: bool) -> String {
    let options = LogOptions {
        follow,
        ..LogOptions::default()
    };
    let chunks = runtime.logs(id, &options).await.expect("reading a log");
    let chunks: Vec<_> = chunks
        .map(|chunk| chunk.expect("reading a log").data)
        .collect()
        .await;
    String::from_utf8_lossy(&chunks.concat()).into_owned()
}

/// The first that a container which runs on says.
pub(crate) async fn said(runtime: &OciRuntime, id: &ContainerId) -> String {
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut chunks = runtime.logs(id, &options).await.expect("reading a log");
    let chunk = chunks.next().await.expect("it says something");
    String::from_utf8_lossy(&chunk.expect("reading a log").data).into_owned()
}

pub(crate) async fn clear(runtime: &OciRuntime) {
    for sandbox in runtime.sandboxes(&Default::default()).await.expect("listing") {
        runtime
            .remove_sandbox(&sandbox.id)
            .await
            .expect("removing a sandbox");
    }
}

/// The shim that holds a container, and the container's first process, by its state directory.
pub(crate) fn processes(oci: &Oci, id: &ContainerId) -> (Pid, Pid) {
    let dir = oci.root().join("run").join(&id.0);
    let started: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("started.json")).expect("it has started")).expect("JSON");
    let init = i32::try_from(started["pid"].as_i64().expect("a number")).expect("a process number");
    let parent = fs::read_to_string(format!("/proc/{init}/status")).expect("it runs");
    let parent = parent
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .expect("it has a parent");
    let pid = |number| Pid::from_raw(number).expect("a process");
    (pid(parent.trim().parse().expect("a number")), pid(init))
}

/// The process that shims are born of, of the runtimes of this test. What is born of it calls itself the same.
pub(crate) fn nursery(oci: &Oci) -> Option<Pid> {
    let asked = format!("--nursery\0/{}/", oci.group());
    let own = format!("PPid:\t{}\n", std::process::id());
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let mut found = numbers.filter(|number: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{number}/{file}")).unwrap_or_default();
        read("cmdline").contains(&asked) && read("status").contains(&own)
    });
    found.next().and_then(Pid::from_raw)
}
