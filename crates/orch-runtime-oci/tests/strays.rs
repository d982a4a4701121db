//! Machines with mounts that a container has nothing to do with, of which its shim sees none.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::pods::{owned, pod, run};
use common::{Oci, clear, config, ended, exit_code, says, text};
use orch_core::runtime::{Mount, Runtime};
use orch_runtime_oci::{OciOptions, OciRuntime};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// More than are left in sight.
const STRAYS: usize = 120;

/// In which directory the process is that the test below starts.
const AMONG: &str = "ORCH_TEST_OCI_AMONG_STRAYS";

/// Not a test by itself: the program in a mount namespace of its own.
#[test]
fn among_strays() {
    let Some(arguments) = std::env::var_os(AMONG) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let (beside, group) = arguments.split_once(':').unwrap();
    let beside = |name: &str| Path::new(beside).join(name);
    let make = |name: &str| {
        fs::create_dir(beside(name)).unwrap();
        mount("none", beside(name), "tmpfs", MountFlags::empty(), c"size=64k").unwrap();
    };
    for number in 0..STRAYS {
        make(&format!("stray{number}"));
    }
    // Of a volume, the name leads from one mount into another, and over a third.
    for name in ["names", "between", "data"] {
        make(name);
    }
    fs::create_dir(beside("data").join("volume")).unwrap();
    fs::write(beside("data").join("volume/file"), "of a volume\n").unwrap();
    symlink(beside("data"), beside("between").join("link")).unwrap();
    symlink("../between/link/volume", beside("names").join("volume")).unwrap();
    let options = OciOptions::new(beside("state"))
        .shim(common::SHIM)
        .cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options).await.unwrap();
        for pod in [pod("plain"), owned("owned")] {
            let sandbox = run(&runtime, &pod).await;
            let mut volumes = config("main", "cat /data/file && echo more >> /data/file");
            volumes.mounts = vec![Mount {
                source: beside("names").join("volume"),
                target: "/data".into(),
                read_only: false,
            }];
            let id = runtime.create_container(&sandbox, &volumes).await.unwrap();
            runtime.start_container(&id).await.unwrap();
            let state = ended(&runtime, &id).await;
            let said = text(&runtime, &id, false).await;
            assert_eq!(exit_code(&state), Some(0), "{said}");
            assert!(said.starts_with("of a volume\n"), "{said}");
        }
        clear(&runtime).await;
    });
    in_no_group_of_the_machines(&beside("one"), group);
    let file = fs::read_to_string(beside("data").join("volume/file")).unwrap();
    assert_eq!(file, "of a volume\nmore\nmore\n");
    fs::write(beside("done"), "").unwrap();
}

/// Where the control groups of version 2 are not to be had, libcontainer is told of the container's own group and no other: it
/// finds those of version 1 wherever they are mounted, and kills whom it finds in the one it was told of.
fn in_no_group_of_the_machines(root: &Path, group: &str) {
    match unmount("/sys/fs/cgroup/unified", UnmountFlags::DETACH) {
        Ok(()) => {}
        // A machine of version 2 alone has no others.
        Err(_) if !Path::new("/sys/fs/cgroup/pids").exists() => return,
        Err(_) => {}
    }
    let options = OciOptions::new(root).shim(common::SHIM).cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options).await.unwrap();
        let sandbox = run(&runtime, &pod("one")).await;
        let sleeps = config("main", "sleep 3600");
        let id = runtime.create_container(&sandbox, &sleeps).await.unwrap();
        runtime.start_container(&id).await.unwrap();
        let spec = fs::read_to_string(root.join("run").join(&id.0).join("bundle/config.json")).unwrap();
        let spec: serde_json::Value = serde_json::from_str(&spec).unwrap();
        let told = spec["linux"]["cgroupsPath"].as_str().unwrap();
        assert!(told.ends_with(&id.0), "{told}");
        assert_eq!(says(&runtime, &id, "echo on").await, "on\n");
        clear(&runtime).await;
    });
}

#[tokio::test]
async fn a_volume_is_there_whose_name_leads_across_mounts_among_many_others() {
    let Some(oci) = Oci::new() else { return };
    let mut program = Command::new("unshare");
    program.args(["--mount", "--propagation", "private"]);
    program
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "among_strays"]);
    program.env(AMONG, format!("{}:{}", oci.beside("").display(), oci.group()));
    let output = program.output().unwrap();
    assert!(
        output.status.success() && oci.beside("done").exists(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
