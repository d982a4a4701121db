//! Containers of pods with users of their own: whose their files, streams and commands are.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use common::pods::{idle, namespace, owned, run, start};
use common::{Oci, clear, config, ended, exec, exit_code, nap, open, says, sleep_runs, text};
use orch_core::runtime::{ContainerConfig, ExecRequest, Mount, Runtime, RuntimeError, Security};

fn mount(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        source: source.into(),
        target: target.into(),
        read_only,
    }
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
    for (security, expected) in [
        (
            Security {
                run_as_user: Some(65_536),
                ..Security::default()
            },
            "run_as_user",
        ),
        (
            Security {
                run_as_group: Some(65_536),
                ..Security::default()
            },
            "run_as_group",
        ),
        (
            Security {
                supplemental_groups: vec![7, 65_536],
                ..Security::default()
            },
            "supplemental_groups",
        ),
    ] {
        let beyond = ContainerConfig {
            security,
            ..config("beyond", "true")
        };
        match runtime.create_container(&sandbox, &beyond).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => assert!(
                field.ends_with(expected)
                    && reason.starts_with("65536: ")
                    && reason.contains("must be from 0 to 65535"),
                "{field}: {reason}"
            ),
            other => panic!("{expected}: {other:?}"),
        }
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_privileged_container_has_all_of_its_pod_and_nothing_of_the_machine() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut privileged = config("main", "sleep 3600");
    privileged.security.privileged = true;
    let id = start(&runtime, &sandbox, &privileged).await;
    let seen = says(
        &runtime,
        &id,
        "mount -t tmpfs none /mnt && stat -c %u /mnt; mknod /mnt/disk b 254 0 2> /dev/null || echo none made; \
         (v=$(cat /proc/sys/kernel/panic); echo $v > /proc/sys/kernel/panic) 2> /dev/null || echo none set; \
         echo x > /dev/null && echo written",
    )
    .await;
    assert_eq!(seen, "0\nnone made\nnone set\nwritten\n");
    // The machine's disks are shown, and are another's.
    for disk in fs::read_dir("/dev").unwrap().flatten() {
        let path = disk.path();
        if rustix::fs::stat(&path).is_ok_and(|found| {
            rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::BlockDevice
                && found.st_mode & 0o006 == 0
        }) {
            let read = format!("head -c 1 {}", path.display());
            assert_ne!(
                exec(&runtime, &id, &read).await.exit_code,
                0,
                "{}",
                path.display()
            );
        }
    }
    let mut kept = config("kept", "touch /x 2> /dev/null || echo read-only; id -u");
    kept.security.read_only_root = true;
    let id = start(&runtime, &sandbox, &kept).await;
    ended(&runtime, &id).await;
    assert_eq!(text(&runtime, &id, false).await, "read-only\n0\n");
    clear(&runtime).await;
}

#[tokio::test]
async fn commands_end_as_they_do_elsewhere_and_with_those_who_asked_for_them() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let sandbox = run(&runtime, &owned("web")).await;
    let mut config = config("main", "sleep 3600");
    (config.security.run_as_user, config.security.run_as_group) = (Some(1000), Some(1000));
    let id = start(&runtime, &sandbox, &config).await;
    for tty in [false, true] {
        for (command, expected, said) in [
            (vec!["no-such-program"], 127, "no-such-program: No such file"),
            (vec!["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
            (
                vec!["sh", "-c", "id -u; readlink /proc/self/ns/user; exit 7"],
                7,
                "1000",
            ),
            (vec!["sh", "-c", "kill -9 $$"], 137, ""),
        ] {
            let request = ExecRequest {
                tty,
                ..ExecRequest::new(command.clone())
            };
            let output = runtime.exec(&id, &request).await.unwrap();
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(output.exit_code, expected, "{command:?}: {text}");
            assert!(text.contains(said), "{command:?}: {text}");
            if expected == 7 {
                assert!(text.contains(&namespace(&oci, &id, "user")), "{text}");
            }
        }
    }
    let capabilities = says(
        &runtime,
        &id,
        "grep -E 'Cap(Prm|Eff)' /proc/self/status | cut -f 2",
    )
    .await;
    assert_eq!(capabilities, "0000000000000000\n0000000000000000\n");
    // Who asked for it wants no more of it.
    let seconds = nap(1);
    let session = runtime
        .open_exec(&id, &ExecRequest::new(["sleep", &seconds.to_string()]))
        .await
        .unwrap();
    sleep_runs(seconds, 1).await;
    // Whoever waits for it holds no mounts of the machine.
    let (users, mounts) = (namespace(&oci, &id, "user"), namespace(&oci, &id, "mnt"));
    let is = |process: &Path, kind: &str, namespace: &str| {
        fs::read_link(process.join("ns").join(kind)).is_ok_and(|is| is == Path::new(namespace))
    };
    let inside = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let inside: Vec<_> = inside.filter(|process| is(process, "user", &users)).collect();
    assert!(
        inside.len() >= 3,
        "the container's, the command, who waits for it: {inside:?}"
    );
    for process in inside {
        assert!(is(&process, "mnt", &mounts), "{}", process.display());
    }
    drop(session);
    sleep_runs(seconds, 0).await;
    // A container that ends takes its commands with it.
    let session = runtime
        .open_exec(&id, &ExecRequest::new(["sleep", &seconds.to_string()]))
        .await
        .unwrap();
    sleep_runs(seconds, 1).await;
    runtime
        .stop_container(&id, std::time::Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(session.exit.await.unwrap(), 137);
    sleep_runs(seconds, 0).await;
    clear(&runtime).await;
}
