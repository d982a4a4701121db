//! Machines with mounts that a container has nothing to do with, of which its shim sees none.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::pods::{owned, pod, run};
use common::{Oci, clear, config, ended, exit_code, text};
use orch_core::runtime::{Mount, Runtime};
use orch_runtime_oci::{OciOptions, OciRuntime};
use rustix::mount::{MountFlags, mount};

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
    let file = fs::read_to_string(beside("data").join("volume/file")).unwrap();
    assert_eq!(file, "of a volume\nmore\nmore\n");
    fs::write(beside("done"), "").unwrap();
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
