//! What the shim is for: containers are as they should be whoever dies.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{
    Oci, PATIENCE, clear, config, create, ended, exit_code, nursery, open, processes, says, start, text,
};
use orch_core::runtime::{ContainerState, ExitReason, Mount, Runtime, RuntimeError, SandboxConfig};
use orch_runtime_oci::OciRuntime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Returns once a process runs no more, whoever is to wait for it; false if it goes on. One that is killed leaves its
/// control group a moment before.
fn gone(pid: Pid) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let bound = Timespec::try_from(PATIENCE).unwrap();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&bound)).unwrap() > 0
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
async fn a_paused_container_whose_shim_is_killed_is_swept_as_others_are() {
    for away in [false, true] {
        let Some(oci) = Oci::new() else { return };
        let mut runtime = open(&oci).await;
        if !runtime.capabilities().pause {
            common::there(false, "this machine cannot pause containers");
            return;
        }
        let id = start(&runtime, &config("main", "sleep 3600 & sleep 3600")).await;
        runtime.pause(&id).await.unwrap();
        let (shim, init) = processes(&oci, &id);
        if away {
            drop(runtime);
            kill_process(shim, Signal::KILL).unwrap();
            runtime = open(&oci).await;
        } else {
            kill_process(shim, Signal::KILL).unwrap();
        }
        ended(&runtime, &id).await;
        assert!(!runtime.container(&id).await.unwrap().paused);
        assert!(gone(init), "nothing of it stands still");
        clear(&runtime).await;
    }
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

#[tokio::test]
async fn a_shim_keeps_nothing_open_that_its_starter_has_open_by_mistake() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    // Without the flag that closes it in programs that are started.
    let (read, write) = rustix::pipe::pipe().unwrap();
    start(&runtime, &config("main", "sleep 3600")).await;
    drop(write);
    let reading =
        tokio::task::spawn_blocking(move || std::io::Read::read(&mut fs::File::from(read), &mut [0]));
    let end = tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("its other end is closed");
    assert_eq!(end.unwrap().unwrap(), 0);
    clear(&runtime).await;
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it_also_among_the_machines_processes() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = SandboxConfig {
        uid: "pod".into(),
        host_pid: true,
        ..SandboxConfig::default()
    };
    let sandbox = runtime.run_sandbox(&sandbox).await.unwrap();
    let script = "setsid sleep 3600 & echo $$ $!; exit 4";
    let id = runtime
        .create_container(&sandbox.id, &config("main", script))
        .await
        .unwrap();
    runtime.start_container(&id).await.unwrap();
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(4), "{state:?}");
    let text = text(&runtime, &id, false).await;
    let pids: Vec<i32> = text
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    assert!(
        pids.len() == 2 && pids[0] != 1,
        "it sees the machine's numbers: {text}"
    );
    runtime.remove_container(&id).await.unwrap();
    assert!(
        pids.iter().all(|pid| gone(Pid::from_raw(*pid).unwrap())),
        "nothing of it runs on: {text}"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_made_takes_nobody_with_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let other = start(&runtime, &config("other", "sleep 3600")).await;
    let bearer = nursery(&oci);
    let mut config = config("main", "true");
    // Where nothing can be made, which only libcontainer finds out.
    config.mounts.push(Mount {
        source: "/bin".into(),
        target: "/proc/none".into(),
        read_only: true,
    });
    let id = create(&runtime, &config).await;
    let begin = Instant::now();
    match runtime.start_container(&id).await {
        Err(RuntimeError::StartFailed { reason, .. }) => {
            assert!(
                reason.contains("/proc/none") && !reason.contains("cleanup"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(nursery(&oci), bearer);
    assert_eq!(says(&runtime, &other, "echo on").await, "on\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn whenever_what_shims_are_born_of_is_killed_each_container_is_held_and_its_end_told() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let first = start(&runtime, &config("first", "sleep 3600")).await;
    let killed = nursery(&oci).unwrap();
    let held = pidfd_open(killed, PidfdFlags::empty()).unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    // What is asked for before it is gone may be lost with it, which is an error.
    let bound = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(
        poll(&mut [PollFd::new(&held, PollFlags::IN)], Some(&bound)),
        Ok(1)
    );
    assert_eq!(says(&runtime, &first, "echo on").await, "on\n");
    let mut all = vec![first];
    let (started, mut kills) = (std::cell::Cell::new(false), 0);
    let starting = async {
        for number in 0..12 {
            let id = create(&runtime, &config(&format!("c{number}"), "sleep 3600")).await;
            // A start that was broken off is an error, and may have come to something.
            let begin = Instant::now();
            while let Err(error) = runtime.start_container(&id).await {
                assert!(begin.elapsed() < PATIENCE, "{error}");
            }
            all.push(id);
        }
        started.set(true);
    };
    let killing = async {
        while !started.get() {
            if let Some(nursery) = nursery(&oci) {
                // It may have ended since.
                let _ = kill_process(nursery, Signal::KILL);
                kills += 1;
            }
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
    };
    tokio::join!(starting, killing);
    assert!(kills > 3, "{kills}");
    for id in &all {
        assert!(runtime.container(id).await.unwrap().state.is_running());
        runtime.stop_container(id, Duration::ZERO).await.unwrap();
        let state = ended(&runtime, id).await;
        assert_eq!(exit_code(&state), Some(137), "{state:?}");
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_command_runs_though_what_its_shim_was_to_be_born_of_is_killed_before_it_hears_of_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let killed = nursery(&oci).unwrap();
    // It is asked, and reads nothing.
    kill_process(killed, Signal::STOP).unwrap();
    let execs = oci.root().join("run").join(&id.0).join("execs");
    let asked = || {
        // Made with the first.
        let mut execs = fs::read_dir(&execs).into_iter().flatten().flatten();
        execs.any(|exec| fs::read_dir(exec.path()).is_ok_and(|files| files.count() > 1))
    };
    let killing = async {
        let begin = Instant::now();
        while !asked() {
            assert!(begin.elapsed() < PATIENCE, "nothing is asked for");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill_process(killed, Signal::KILL).unwrap();
    };
    let (said, ()) = tokio::join!(says(&runtime, &id, "echo on"), killing);
    assert_eq!(said, "on\n");
    assert_ne!(nursery(&oci), Some(killed));
    clear(&runtime).await;
}
