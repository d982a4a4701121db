//! What the shim is for: containers are as they should be whoever dies.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Oci, PATIENCE};
use futures::StreamExt;
use orch_core::runtime::{
    ContainerConfig, ContainerId, ContainerState, ExitReason, LogOptions, Runtime, RuntimeError,
    SandboxConfig,
};
use orch_runtime_oci::OciRuntime;
use rustix::process::{Pid, Signal, kill_process};

fn config(name: &str, script: &str) -> ContainerConfig {
    ContainerConfig {
        name: name.into(),
        image: "host".into(),
        command: vec!["/bin/sh".into(), "-c".into(), script.into()],
        ..ContainerConfig::default()
    }
}

async fn open(oci: &Oci) -> OciRuntime {
    OciRuntime::open(oci.options())
        .await
        .expect("opening the runtime")
}

async fn create(runtime: &OciRuntime, config: &ContainerConfig) -> ContainerId {
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

async fn start(runtime: &OciRuntime, config: &ContainerConfig) -> ContainerId {
    let id = create(runtime, config).await;
    runtime.start_container(&id).await.expect("starting a container");
    id
}

async fn ended(runtime: &OciRuntime, id: &ContainerId) -> ContainerState {
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

async fn text(runtime: &OciRuntime, id: &ContainerId, follow: bool) -> String {
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

async fn clear(runtime: &OciRuntime) {
    for sandbox in runtime.sandboxes(&Default::default()).await.expect("listing") {
        runtime
            .remove_sandbox(&sandbox.id)
            .await
            .expect("removing a sandbox");
    }
}

/// The shim that holds a container, and the container's first process, by its state directory.
fn processes(oci: &Oci, id: &ContainerId) -> (Pid, Pid) {
    let dir = oci.root().join("containers").join(&id.0);
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

/// Whether a process runs no more; whoever has inherited it may not have waited for it yet.
fn gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.starts_with(" Z"))
}

#[tokio::test]
async fn a_container_is_shut_off_from_the_machine_but_for_its_network() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let script = "echo pid $$; cat /proc/self/status | grep -E '^(Sig(Blk|Ign)|Groups|NoNewPrivs|CapInh|CapAmb)'; \
        ls /tmp | wc -l; readlink /proc/self/ns/net; touch /etc/of-the-container && echo written";
    let id = start(&runtime, &config("main", script)).await;
    ended(&runtime, &id).await;
    let text = text(&runtime, &id, false).await;
    let network = fs::read_link("/proc/self/ns/net").unwrap();
    for line in [
        "pid 1",
        "Groups:\t0 ",
        "SigBlk:\t0000000000000000",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "0",
        &network.display().to_string(),
        "written",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
    let ignored = text
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    // The C library keeps two to itself, which nobody can set.
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & !(0b11 << 31);
    assert_eq!(ignored, 0, "{text}");
    assert!(
        !Path::new("/etc/of-the-container").exists(),
        "what it writes is its own"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn a_device_that_is_not_the_usual_does_not_open() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let disk = "mknod /dev/disk b $(stat -c '%Hd %Ld' /) 2>/dev/null; test -b /dev/disk && echo made; head -c1 /dev/disk >/dev/null 2>&1 && echo open disk";
    let tun = "mknod /dev/tun c 10 200 2>/dev/null; test -c /dev/tun && echo made; (exec 3<>/dev/tun) 2>/dev/null && echo open tun";
    let id = start(
        &runtime,
        &config(
            "main",
            &format!("{disk}; {tun}; echo usual >/dev/null && echo done"),
        ),
    )
    .await;
    ended(&runtime, &id).await;
    assert_eq!(text(&runtime, &id, false).await, "made\nmade\ndone\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn what_cannot_be_executed_fails_to_start_and_says_why() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let given = oci.root().join("../given");
    fs::create_dir(&given).unwrap();
    let write = |name: &str, text: &str, mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(given.join(name), text).unwrap();
        fs::set_permissions(given.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("script", "#!/no/such/interpreter\n", 0o755);
    write("data", "nothing", 0o644);
    write("roots", "#!/bin/sh\nexit 7\n", 0o750);
    let source = given.canonicalize().unwrap();
    let with = |program: &str| ContainerConfig {
        command: vec![program.into()],
        mounts: vec![orch_core::runtime::Mount {
            source: source.clone(),
            target: "/given".into(),
            read_only: true,
        }],
        ..config(&program.replace('/', "-"), "")
    };
    for (program, expected) in [
        ("/given/script", "No such file"),
        ("/given/data", "denied"),
        ("no-such-program", "No such file"),
        ("/given", "denied"),
    ] {
        let id = create(&runtime, &with(program)).await;
        match runtime.start_container(&id).await {
            Err(RuntimeError::StartFailed { reason, .. }) => {
                assert!(reason.contains(expected), "{program}: {reason}")
            }
            other => panic!("{program}: {other:?}"),
        }
        let again = runtime.start_container(&id).await;
        assert!(
            matches!(again, Err(RuntimeError::Ended { .. })),
            "{program}: {again:?}"
        );
    }
    // One that is root's alone is root's to run.
    let id = start(&runtime, &with("/given/roots")).await;
    assert!(matches!(
        ended(&runtime, &id).await,
        ContainerState::Exited {
            exit_code: Some(7),
            ..
        }
    ));
    clear(&runtime).await;
}

#[tokio::test]
async fn a_container_whose_shim_is_killed_is_reported_and_swept() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "echo before; sleep 3600 & sleep 3600")).await;
    let (shim, init) = processes(&oci, &id);
    kill_process(shim, Signal::KILL).unwrap();
    match ended(&runtime, &id).await {
        ContainerState::Exited {
            exit_code: None,
            reason: ExitReason::Unknown,
            message: Some(message),
            ..
        } => {
            assert!(message.contains("shim"), "{message}");
        }
        state => panic!("{state:?}"),
    }
    assert!(gone(init), "nothing of it runs on");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_shim_killed_while_no_one_has_the_runtime_open_is_found_out() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let (shim, init) = processes(&oci, &id);
    drop(runtime);
    kill_process(shim, Signal::KILL).unwrap();
    let runtime = open(&oci).await;
    let state = ended(&runtime, &id).await;
    assert!(
        matches!(
            state,
            ContainerState::Exited {
                reason: ExitReason::Unknown,
                ..
            }
        ),
        "{state:?}"
    );
    assert!(gone(init), "nothing of it runs on");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_control_group_that_belongs_to_nothing_is_swept() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let (shim, init) = processes(&oci, &id);
    drop(runtime);
    kill_process(shim, Signal::KILL).unwrap();
    fs::remove_dir_all(oci.root().join("containers").join(&id.0)).unwrap();
    drop(open(&oci).await);
    assert!(gone(init), "nothing of it runs on");
    clear(&open(&oci).await).await;
}

#[tokio::test]
async fn a_directory_is_open_once() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let second = OciRuntime::open(oci.options()).await;
    assert!(matches!(second, Err(RuntimeError::Unavailable { .. })));
    drop(runtime);
    drop(open(&oci).await);
}

/// Of which directory the process is the holder that the test below kills.
const HOLDER: &str = "ORCH_TEST_OCI_HOLDER";

/// Not a test by itself: the program that is killed.
#[test]
fn holder() {
    let Some(arguments) = std::env::var_os(HOLDER) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let (root, group) = arguments.split_once(':').unwrap();
    let options = orch_runtime_oci::OciOptions::new(root)
        .shim(common::SHIM)
        .cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options).await.unwrap();
        let script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; exit 5";
        start(&runtime, &config("main", script)).await;
        start(&runtime, &config("short", "sleep 0.2; echo short; exit 3")).await;
        fs::write(Path::new(root).join("../ready"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn containers_outlive_a_program_that_is_killed_with_their_logs_and_exit_codes() {
    let Some(oci) = Oci::new() else { return };
    let program = std::env::current_exe().unwrap();
    let mut program = Command::new(program);
    program
        .args(["--exact", "holder", "--nocapture"])
        .stdout(Stdio::null());
    program.env(HOLDER, format!("{}:{}", oci.root().display(), oci.group()));
    let mut holder = program.spawn().unwrap();
    let ready = oci.root().join("../ready");
    let begin = Instant::now();
    while !ready.exists() {
        assert!(
            begin.elapsed() < PATIENCE && holder.try_wait().unwrap().is_none(),
            "the holder does not come up"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let runtime = open(&oci).await;
    let found = runtime.containers(&Default::default()).await.unwrap();
    let id = |name: &str| {
        found
            .iter()
            .find(|found| found.name == name)
            .expect("it is found again")
            .id
            .clone()
    };
    let expected: String = (0..200).map(|number| format!("line {number}\n")).collect();
    assert_eq!(text(&runtime, &id("main"), true).await, expected);
    for (name, code) in [("main", 5), ("short", 3)] {
        match ended(&runtime, &id(name)).await {
            ContainerState::Exited {
                exit_code,
                started_at: Some(_),
                ..
            } => assert_eq!(exit_code, Some(code)),
            state => panic!("{name}: {state:?}"),
        }
    }
    assert_eq!(text(&runtime, &id("short"), false).await, "short\n");
    clear(&runtime).await;
}
