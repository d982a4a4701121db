//! Pods with users of their own (Kubernetes: `hostUsers: false`).

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use common::network::{Loopbacks, ip_is_here};
use common::pods::{first_of_pod, idle, namespace, own, pod, run, seen};
use common::{Oci, clear, config, ended, exec, exit_code, open, processes, says, text};
use orch_core::runtime::{
    ContainerConfig, ContainerId, ContainerState, Mount, Runtime, RuntimeError, SandboxConfig, SandboxId,
    SandboxState,
};
use orch_runtime_oci::OciRuntime;

fn owned(uid: &str) -> SandboxConfig {
    SandboxConfig {
        user_namespace: true,
        ..pod(uid)
    }
}

async fn start(runtime: &OciRuntime, sandbox: &SandboxId, config: &ContainerConfig) -> ContainerId {
    let created = runtime.create_container(sandbox, config).await;
    let id = created.expect("creating a container");
    runtime.start_container(&id).await.expect("starting a container");
    id
}

fn mount(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        source: source.into(),
        target: target.into(),
        read_only,
    }
}

/// Whom the users of a container's pod are on the machine, from root on.
fn first_user(oci: &Oci, id: &ContainerId) -> u32 {
    let (_, first) = processes(oci, id);
    let map = |file: &str| {
        let map = fs::read_to_string(format!("/proc/{}/{file}", first.as_raw_nonzero()));
        let map = map.expect("it runs");
        let fields: Vec<u32> = map
            .split_whitespace()
            .map(|field| field.parse().unwrap())
            .collect();
        assert_eq!((fields.len(), fields[0], fields[2]), (3, 0, 65_536), "{map}");
        fields[1]
    };
    let (users, groups) = (map("uid_map"), map("gid_map"));
    assert_eq!(users, groups);
    users
}

