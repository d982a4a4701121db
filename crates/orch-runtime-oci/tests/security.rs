//! How containers, and commands in them, are confined.

mod common;

use std::fs;
use std::path::Path;

use common::{Oci, clear, config, create, ended, exec, exit_code, open, said, says, start, text};
use orch_core::runtime::{AppArmorProfile, ContainerConfig, Runtime, RuntimeError, SeccompProfile, Security};

/// What the kernel says of a process: its bounding set, whether it may gain privileges, and its filter.
const STATUS: &str =
    "grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | paste -sd' '";

fn secured(script: &str, security: Security) -> ContainerConfig {
    ContainerConfig {
        security,
        ..config("main", script)
    }
}

/// Docker's fourteen, of which this machine may lack some.
fn usual() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let own = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .unwrap();
    0xa804_25fb & u64::from_str_radix(own.trim(), 16).unwrap()
}

#[tokio::test]
async fn a_container_is_confined_as_docker_would_and_so_are_commands_in_it() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let drop_all = Security {
        drop_capabilities: vec!["ALL".into()],
        add_capabilities: vec!["CHOWN".into()],
        ..Security::default()
    };
    let user = Security {
        run_as_user: Some(12345),
        ..Security::default()
    };
    let given_up = Security {
        allow_privilege_escalation: Some(false),
        ..user.clone()
    };
    let unconfined = Security {
        seccomp: SeccompProfile::Unconfined,
        ..Security::default()
    };
    let usual = usual();
    for (number, (security, bounding, effective, no_new_privileges, filter)) in [
        (Security::default(), usual, usual, 0, 2),
        (drop_all, 1, 1, 0, 2),
        (user, usual, 0, 0, 2),
        (given_up, usual, 0, 1, 2),
        (unconfined, usual, usual, 0, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let expected = format!("{effective:016x} {bounding:016x} {no_new_privileges} {filter}\n");
        let mut config = secured(&format!("{STATUS}; exec sleep 3600"), security);
        config.name = format!("main-{number}");
        let id = start(&runtime, &config).await;
        assert_eq!(said(&runtime, &id).await, expected, "{:?}", config.security);
        assert_eq!(
            says(&runtime, &id, STATUS).await,
            expected,
            "a command in {:?}",
            config.security
        );
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn what_the_filter_forbids_fails_and_what_programs_need_works() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    // Were it not for the filter, this would work: the capability is there, and AppArmor would forbid it too.
    let admin = Security {
        app_armor: AppArmorProfile::Unconfined,
        add_capabilities: vec!["SYS_ADMIN".into()],
        ..Security::default()
    };
    for (name, security, script, works) in [
        ("fork", Security::default(), "(true) && true | true", true),
        (
            "threads",
            Security::default(),
            "dd if=/dev/zero of=/dev/null count=1 && sort /etc/passwd",
            true,
        ),
        ("namespaces", Security::default(), "unshare --user true", false),
        (
            "keys",
            Security::default(),
            "exec 2>&1; unshare --mount true",
            false,
        ),
        ("admin", admin, "unshare --mount true", true),
    ] {
        let mut config = secured(script, security);
        config.name = name.into();
        let id = start(&runtime, &config).await;
        let state = ended(&runtime, &id).await;
        assert_eq!(
            exit_code(&state) == Some(0),
            works,
            "{name}: {state:?} {}",
            text(&runtime, &id, false).await
        );
    }
    // A call that neither the profile nor libseccomp has heard of is not there, as far as programs are told.
    let mut config = secured("perl -e 'syscall(4000); exit($!+0)'", Security::default());
    config.name = "unknown".into();
    let id = start(&runtime, &config).await;
    let state = ended(&runtime, &id).await;
    assert_eq!(exit_code(&state), Some(38), "{state:?}");
    clear(&runtime).await;
}

#[tokio::test]
async fn a_profile_of_the_machines_own_is_kept_and_a_bad_one_refused() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let profile = |name: &str, text: &str| {
        let path = oci.beside(name);
        fs::write(&path, text).unwrap();
        Security {
            seccomp: SeccompProfile::Localhost(path),
            ..Security::default()
        }
    };
    let no_directories = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
        [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 12}]}"#;
    let config = secured("exec sleep 3600", profile("kept.json", no_directories));
    let id = start(&runtime, &config).await;
    let refused = exec(&runtime, &id, "mkdir /var/tmp/one").await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.exit_code == 1 && said.contains("Cannot allocate memory"),
        "{said}"
    );
    for (name, text, expected) in [
        ("broken.json", "{", "EOF"),
        (
            "odd.json",
            r#"{"defaultAction": "SCMP_ACT_PONDER"}"#,
            "unknown variant `SCMP_ACT_PONDER`",
        ),
    ] {
        let mut config = secured("true", profile(name, text));
        config.name = name.into();
        let pods = runtime.sandboxes(&Default::default()).await.unwrap();
        match runtime.create_container(&pods[0].id, &config).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert!(
                    field == "security.seccomp" && reason.contains(name) && reason.contains(expected),
                    "{reason}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_root_can_be_read_only_and_a_privileged_container_has_the_machines_devices() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let read_only = Security {
        read_only_root: true,
        ..Security::default()
    };
    let privileged = Security {
        privileged: true,
        ..Security::default()
    };
    for (name, security, script) in [
        (
            "writable",
            Security::default(),
            "touch /var/it && test ! -w /proc/sys/kernel/hostname -a ! -e /dev/mem",
        ),
        ("read-only", read_only, "! touch /var/it && touch /tmp/it"),
        (
            "privileged",
            privileged,
            "test -w /proc/sys/kernel/hostname && head -c 0 /dev/kmsg && ls /dev/loop* /dev/vd* /dev/sd* | grep .",
        ),
    ] {
        let mut config = secured(script, security);
        config.name = name.into();
        let id = create(&runtime, &config).await;
        runtime.start_container(&id).await.unwrap();
        let state = ended(&runtime, &id).await;
        assert_eq!(
            exit_code(&state),
            Some(0),
            "{name}: {}",
            text(&runtime, &id, false).await
        );
    }
    clear(&runtime).await;
}

