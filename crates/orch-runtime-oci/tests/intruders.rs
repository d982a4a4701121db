//! What whoever has broken into a pod, or into a process of ours, can reach with that.

mod common;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use common::pods::{first_of_pod, idle, owned, pod, run};
use common::{Oci, PATIENCE, clear, open, processes, says};
use orch_core::runtime::{Runtime, RuntimeError, SandboxConfig};
use orch_runtime_oci::OciRuntime;
use rustix::fs::StatVfsMountFlags;
use rustix::process::{DumpableBehavior, Pid, dumpable_behavior};

/// The process that shims are born of, of the runtimes of this test. What is born of it calls itself the same.
fn nursery(oci: &Oci) -> Option<Pid> {
    let asked = format!("--nursery\0/{}/", oci.group());
    let own = format!("PPid:\t{}\n", std::process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let mut found = numbers.filter(|number: &i32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{number}/{file}")).unwrap_or_default();
        read("cmdline").contains(&asked) && read("status").contains(&own)
    });
    found.next().and_then(Pid::from_raw)
}

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
