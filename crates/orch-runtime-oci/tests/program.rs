//! What a container's program finds, and what becomes of one that cannot be run.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Oci, clear, config, create, ended, exit_code, open, pods, start, text};
use orch_core::runtime::{ContainerConfig, Mount, Runtime, RuntimeError};

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

/// What a table of programs that cannot run is about, below `/given` in a container.
fn given(oci: &Oci) -> Mount {
    let given = oci.root().join("../given");
    fs::create_dir(&given).unwrap();
    let write = |name: &str, content: &[u8], mode| {
        fs::write(given.join(name), content).unwrap();
        fs::set_permissions(given.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("script", b"#!/no/such/interpreter\n", 0o755);
    write("data", b"nothing", 0o644);
    write("words", b"words", 0o755);
    write("roots", b"#!/bin/sh\nexit 7\n", 0o700);
    write("empty", b"", 0o755);
    // What this machine cannot be, of all that runs these tests.
    let mut foreign = fs::read("/bin/true").unwrap();
    foreign[18..20].copy_from_slice(&22_u16.to_ne_bytes());
    write("foreign", &foreign, 0o755);
    let mut unloadable = fs::read("/bin/true").unwrap();
    let loader = unloadable.windows(4).position(|part| part == b"/ld-").unwrap();
    unloadable[loader..loader + 4].copy_from_slice(b"/no-");
    write("unloadable", &unloadable, 0o755);
    Mount {
        source: given.canonicalize().unwrap(),
        target: "/given".into(),
        read_only: true,
    }
}

#[tokio::test]
async fn what_cannot_be_executed_fails_to_start_and_says_why() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let given = given(&oci);
    let plain = |command: &[&str]| ContainerConfig {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        mounts: vec![given.clone()],
        ..config("main", "")
    };
    let in_directory = |directory: &str| ContainerConfig {
        working_dir: Some(directory.into()),
        ..plain(&["/bin/true"])
    };
    let as_user = |user, command: &str| {
        let mut config = plain(&[command]);
        config.security.run_as_user = Some(user);
        config
    };
    let mounted_at = |target: &str| {
        let mut config = plain(&["/bin/true"]);
        config.mounts.push(Mount {
            target: target.into(),
            ..given.clone()
        });
        config
    };
    let long = "x".repeat(1 << 20);
    for (name, config, expected) in [
        (
            "nowhere",
            plain(&["no-such-program"]),
            "no-such-program: No such file or directory in PATH, which is \"/usr/local/sbin:",
        ),
        (
            "no file",
            plain(&["/no/such/program"]),
            "/no/such/program: No such file or directory",
        ),
        (
            "below a file",
            plain(&["/etc/passwd/x"]),
            "/etc/passwd/x: No such file",
        ),
        (
            "no name",
            plain(&[""]),
            "No such file or directory: its name is empty",
        ),
        (
            "script",
            plain(&["/given/script"]),
            "/given/script: No such file or directory: its interpreter /no/such/interpreter is missing",
        ),
        (
            "unloadable",
            plain(&["/given/unloadable"]),
            "/given/unloadable: No such file or directory: its interpreter /",
        ),
        (
            "data",
            plain(&["/given/data"]),
            "/given/data: Permission denied: nobody may execute it (its mode is 0644)",
        ),
        (
            "directory",
            plain(&["/given"]),
            "/given: Permission denied: it is a directory",
        ),
        (
            "device",
            plain(&["/dev/null"]),
            "/dev/null: Permission denied: it is not a file",
        ),
        (
            "not theirs",
            as_user(12345, "/given/roots"),
            "/given/roots: Permission denied: user 12345 may not execute it (its mode is 0700)",
        ),
        (
            "out of sight",
            as_user(12345, "/root/program"),
            "/root/program: Permission denied: user 12345 cannot look there",
        ),
        (
            "nothing to run",
            plain(&["/proc/self/environ"]),
            "/proc/self/environ: Permission denied",
        ),
        (
            "foreign",
            plain(&["/given/foreign"]),
            "/given/foreign: Exec format error: it is made for s390x, and this machine is",
        ),
        (
            "words",
            plain(&["/given/words"]),
            "/given/words: Exec format error: it is neither a program nor a script that begins with #!",
        ),
        (
            "empty",
            plain(&["/given/empty"]),
            "/given/empty: Exec format error: it is empty",
        ),
        (
            "long",
            plain(&["/bin/true", &long]),
            "/bin/true: Argument list too long",
        ),
        (
            "in a file",
            in_directory("/etc/passwd"),
            "its working directory /etc/passwd: Not a directory",
        ),
        (
            "below a file",
            in_directory("/etc/passwd/below"),
            "its working directory /etc/passwd/below: Not a directory",
        ),
        (
            "in a file of the machine's",
            in_directory("/given/data"),
            "its working directory /given/data: Not a directory",
        ),
        (
            "not in a mount",
            in_directory("/given/none"),
            "its working directory /given/none: No such file or directory",
        ),
        (
            "over a file",
            mounted_at("/etc/passwd"),
            "/given at /etc/passwd: there is no directory, and what is mounted is one",
        ),
        (
            "below a file",
            mounted_at("/etc/passwd/x"),
            "/given at /etc/passwd/x: what is above it is not a directory",
        ),
        (
            "in the kernel's",
            mounted_at("/proc/none"),
            "nothing can be mounted at /proc/none: the kernel has no such file",
        ),
        (
            "in the kernel's",
            mounted_at("/sys/none/x"),
            "nothing can be mounted at /sys/none/x: the kernel has no such file",
        ),
        (
            "in a new directory",
            in_directory("/tmp/none"),
            "its working directory /tmp/none: No such file or directory",
        ),
    ] {
        let mut config = config;
        // Of one pod, each with a name of its own.
        config.name = name.replace([' ', '\''], "-")
            + &config.mounts.len().to_string()
            + &config.mounts.last().map_or(String::new(), |mount| {
                mount.target.display().to_string().replace('/', "-")
            })
            + &config.command[0].replace('/', "-");
        let id = create(&runtime, &config).await;
        match runtime.start_container(&id).await {
            Err(RuntimeError::StartFailed { reason, .. }) => {
                assert!(reason.contains(expected), "{name}: {reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let again = runtime.start_container(&id).await;
        assert!(
            matches!(again, Err(RuntimeError::Ended { .. })),
            "{name}: {again:?}"
        );
    }
    // One that is root's alone is root's to run.
    let id = start(&runtime, &plain(&["/given/roots"])).await;
    assert_eq!(exit_code(&ended(&runtime, &id).await), Some(7));
    clear(&runtime).await;
}

#[tokio::test]
async fn what_cannot_be_mounted_is_told_by_its_place() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let place = oci.beside("place");
    fs::create_dir(&place).unwrap();
    let mounted_at = |target: &str| ContainerConfig {
        mounts: vec![Mount {
            source: place.clone(),
            target: target.into(),
            read_only: true,
        }],
        ..config("main", "true")
    };
    let sandbox = pods::run(&runtime, &pods::pod("pod")).await;
    for target in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        match runtime.create_container(&sandbox, &mounted_at(target)).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert_eq!(field, "mounts");
                assert!(
                    reason.contains(target) && reason.ends_with("mount a file"),
                    "{reason}"
                );
            }
            other => panic!("{target}: {other:?}"),
        }
    }
    let id = runtime
        .create_container(&sandbox, &mounted_at("/data"))
        .await
        .unwrap();
    fs::remove_dir(&place).unwrap();
    match runtime.start_container(&id).await {
        Err(RuntimeError::StartFailed { reason, .. }) => {
            let expected = format!(
                "what is to be mounted at /data is there no more: {}",
                place.display()
            );
            assert!(reason.contains(&expected), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
}
