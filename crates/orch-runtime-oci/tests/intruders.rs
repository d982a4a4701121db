//! What whoever has broken into a pod, or into a process of ours, can reach with that.

mod common;

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::pods::{first_of_pod, idle, namespace, owned, pod, run, seen};
use common::{Oci, PATIENCE, clear, command, config, hears, nursery, open, processes, said, says};
use orch_core::runtime::{ContainerId, Runtime, RuntimeError, SandboxConfig, SandboxId, SandboxState};
use orch_runtime_oci::OciRuntime;
use rustix::fs::StatVfsMountFlags;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{DumpableBehavior, Pid, dumpable_behavior};

#[tokio::test]
async fn settings_of_a_pods_users_leave_the_program_one_that_can_be_looked_into() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sysctl = |name: &str, value: &str| SandboxConfig {
        sysctls: [(name.to_owned(), value.to_owned())].into(),
        ..owned("web")
    };
    let before = dumpable_behavior().unwrap();
    assert_eq!(before, DumpableBehavior::Dumpable);
    // One that there is not, and a value that it cannot have.
    for (name, value, expected) in [
        ("kernel.shm_none", "1", "No such file"),
        ("kernel.shm_rmid_forced", "many", "Invalid argument"),
    ] {
        match runtime.run_sandbox(&sysctl(name, value)).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => assert!(
                field == "sysctls" && reason.starts_with(&format!("{name}={value}: {expected}")),
                "{field}: {reason}"
            ),
            other => panic!("{name}: {other:?}"),
        }
        clear(&runtime).await;
    }
    let mut web = sysctl("kernel.shm_rmid_forced", "1");
    web.sysctls.insert("fs.mqueue.msg_max".into(), "7".into());
    let sandbox = run(&runtime, &web).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let set = "cd /proc/sys; cat kernel/shm_rmid_forced fs/mqueue/msg_max";
    assert_eq!(says(&runtime, &id, set).await, "1\n7\n");
    assert_eq!(dumpable_behavior().unwrap(), before);
    clear(&runtime).await;
}

/// A container whose first process leaves its pod's namespaces, as it may if it is powerful enough.
async fn leaves(runtime: &OciRuntime, sandbox: &SandboxId, what: &str) -> ContainerId {
    let mut leaving = config(
        "leaves",
        &format!("exec unshare {what} sh -c 'echo left; exec sleep 3600'"),
    );
    leaving.security.add_capabilities = vec!["SYS_ADMIN".into()];
    let id = runtime.create_container(sandbox, &leaving).await.unwrap();
    runtime.start_container(&id).await.unwrap();
    assert_eq!(said(runtime, &id).await, "left\n");
    id
}

#[tokio::test]
async fn a_pod_is_found_again_by_those_of_its_processes_that_are_in_it_still() {
    let Some(oci) = Oci::new() else { return };
    for (config, what, kinds) in [
        (pod("plain"), "--ipc --uts", &["ipc", "uts"][..]),
        (owned("owned"), "--ipc --uts", &["ipc", "uts"]),
        (owned("own-users"), "--user --map-root-user", &["user"]),
    ] {
        let runtime = open(&oci).await;
        let sandbox = run(&runtime, &config).await;
        let stays = idle(&runtime, &sandbox, "stays").await;
        let gone = leaves(&runtime, &sandbox, what).await;
        for kind in kinds {
            assert_ne!(namespace(&oci, &gone, kind), namespace(&oci, &stays, kind));
        }
        // As if the program that made them had been in another mount namespace.
        let lose = || {
            let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let places = mounted.lines().filter_map(|line| line.split(' ').nth(4));
            let state = oci.root().canonicalize().unwrap().join("ns");
            let mut lost: Vec<_> = places
                .filter(|place| Path::new(place).starts_with(&state))
                .collect();
            lost.sort_unstable();
            for place in lost.into_iter().rev() {
                unmount(place, UnmountFlags::DETACH).unwrap();
            }
        };
        drop(runtime);
        lose();
        let runtime = open(&oci).await;
        assert_eq!(seen(&runtime, &sandbox).await.state, SandboxState::Ready);
        let next = idle(&runtime, &sandbox, "next").await;
        for kind in ["user", "ipc", "uts"] {
            assert_eq!(
                namespace(&oci, &next, kind),
                namespace(&oci, &stays, kind),
                "{what}"
            );
        }
        for id in [&next, &stays] {
            runtime.stop_container(id, Duration::ZERO).await.unwrap();
        }
        drop(runtime);
        lose();
        // Nobody is left who is in there.
        let runtime = open(&oci).await;
        assert_eq!(
            seen(&runtime, &sandbox).await.state,
            SandboxState::NotReady,
            "{what}"
        );
        clear(&runtime).await;
    }
}

