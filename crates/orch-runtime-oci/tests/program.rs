//! What a container's program finds, and what becomes of one that cannot be run.

mod common;

use std::fs;
use std::path::Path;

use common::{Oci, clear, config, create, ended, open, start, text};
use orch_core::runtime::{ContainerConfig, ContainerState, Runtime, RuntimeError};

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
                assert!(reason.contains(expected), "{program}: {reason}");
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
