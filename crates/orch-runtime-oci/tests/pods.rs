//! What the containers of a pod share, and what becomes of it when programs, containers and mounts go.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::pods::{first_of_pod, idle, namespace, own, owned, pod, run, seen};
use common::{Oci, PATIENCE, clear, config, open, processes, says};
use futures::future::join_all;
use orch_core::runtime::{Runtime, SandboxConfig, SandboxFilter, SandboxState};
use orch_runtime_oci::{OciOptions, OciRuntime};

#[tokio::test]
async fn containers_of_a_pod_share_name_messages_and_memory_and_those_of_two_pods_do_not() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let (web, other) = (
        run(&runtime, &pod("web")).await,
        run(&runtime, &pod("other")).await,
    );
    let (one, two) = (
        idle(&runtime, &web, "one").await,
        idle(&runtime, &web, "two").await,
    );
    let stranger = idle(&runtime, &other, "one").await;
    for kind in ["ipc", "uts"] {
        let (own, one, two) = (
            own(kind),
            namespace(&oci, &one, kind),
            namespace(&oci, &two, kind),
        );
        assert!(
            one == two && one != own,
            "{kind}: {one}, {two}, the machine's {own}"
        );
        assert_ne!(one, namespace(&oci, &stranger, kind));
    }
    for kind in ["pid", "mnt"] {
        assert_ne!(namespace(&oci, &one, kind), namespace(&oci, &two, kind));
    }
    says(&runtime, &one, "echo shared > /dev/shm/file").await;
    assert_eq!(
        says(&runtime, &two, "cat /dev/shm/file; hostname").await,
        "shared\nweb\n"
    );
    assert_eq!(
        says(&runtime, &stranger, "ls /dev/shm; hostname").await,
        "other\n"
    );
    assert_eq!(says(&runtime, &two, "cat /etc/hostname").await, "web\n");
    assert_eq!(says(&runtime, &stranger, "cat /etc/hostname").await, "other\n");
    let size = says(&runtime, &one, "df -k /dev/shm | tail -n 1").await;
    assert_eq!(size.split_whitespace().nth(1), Some("65536"), "{size}");
    let flags = says(&runtime, &one, "grep ' /dev/shm ' /proc/mounts").await;
    assert!(
        ["nosuid", "nodev", "noexec"]
            .iter()
            .all(|flag| flags.contains(flag)),
        "{flags}"
    );
    // What is in memory goes with the pod, not with who wrote it.
    runtime.remove_container(&one).await.unwrap();
    assert_eq!(says(&runtime, &two, "cat /dev/shm/file").await, "shared\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn on_the_machines_network_a_pod_has_the_machines_name_and_messages_of_its_own() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = SandboxConfig {
        host_network: true,
        ..pod("web")
    };
    let sandbox = run(&runtime, &sandbox).await;
    let id = idle(&runtime, &sandbox, "main").await;
    assert_eq!(namespace(&oci, &id, "uts"), own("uts"));
    let machines = fs::read_to_string("/etc/hostname").unwrap_or_default();
    assert_eq!(
        says(&runtime, &id, "cat /etc/hostname 2>/dev/null || true").await,
        machines
    );
    assert_ne!(namespace(&oci, &id, "ipc"), own("ipc"));
    clear(&runtime).await;
}

#[tokio::test]
async fn no_shim_holds_what_another_pod_shares() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let (web, other) = (
        run(&runtime, &pod("web")).await,
        run(&runtime, &pod("other")).await,
    );
    let id = idle(&runtime, &web, "main").await;
    let (shim, first) = processes(&oci, &id);
    let place = oci.root().join("ns");
    let held = |pid: &str| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        mounts.matches(&*place.to_string_lossy()).count()
    };
    assert_eq!(held("self"), 7, "the place, and three of each pod");
    assert_eq!(held(&first.as_raw_nonzero().to_string()), 0);
    let mounts = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    assert_eq!(
        mounts(&shim.as_raw_nonzero().to_string()),
        mounts("self"),
        "it has no copy"
    );
    runtime.remove_sandbox(&other).await.unwrap();
    assert_eq!(held("self"), 4);
    clear(&runtime).await;
    drop(runtime);
    assert_eq!(held("self"), 0);
}

#[tokio::test]
async fn pods_made_at_the_same_time_have_one_place_for_what_they_share() {
    let Some(oci) = Oci::new() else { return };
    for _ in 0..8 {
        let runtime = &open(&oci).await;
        let pods = (0..8).map(|number| async move { run(runtime, &pod(&format!("pod-{number}"))).await });
        join_all(pods).await;
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let place = format!(" {} ", oci.root().join("ns").display());
        assert_eq!(mounts.matches(&place).count(), 1, "{mounts}");
        clear(runtime).await;
    }
}

#[tokio::test]
async fn a_name_longer_than_the_kernels_is_refused() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let fits = pod(&"a".repeat(64));
    let refused = runtime.run_sandbox(&pod(&"a".repeat(65))).await.unwrap_err();
    assert!(
        refused.to_string().contains("hostname") && refused.to_string().contains("64"),
        "{refused}"
    );
    let id = idle(&runtime, &run(&runtime, &fits).await, "main").await;
    assert_eq!(says(&runtime, &id, "hostname").await.trim(), fits.hostname);
    clear(&runtime).await;
}