#[tokio::test]
async fn no_command_follows_a_first_process_out_of_its_pods_users() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let gone = leaves(&runtime, &sandbox, "--user --map-root-user").await;
    let refused = runtime
        .exec(&gone, &command("true"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("has left the user namespace of its pod"),
        "{refused}"
    );
    // Beside who is where it was they run, wherever else in the pod it may be.
    let moved = idle(&runtime, &sandbox, "stays").await;
    assert_eq!(says(&runtime, &moved, "id -u").await, "0\n");
    clear(&runtime).await;
}

/// What the root of a pod, with all that it may do, reads of a process from outside of the container.
fn seen_by_root_of(pod: Pid, process: Pid) -> bool {
    let nsenter = |script: &str| {
        let mut command = Command::new("nsenter");
        command.args([
            "--user",
            "--target",
            &pod.as_raw_nonzero().to_string(),
            "sh",
            "-c",
            script,
        ]);
        let output = command.stderr(Stdio::null()).output().unwrap();
        (output.status.success(), output.stdout)
    };
    assert_eq!(nsenter("id -u"), (true, b"0\n".to_vec()));
    let process = process.as_raw_nonzero();
    // Of these links the kernel asks no more than whether one may look into the process.
    nsenter(&format!(
        "readlink /proc/{process}/exe && readlink /proc/{process}/root"
    ))
    .0
}

#[tokio::test]
async fn the_root_of_a_pod_does_not_look_into_processes_of_the_machine_that_are_among_its_users() {
    let Some(oci) = Oci::new() else { return };
    // The maker of a pod's namespaces, before they have anyone in them.
    let (mut socket, theirs) = UnixStream::pair().unwrap();
    let mut maker = Command::new(common::SHIM);
    maker
        .arg0("orch-oci-shim")
        .args(["--users", "user,ipc"])
        .env_clear();
    let mut maker = maker.stdin(OwnedFd::from(theirs)).spawn().unwrap();
    socket.read_exact(&mut [0]).unwrap();
    let made = Pid::from_child(&maker);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", maker.id()), "0 3000041472 65536\n").unwrap();
    }
    assert!(!seen_by_root_of(made, made), "it has the machine's open");
    drop(socket);
    assert!(maker.wait().unwrap().success());

    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let (_, first) = processes(&oci, &id);
    assert!(seen_by_root_of(first, first), "it is the pod's");
    // Who waits for a command.
    let session = runtime
        .open_exec(&id, &command("echo runs; exec sleep 3600"))
        .await;
    let mut session = session.unwrap();
    hears(&mut session, "runs").await;
    let users = namespace(&oci, &id, "user");
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let is_waiting = |process: &PathBuf| {
        fs::read_link(process.join("ns/user")).is_ok_and(|is| is == Path::new(&users))
            && fs::read(process.join("cmdline")).is_ok_and(|line| line.starts_with(b"orch-oci-shim\0"))
    };
    let waiting: Vec<_> = all.filter(is_waiting).collect();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let number = waiting[0].file_name().unwrap().to_str().unwrap().parse().unwrap();
    assert!(!seen_by_root_of(first, Pid::from_raw(number).unwrap()));
    drop(session);
    clear(&runtime).await;
}

fn program_of(process: Pid) -> PathBuf {
    format!("/proc/{}/exe", process.as_raw_nonzero()).into()
}

#[tokio::test]
async fn nobody_overwrites_the_machines_file_of_a_program_through_a_process_of_it() {
    let Some(oci) = Oci::new() else { return };
    // Of this test alone: the kernel lets nobody write to what somebody executes. By another program, or one that a test beside
    // this starts would have it open for writing.
    let shim = oci.beside("shim");
    let copied = Command::new("cp").arg(common::SHIM).arg(&shim).status().unwrap();
    assert!(copied.success());
    let runtime = OciRuntime::open(oci.options().shim(&shim)).await.unwrap();
    let together = SandboxConfig {
        share_process_namespace: true,
        ..pod("together")
    };
    let sandbox = run(&runtime, &together).await;
    let id = idle(&runtime, &sandbox, "main").await;
    let (holder, _) = processes(&oci, &id);
    let mut held = Vec::new();
    for process in [nursery(&oci).unwrap(), holder, first_of_pod(&oci).unwrap()] {
        let program = program_of(process);
        let flags = rustix::fs::statvfs(&program).unwrap().f_flag;
        assert!(flags.contains(StatVfsMountFlags::RDONLY), "{process:?}");
        let name = fs::read_to_string(program.with_file_name("comm")).unwrap();
        assert_eq!(name, "orch-oci-shim\n");
        held.push(File::open(program).unwrap());
    }
    clear(&runtime).await;
    drop(runtime);
    // Whoever has it open waits until nobody executes it any more.
    for file in held {
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let begin = Instant::now();
        let error = loop {
            match File::options().write(true).open(&again) {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => break opened.err(),
            }
        };
        assert_eq!(
            error.map(|error| error.kind()),
            Some(ErrorKind::ReadOnlyFilesystem)
        );
    }
}
