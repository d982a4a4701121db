//! Pods with users of their own (Kubernetes: `hostUsers: false`): whom they are on the machine, and what they can do to it.

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::network::{Loopbacks, ip_is_here};
use common::pods::{first_of_pod, idle, namespace, own, owned, pod, run, seen, start};
use common::{Oci, clear, config, exec, open, processes, says};
use orch_core::runtime::{AppArmorProfile, ContainerId, Runtime, RuntimeError, SandboxConfig, SandboxState};
use orch_runtime_oci::OciRuntime;

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
    // Where everyone may look, and root's alone.
    let secret = tempfile::NamedTempFile::new().unwrap();
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut powerful = config("main", "sleep 3600");
    powerful.security.add_capabilities = vec!["ALL".into()];
    // Which keeps it from more than being nobody does.
    powerful.security.app_armor = AppArmorProfile::Unconfined;
    let id = start(&runtime, &sandbox, &powerful).await;
    let pod = run(&runtime, &pod("plain")).await;
    let other = start(&runtime, &pod, &powerful).await;
    let set =
        "cd /proc/sys/kernel && mount -o remount,bind,rw /proc/sys && v=$(cat panic) && echo $v > panic";
    for (script, as_users) in [
        // What is its own it may mount.
        ("mount -t tmpfs none /mnt && umount /mnt", true),
        ("hostname other", true),
        ("mknod /dev/null2 c 1 3", false),
        ("renice -n -1 -p $$", false),
        (set, false),
    ] {
        for (id, expected) in [(&id, as_users), (&other, true)] {
            let done = exec(&runtime, id, script).await;
            assert_eq!(done.exit_code == 0, expected, "{script}: {done:?}");
        }
    }
    // Who got out of the container would be nobody.
    let out = |script: &str| {
        let (_, first) = processes(&oci, &id);
        let first = first.as_raw_nonzero().to_string();
        let command = Command::new("nsenter")
            .args(["--user", "--target", &first, "sh", "-c", script])
            .arg(secret.path())
            .stderr(Stdio::null())
            .output();
        command.expect("nsenter").status.success()
    };
    assert!(out("test $(id -u) = 0 && test -e \"$0\""));
    for script in [
        "cat \"$0\"",
        "echo x > \"$0\"",
        "chown 0 \"$0\"",
        "rm -f \"$0\"",
        "kill -0 1",
    ] {
        assert!(!out(script), "{script}");
    }
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
async fn containers_of_one_with_users_of_its_own_may_see_each_others_processes() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let together = SandboxConfig {
        share_process_namespace: true,
        ..owned("together")
    };
    let sandbox = run(&runtime, &together).await;
    let mut free = config("one", "sleep 3600");
    free.security.app_armor = AppArmorProfile::Unconfined;
    let (one, two) = (
        start(&runtime, &sandbox, &free).await,
        idle(&runtime, &sandbox, "two").await,
    );
    assert_eq!(namespace(&oci, &one, "pid"), namespace(&oci, &two, "pid"));
    let seen = says(&runtime, &one, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await;
    assert_eq!(seen.matches("-c sleep 3600").count(), 2, "{seen}");
    let first = says(
        &runtime,
        &one,
        "tr '\\0' ' ' < /proc/1/cmdline; kill -9 1; echo $?; grep -E '^(Uid|CapEff)' /proc/1/status | tr '\\t' ' '",
    )
    .await;
    assert_eq!(
        first,
        "orch-oci-shim --pause 0\nUid: 0 0 0 0\nCapEff: 0000000000000000\n"
    );
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
        // Older kernels keep those of net.core from users of their own.
        ("net.ipv4.ip_default_ttl", "99"),
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
        "cd /proc/sys; cat net/ipv4/ip_default_ttl kernel/shm_rmid_forced fs/mqueue/msg_max; ls /sys/class/net; \
         ip link set lo mtu 1400; cat /sys/class/net/lo/mtu",
    )
    .await;
    assert_eq!(seen, "99\n1\n7\nlo\n1400\n");
    clear(&runtime).await;
    assert_eq!(network.taken(), []);
}