#[tokio::test]
async fn a_device_made_in_a_container_opens_if_all_containers_have_it() {
    let Some(oci) = Oci::new() else { return };
    if !common::there(usual() & (1 << 27) != 0, "containers cannot make devices here") {
        return;
    }
    let runtime = open(&oci).await;
    let opens = |kind: &str, major: u32, minor: u32| {
        format!("mknod /dev/own {kind} {major} {minor}; head -c 0 /dev/own; echo $?; rm /dev/own;")
    };
    // Zero, then memory, tunnels and a disk, of which the last says something else to who may open it where it is not.
    let script: String = [("c", 1, 5), ("c", 1, 1), ("c", 10, 200), ("b", 7, 0)]
        .map(|(kind, major, minor)| opens(kind, major, minor))
        .concat();
    let id = start(&runtime, &config("main", "sleep 3600")).await;
    let expected = "0\n".to_owned()
        + &"head: cannot open '/dev/own' for reading: Operation not permitted\n1\n".repeat(3);
    assert_eq!(says(&runtime, &id, &format!("({script}) 2>&1")).await, expected);
    clear(&runtime).await;
}

#[tokio::test]
async fn a_profile_of_apparmors_that_cannot_be_enforced_is_refused_and_the_default_stands_in_no_ones_way() {
    let Some(oci) = Oci::new() else { return };
    let runtime = open(&oci).await;
    let id = start(&runtime, &config("plain", "exec sleep 3600")).await;
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    let is_enabled = enabled.is_ok_and(|text| text.starts_with('Y'));
    if is_enabled && Path::new("/usr/sbin/apparmor_parser").exists() {
        let under = exec(&runtime, &id, "cat /proc/1/attr/current /proc/self/attr/current").await;
        let told = String::from_utf8_lossy(&under.stdout);
        let lines: Vec<_> = told.lines().collect();
        assert!(
            lines.len() == 2
                && lines
                    .iter()
                    .all(|line| line.starts_with("orch-default-") && line.ends_with(" (enforce)")),
            "{lines:?}"
        );
    }
    let asked = Security {
        app_armor: AppArmorProfile::Localhost("orch-test-missing".into()),
        ..Security::default()
    };
    let pods = runtime.sandboxes(&Default::default()).await.unwrap();
    let refused = runtime
        .create_container(&pods[0].id, &secured("true", asked))
        .await;
    let expected = match is_enabled {
        true => "Cannot enforce AppArmor: profile \"orch-test-missing\" is not loaded",
        false => {
            "Cannot enforce AppArmor: AppArmor is not enabled on the host, so there is no profile \"orch-test-missing\"; \
             enable it, or ask for none"
        }
    };
    match refused {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert_eq!(
                (field.as_str(), reason.as_str()),
                ("security.app_armor", expected)
            );
        }
        other => panic!("{other:?}"),
    }
    clear(&runtime).await;
}