#[tokio::test]
async fn each_pod_has_users_that_no_other_pod_has() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let (web, other) = (
        run(&runtime, &owned("web")).await,
        run(&runtime, &owned("other")).await,
    );
    let (one, two) = (
        idle(&runtime, &web, "one").await,
        idle(&runtime, &web, "two").await,
    );
    let stranger = idle(&runtime, &other, "one").await;
    let plain = run(&runtime, &pod("plain")).await;
    let plain = idle(&runtime, &plain, "one").await;
    let first = first_user(&oci, &one);
    assert!(first >= 65_536);
    assert_eq!(first_user(&oci, &two), first);
    assert!(first_user(&oci, &stranger).abs_diff(first) >= 65_536);
    for kind in ["user", "ipc", "uts"] {
        let (one, two) = (namespace(&oci, &one, kind), namespace(&oci, &two, kind));
        assert!(
            one == two && one != own(kind),
            "{kind}: {one}, {two}, the machine's {}",
            own(kind)
        );
        assert_ne!(one, namespace(&oci, &stranger, kind));
    }
    assert_eq!(namespace(&oci, &plain, "user"), own("user"));
    // It runs as root, and is nobody to the machine.
    let (_, process) = processes(&oci, &one);
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap();
    assert!(
        status.contains(&format!("\nUid:\t{first}\t{first}\t{first}\t{first}\n")),
        "{status}"
    );
    // So do commands in it.
    let command = says(
        &runtime,
        &one,
        "id -u; id -g; id -G; readlink /proc/self/ns/user; tr -s ' ' < /proc/self/uid_map",
    )
    .await;
    let namespace_of_users = namespace(&oci, &one, "user");
    assert_eq!(
        command,
        format!("0\n0\n0\n{namespace_of_users}\n 0 {first} 65536\n")
    );
    // What they share is theirs.
    says(
        &runtime,
        &one,
        "echo shared > /dev/shm/file; chown 7:8 /dev/shm/file",
    )
    .await;
    assert_eq!(
        says(
            &runtime,
            &two,
            "cat /dev/shm/file; stat -c %u:%g /dev/shm /dev/shm/file; hostname"
        )
        .await,
        "shared\n0:0\n7:8\nweb\n"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn root_in_such_a_pod_can_do_nothing_to_the_machine() {
    let Some(oci) = Oci::new() else { return };
    let secret = oci.beside("secret");
    fs::write(&secret, "of the machine's root\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut powerful = config("main", "sleep 3600");
    powerful.security.add_capabilities = vec!["ALL".into()];
    let id = start(&runtime, &sandbox, &powerful).await;
    let pod = run(&runtime, &pod("plain")).await;
    let other = start(&runtime, &pod, &powerful).await;
    let secret = secret.display();
    for (script, expected) in [
        // Its own name it may change, and mount what is its own.
        ("hostname other", (true, true)),
        ("mount -t tmpfs none /mnt", (true, true)),
        ("mknod /dev/null2 c 1 3", (false, true)),
        ("echo 1 > /proc/sys/kernel/panic_on_oops", (false, false)),
        ("date -s @0", (false, false)),
    ] {
        // What would harm the machine is tried in the pod alone.
        let harmless = script.starts_with("mknod") || script.starts_with("mount");
        let is_done = exec(&runtime, &id, script).await.exit_code == 0;
        assert_eq!(is_done, expected.0, "{script}");
        if harmless {
            assert_eq!(
                exec(&runtime, &other, script).await.exit_code == 0,
                expected.1,
                "{script}"
            );
        }
    }
    // A process of its own user on the machine could not read this; through /proc it finds it, for root's it was.
    let (_, first) = processes(&oci, &id);
    let outside = Command::new("nsenter")
        .args(["--user", "--preserve-credentials", "--target"])
        .arg(first.as_raw_nonzero().to_string())
        .args(["setpriv", "--reuid", "0", "--regid", "0", "--clear-groups", "cat"])
        .arg(secret.to_string())
        .stderr(Stdio::null())
        .output();
    if let Ok(outside) = outside {
        assert_eq!((outside.status.success(), outside.stdout.len()), (false, 0));
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn files_of_volumes_have_the_owners_that_they_have_on_the_disk() {
    let Some(oci) = Oci::new() else { return };
    let data = oci.beside("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(data.join("given"), "given\n").unwrap();
    chown(data.join("given"), Some(1000), Some(1001)).unwrap();
    fs::set_permissions(data.join("given"), fs::Permissions::from_mode(0o600)).unwrap();
    let file = oci.beside("file");
    fs::write(&file, "a file\n").unwrap();
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut volumes = config("main", "sleep 3600");
    volumes.mounts = vec![
        mount(&data, "/data", false),
        mount(&data, "/kept", true),
        mount(&file, "/a/file", false),
    ];
    // Who may do that could make it writable again, if it were only made so in the pod.
    volumes.security.add_capabilities = vec!["SYS_ADMIN".into()];
    let id = start(&runtime, &sandbox, &volumes).await;
    let seen = says(
        &runtime,
        &id,
        "echo made > /data/made; mkdir /data/dir; chown 33:34 /data/dir; cat /data/given /a/file; echo more > /a/file; \
         stat -c %u:%g /data /data/given /data/made /data/dir /a/file",
    )
    .await;
    assert_eq!(seen, "given\na file\n0:0\n1000:1001\n0:0\n33:34\n0:0\n");
    let owner = |name: &str| {
        let found = fs::metadata(data.join(name)).unwrap();
        (found.uid(), found.gid())
    };
    assert_eq!(
        (owner("made"), owner("dir"), owner("given")),
        ((0, 0), (33, 34), (1000, 1001))
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "more\n");
    let refused = "echo x > /kept/x; mount -o remount,bind,rw /kept; echo x > /kept/x";
    assert_ne!(exec(&runtime, &id, refused).await.exit_code, 0);
    assert!(!data.join("x").exists());
    clear(&runtime).await;
}

#[tokio::test]
async fn a_volume_that_cannot_be_shown_to_other_users_is_refused_by_name() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    for source in ["/proc", "/sys/fs/cgroup"] {
        let mut config = config(&source.replace('/', "-"), "true");
        config.mounts = vec![mount(Path::new(source), "/data", false)];
        let id = runtime.create_container(&sandbox, &config).await.unwrap();
        match runtime.start_container(&id).await {
            Err(RuntimeError::StartFailed { reason, .. }) => assert!(
                reason.contains(&format!("mounting {source} at /data: its file system"))
                    && reason.contains("hostUsers: true"),
                "{reason}"
            ),
            other => panic!("{source}: {other:?}"),
        }
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn the_machines_root_looks_as_it_does_without_and_changes_are_the_pods() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut quiet = config(
        "main",
        "stat -c '%n %u:%g %a' / /etc /etc/passwd /bin/sh /tmp /dev /dev/null /proc /sys /etc/hosts /etc/resolv.conf; \
         touch /etc/made && chown 5:6 /etc/made /etc/passwd && stat -c %u:%g /etc/made /etc/passwd; \
         echo again > /dev/stdout; ls /sys/class/net > /dev/null; cat /etc/hosts > /dev/null; pwd; \
         grep -c mqueue /proc/mounts",
    );
    quiet.working_dir = Some("/srv/made/by/the/shim".into());
    let id = start(&runtime, &sandbox, &quiet).await;
    let state = ended(&runtime, &id).await;
    let seen = text(&runtime, &id, false).await;
    assert_eq!(exit_code(&state), Some(0), "{seen}");
    for expected in [
        "/ 0:0 ",
        "/etc 0:0 ",
        "/etc/passwd 0:0 644",
        "/tmp 0:0 1777",
        "/dev 0:0 755",
        "/proc ",
        "/etc/hosts 0:0 644",
        "/etc/resolv.conf 0:0 644",
        "\n5:6\n5:6\nagain\n/srv/made/by/the/shim\n1\n",
    ] {
        assert!(seen.contains(expected), "{expected:?} in {seen}");
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_user_of_the_pod_writes_to_its_streams_by_their_names_and_no_other_can_be_had() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    for tty in [false, true] {
        let mut config = config(
            &format!("tty-{tty}"),
            "id -u; echo again > /dev/stdout; echo err > /dev/stderr",
        );
        (config.tty, config.security.run_as_user) = (tty, Some(1000));
        let id = start(&runtime, &sandbox, &config).await;
        let state = ended(&runtime, &id).await;
        let said = text(&runtime, &id, false).await.replace('\r', "");
        assert_eq!(
            (said.as_str(), exit_code(&state)),
            ("1000\nagain\nerr\n", Some(0))
        );
    }
    let id = idle(&runtime, &sandbox, "main").await;
    assert_eq!(
        says(&runtime, &id, "echo out > /dev/stdout; tty || true").await,
        "out\nnot a tty\n"
    );
    let mut beyond = config("beyond", "true");
    beyond.security.run_as_user = Some(65_536);
    let id = runtime.create_container(&sandbox, &beyond).await.unwrap();
    let refused = runtime.start_container(&id).await.unwrap_err().to_string();
    assert!(
        refused.contains("its user 65536 is none of the 65536"),
        "{refused}"
    );
    clear(&runtime).await;
}

#[tokio::test]
async fn a_pod_keeps_its_users_when_the_runtime_is_opened_again() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let web = run(&runtime, &owned("web")).await;
    let one = idle(&runtime, &web, "one").await;
    let first = first_user(&oci, &one);
    drop(runtime);
    let runtime = open(&oci).await;
    assert_eq!(seen(&runtime, &web).await.state, SandboxState::Ready);
    assert_eq!(says(&runtime, &one, "id -u").await, "0\n");
    let two = idle(&runtime, &web, "two").await;
    assert_eq!(first_user(&oci, &two), first);
    let other = run(&runtime, &owned("other")).await;
    let stranger = idle(&runtime, &other, "one").await;
    assert_ne!(first_user(&oci, &stranger), first);
    // Who has gone has none.
    runtime.remove_sandbox(&web).await.unwrap();
    let next = run(&runtime, &owned("next")).await;
    let next = idle(&runtime, &next, "one").await;
    assert_eq!(first_user(&oci, &next), first);
    clear(&runtime).await;
}

#[tokio::test]
async fn there_are_as_many_such_pods_as_there_are_users_for() {
    let Some(oci) = Oci::new() else { return };
    // Far above what an administrator gives to others.
    let options = || oci.options().user_ranges(3_000_041_472, 1);
    let runtime = OciRuntime::open(options()).await.unwrap();
    let web = run(&runtime, &owned("web")).await;
    let one = idle(&runtime, &web, "one").await;
    assert_eq!(first_user(&oci, &one), 3_000_041_472);
    let refused = runtime
        .run_sandbox(&owned("other"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("all 1 ranges of users from 3000041472 on are taken, by 1 pods")
            && refused.contains("OciOptions::user_ranges"),
        "{refused}"
    );
    run(&runtime, &pod("plain")).await;
    clear(&runtime).await;
    drop(runtime);
    for (first, pods) in [(3, 1), (65_536, 0), (4_294_901_760, 1)] {
        match OciRuntime::open(oci.options().user_ranges(first, pods))
            .await
            .err()
        {
            Some(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "user_ranges"),
            other => panic!("{first} {pods}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_machines_network_and_processes_are_refused_and_a_pods_own_processes_are_not() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    for field in ["host_network", "host_pid"] {
        let config = SandboxConfig {
            host_network: field == "host_network",
            host_pid: field == "host_pid",
            ..owned("web")
        };
        match runtime.run_sandbox(&config).await {
            Err(RuntimeError::InvalidConfig { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let together = SandboxConfig {
        share_process_namespace: true,
        ..owned("together")
    };
    let sandbox = run(&runtime, &together).await;
    let (one, two) = (
        idle(&runtime, &sandbox, "one").await,
        idle(&runtime, &sandbox, "two").await,
    );
    assert_eq!(namespace(&oci, &one, "pid"), namespace(&oci, &two, "pid"));
    let seen = says(&runtime, &one, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert_eq!(seen.matches("-c sleep 3600").count(), 2, "{seen}");
    let first = says(
        &runtime,
        &one,
        "tr '\\0' ' ' < /proc/1/cmdline; kill -9 1; echo $?",
    )
    .await;
    assert_eq!(first, "orch-oci-shim --pause 0\n");
    let before = first_of_pod(&oci).unwrap();
    drop(runtime);
    let runtime = open(&oci).await;
    assert_eq!(first_of_pod(&oci), Some(before));
    assert_eq!(run(&runtime, &together).await, sandbox);
    runtime.stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(first_of_pod(&oci), None);
    clear(&runtime).await;
}

#[tokio::test]
async fn a_network_and_messages_of_its_own_belong_to_its_users() {
    let Some(oci) = Oci::new().filter(|_| ip_is_here()) else {
        return;
    };
    let network = Loopbacks::new();
    let options = oci.options().network(network.clone());
    let runtime = OciRuntime::open(options).await.expect("opening the runtime");
    let sysctls = [
        ("net.core.somaxconn", "99"),
        ("kernel.shm_rmid_forced", "1"),
        ("fs.mqueue.msg_max", "7"),
    ];
    let web = SandboxConfig {
        sysctls: sysctls
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..owned("web")
    };
    let sandbox = run(&runtime, &web).await;
    let mut admin = config("main", "sleep 3600");
    admin.security.add_capabilities = vec!["NET_ADMIN".into()];
    let id = start(&runtime, &sandbox, &admin).await;
    assert_ne!(namespace(&oci, &id, "net"), own("net"));
    let seen = says(
        &runtime,
        &id,
        "cd /proc/sys; cat net/core/somaxconn kernel/shm_rmid_forced fs/mqueue/msg_max; ls /sys/class/net; \
         ip link set lo mtu 1400; cat /sys/class/net/lo/mtu",
    )
    .await;
    assert_eq!(seen, "99\n1\n7\nlo\n1400\n");
    clear(&runtime).await;
    assert_eq!(network.taken(), []);
}