/// Of which directory the process is the holder that the test below kills.
const HOLDER: &str = "ORCH_TEST_OCI_PODS";

/// Not a test by itself: the program that is killed.
#[test]
fn holder() {
    let Some(arguments) = std::env::var_os(HOLDER) else {
        return;
    };
    let arguments = arguments.into_string().unwrap();
    let (root, group) = arguments.split_once(':').unwrap();
    let options = OciOptions::new(root).shim(common::SHIM).cgroup_parent(group);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let runtime = OciRuntime::open(options).await.unwrap();
        let lively = run(&runtime, &pod("lively")).await;
        let id = idle(&runtime, &lively, "main").await;
        says(&runtime, &id, "echo kept > /dev/shm/file").await;
        let paused = SandboxConfig {
            share_process_namespace: true,
            ..pod("paused")
        };
        run(&runtime, &paused).await;
        let id = idle(&runtime, &run(&runtime, &owned("owned")).await, "own").await;
        says(&runtime, &id, "echo kept > /dev/shm/file").await;
        let empty = run(&runtime, &pod("empty")).await;
        runtime
            .create_container(&empty, &config("late", "true"))
            .await
            .unwrap();
        fs::write(Path::new(root).join("../ready"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn a_program_with_a_mount_namespace_of_its_own_leaves_what_its_successor_finds_in_containers() {
    let Some(oci) = Oci::new() else { return };
    let mut holder = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "holder", "--nocapture"])
        .stdout(Stdio::null())
        .env(HOLDER, format!("{}:{}", oci.root().display(), oci.group()))
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !oci.beside("ready").exists() {
        assert!(
            begin.elapsed() < PATIENCE && holder.try_wait().unwrap().is_none(),
            "the holder does not come up"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let runtime = open(&oci).await;
    let found = runtime.sandboxes(&SandboxFilter::default()).await.unwrap();
    let of_name = |name: &str| {
        let mut found = found.iter();
        found.find(|sandbox| sandbox.name == name).unwrap().clone()
    };
    let (lively, empty) = (of_name("lively"), of_name("empty"));
    assert_eq!(
        (lively.state, empty.state),
        (SandboxState::Ready, SandboxState::NotReady)
    );
    let all = runtime.containers(&Default::default()).await.unwrap();
    let of = |name: &str| all.iter().find(|one| one.name == name).unwrap().id.clone();
    let next = idle(&runtime, &lively.id, "next").await;
    for kind in ["ipc", "uts"] {
        assert_eq!(namespace(&oci, &next, kind), namespace(&oci, &of("main"), kind));
    }
    assert_eq!(
        says(&runtime, &next, "cat /dev/shm/file; hostname").await,
        "kept\nlively\n"
    );
    // Where processes are shared, the first of them is as good as a container.
    let next = idle(&runtime, &of_name("paused").id, "paused").await;
    let first = first_of_pod(&oci).unwrap().as_raw_nonzero();
    for kind in ["ipc", "pid", "uts"] {
        let link = fs::read_link(format!("/proc/{first}/ns/{kind}")).unwrap();
        assert_eq!(namespace(&oci, &next, kind), link.to_string_lossy());
    }
    // And so where users are the pod's own.
    let next = idle(&runtime, &of_name("owned").id, "owned").await;
    for kind in ["ipc", "user", "uts"] {
        assert_eq!(namespace(&oci, &next, kind), namespace(&oci, &of("own"), kind));
    }
    let kept = says(&runtime, &next, "cat /dev/shm/file; stat -c %u /dev/shm/file").await;
    assert_eq!(kept, "kept\n0\n");
    // In the last, what its containers had in common is gone.
    let refused = runtime.start_container(&of("late")).await.unwrap_err();
    assert!(refused.to_string().contains("not ready"), "{refused}");
    assert!(
        runtime
            .create_container(&empty.id, &config("new", "true"))
            .await
            .is_err()
    );
    assert_eq!(
        runtime.run_sandbox(&pod("empty")).await.unwrap().state,
        SandboxState::NotReady
    );
    let attempt = SandboxConfig {
        attempt: 1,
        ..pod("empty")
    };
    let again = run(&runtime, &attempt).await;
    idle(&runtime, &again, "main").await;
    clear(&runtime).await;
}

#[tokio::test]
async fn a_sandbox_that_was_not_readied_to_its_end_is_readied_by_whoever_asks_again() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &pod("web")).await;
    drop(runtime);
    // As after a kill just before.
    fs::remove_file(oci.root().join("sandboxes").join(&sandbox.0).join("net.json")).unwrap();
    let runtime = open(&oci).await;
    assert_eq!(seen(&runtime, &sandbox).await.state, SandboxState::NotReady);
    assert_eq!(run(&runtime, &pod("web")).await, sandbox);
    let id = idle(&runtime, &sandbox, "main").await;
    assert_eq!(says(&runtime, &id, "hostname").await, "web\n");
    clear(&runtime).await;
}
