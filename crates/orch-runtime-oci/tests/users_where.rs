//! Where pods can have users of their own, and what is said where they cannot.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::pods::{owned, pod, run};
use common::{Oci, clear, config, images, open};
use orch_core::runtime::{ContainerConfig, Runtime, RuntimeError, SandboxState};
use orch_runtime_oci::{OciOptions, OciRuntime};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A file system whose files cannot be shown as those of other users.
struct Ramfs(PathBuf);

impl Ramfs {
    fn on(place: PathBuf) -> Self {
        fs::create_dir_all(&place).unwrap();
        mount("none", &place, "ramfs", MountFlags::empty(), c"").unwrap();
        Self(place)
    }
}

impl Drop for Ramfs {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn unsupported(refused: Option<RuntimeError>) -> String {
    match refused {
        Some(RuntimeError::Unsupported { what, .. }) => what.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_shown_to_other_users_is_named_when_a_pod_is_to_have_some() {
    let Some(oci) = Oci::new() else { return };
    let ramfs = Ramfs::on(oci.root());
    let runtime = open(&oci).await;
    for _ in 0..2 {
        let words = unsupported(runtime.run_sandbox(&owned("web")).await.err());
        let state = oci.root().canonicalize().unwrap();
        for expected in [
            &*state.to_string_lossy(),
            "file system, ramfs,",
            "hostUsers: true",
        ] {
            assert!(words.contains(expected), "{expected:?} in {words}");
        }
    }
    // Nothing runs in it, and others are as they were.
    let found = runtime.sandboxes(&Default::default()).await.unwrap();
    assert!(
        found
            .iter()
            .all(|sandbox| sandbox.state == SandboxState::NotReady)
    );
    run(&runtime, &pod("plain")).await;
    clear(&runtime).await;
    drop(runtime);
    drop(ramfs);
}

#[tokio::test]
async fn an_image_that_cannot_be_shown_to_other_users_is_no_failed_copy() {
    const NAME: &str = "registry.example/shell:1";
    let Some(oci) = Oci::new() else { return };
    let Some(image) = images::shell(&serde_json::json!({ "Env": ["PATH=/bin"] })) else {
        return;
    };
    let archive = oci.beside("archive.tar");
    images::archive(&archive, &image, NAME);
    let ramfs = Ramfs::on(oci.root().join("images"));
    let runtime = open(&oci).await;
    runtime.image_store().import(&archive, None).await.unwrap();
    let sandbox = run(&runtime, &owned("web")).await;
    let from_image = ContainerConfig {
        image: NAME.into(),
        ..config("main", "true")
    };
    let id = runtime.create_container(&sandbox, &from_image).await.unwrap();
    match runtime.start_container(&id).await {
        Err(RuntimeError::StartFailed { reason, .. }) => assert!(
            reason.contains("layers")
                && reason.contains("cannot show files as those of other users")
                && !reason.contains("copying"),
            "{reason}"
        ),
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
    drop(runtime);
    drop(ramfs);
}

/// Of which directory the process is that the test below starts.
const INSIDE: &str = "ORCH_TEST_OCI_INSIDE";

/// Not a test by itself: the program in a user namespace.
#[test]
fn inside() {
    let Some(arguments) = std::env::var_os(INSIDE) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let (root, group) = arguments.split_once(':').unwrap();
    let options = || OciOptions::new(root).shim(common::SHIM).cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options()).await.unwrap();
        assert!(!runtime.capabilities().user_namespaces);
        let words = unsupported(runtime.run_sandbox(&owned("web")).await.err());
        for expected in [
            "65536 to 7274495 of its users",
            "has 0 to 0 (/proc/self/uid_map)",
            "user_ranges",
        ] {
            assert!(words.contains(expected), "{expected:?} in {words}");
        }
    });
    fs::write(Path::new(root).join("../said"), "").unwrap();
}

#[tokio::test]
async fn a_program_that_has_not_the_users_that_it_is_to_give_says_which() {
    let Some(oci) = Oci::new() else { return };
    let within = || {
        let mut program = Command::new("unshare");
        program.args(["--user", "--map-root-user", "--mount"]);
        program
    };
    let can = within().arg("true").status().is_ok_and(|status| status.success());
    if !common::there(can, "this program cannot make a user namespace") {
        return;
    }
    let mut program = within();
    program
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "inside"]);
    program.env(INSIDE, format!("{}:{}", oci.root().display(), oci.group()));
    let output = program.output().unwrap();
    assert!(
        output.status.success() && oci.beside("said").exists(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
