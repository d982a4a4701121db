use libcontainer::oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use orch_core::runtime::Mount;

use super::*;

const ALL: u64 = (1 << 41) - 1;

fn machine(capabilities: u64, unified: bool) -> Machine {
    Machine {
        capabilities,
        unified,
    }
}

fn places() -> Places<'static> {
    Places {
        rootfs: Path::new("/var/lib/orch-oci/containers/c/bundle/rootfs"),
        cgroup: "/orch/x/c",
        is_host: true,
        state: Path::new("/var/lib/orch-oci"),
        hosts: Path::new("/var/lib/orch-oci/sandboxes/s/hosts"),
        resolv_conf: Path::new("/var/lib/orch-oci/sandboxes/s/resolv.conf"),
    }
}

fn built(config: &ContainerConfig, sandbox: &SandboxConfig, machine: &Machine) -> Spec {
    let program = Program {
        args: vec!["true".into()],
        env: vec!["A=1".into()],
        cwd: "/srv".into(),
        identity: None,
    };
    let spec = build(config, &program, sandbox, machine, places());
    serde_json::from_value(spec).expect("what the library reads")
}

#[test]
fn nothing_is_left_to_the_librarys_defaults_that_would_weaken_a_container() {
    let spec = built(
        &ContainerConfig::default(),
        &SandboxConfig::default(),
        &machine(ALL, false),
    );
    let process = spec.process().as_ref().unwrap();
    assert_eq!(
        process.no_new_privileges(),
        None,
        "Some(false) means something else to the library"
    );
    assert_eq!(process.user().additional_gids().as_deref(), Some(&[0][..]));
    let capabilities = process.capabilities().as_ref().unwrap();
    assert_eq!(capabilities.bounding().as_ref().unwrap().len(), 14);
    assert_eq!(capabilities.bounding(), capabilities.permitted());
    assert_eq!(
        (capabilities.inheritable(), capabilities.ambient()),
        (&None, &None)
    );
    assert_eq!(spec.hostname(), &None);
    let linux = spec.linux().as_ref().unwrap();
    let devices = linux.resources().as_ref().unwrap().devices().as_ref().unwrap();
    assert!(
        devices.len() == 1 && !devices[0].allow(),
        "first of all none: {devices:?}"
    );
    assert_eq!(linux.cgroups_path().as_deref(), Some(Path::new("/orch/x/c")));
    assert!(
        spec.mounts()
            .as_ref()
            .unwrap()
            .iter()
            .any(|mount| mount.destination() == places().state)
    );
}

#[test]
fn a_capability_that_cannot_be_handed_on_is_not_asked_for() {
    let names = |machine: &Machine| {
        let spec = built(&ContainerConfig::default(), &SandboxConfig::default(), machine);
        spec.process()
            .as_ref()
            .unwrap()
            .capabilities()
            .as_ref()
            .unwrap()
            .bounding()
            .clone()
            .unwrap()
    };
    assert!(names(&machine(ALL, false)).contains(&Capability::Mknod));
    assert!(
        !names(&machine(ALL, true)).contains(&Capability::Mknod),
        "no rule about devices applies there"
    );
    assert_eq!(
        names(&machine(1 << 5 | 1 << 24, false))
            .into_iter()
            .collect::<Vec<_>>(),
        [Capability::Kill]
    );
}

#[test]
fn the_machines_name_and_processes_are_seen_where_that_was_asked_for() {
    use LinuxNamespaceType::{Ipc, Mount, Pid, Uts};
    let named = SandboxConfig {
        hostname: "web".into(),
        ..SandboxConfig::default()
    };
    for (sandbox, expected, name) in [
        (named.clone(), vec![Mount, Ipc, Pid, Uts], Some("web")),
        (
            SandboxConfig {
                host_network: true,
                ..named.clone()
            },
            vec![Mount, Ipc, Pid],
            None,
        ),
        (
            SandboxConfig {
                host_pid: true,
                ..named
            },
            vec![Mount, Ipc, Uts],
            Some("web"),
        ),
    ] {
        let spec = built(&ContainerConfig::default(), &sandbox, &machine(ALL, false));
        let namespaces = spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap();
        let types: Vec<_> = namespaces
            .iter()
            .map(libcontainer::oci_spec::runtime::LinuxNamespace::typ)
            .collect();
        assert_eq!((types, spec.hostname().as_deref()), (expected, name));
    }
}

#[test]
fn what_an_image_has_is_not_covered_by_what_covers_the_machines() {
    let targets = |is_host| {
        let places = Places { is_host, ..places() };
        let mounts = mounts(&ContainerConfig::default(), places);
        let targets = mounts
            .iter()
            .map(|mount| mount["destination"].as_str().map(str::to_owned));
        targets.collect::<Option<Vec<_>>>().unwrap()
    };
    let (host, image) = (targets(true), targets(false));
    for path in ["/run", "/tmp", "/var/tmp", "/var/lib/orch-oci"] {
        assert!(host.iter().any(|target| target == path), "{path} in {host:?}");
        assert!(!image.iter().any(|target| target == path), "{path} in {image:?}");
    }
    for path in ["/proc", "/sys", "/dev", "/etc/hosts", "/etc/resolv.conf"] {
        assert!(image.iter().any(|target| target == path), "{path} in {image:?}");
    }
}

#[test]
fn what_can_never_work_is_refused_by_the_name_of_its_field() {
    let fine = ContainerConfig {
        command: vec!["true".into()],
        ..ContainerConfig::default()
    };
    assert!(check(&fine).is_ok());
    let mount = |source: &str, target: &str| ContainerConfig {
        mounts: vec![Mount {
            source: source.into(),
            target: target.into(),
            read_only: false,
        }],
        ..fine.clone()
    };
    let mut privileged = fine.clone();
    privileged.security.privileged = true;
    for (config, expected) in [
        (
            ContainerConfig {
                stop_signal: Some("SIGNONE".into()),
                ..fine.clone()
            },
            "stop_signal",
        ),
        (
            ContainerConfig {
                env: vec![("A=B".into(), String::new())],
                ..fine.clone()
            },
            "env",
        ),
        (
            ContainerConfig {
                args: vec!["a\0".into()],
                ..fine.clone()
            },
            "command, args, working_dir, env",
        ),
        (mount("data", "/data"), "mounts"),
        (mount("/data", "/../data"), "mounts"),
        (privileged, "security"),
    ] {
        match check(&config) {
            Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_terminal_is_named_unless_its_name_is_given() {
    for (tty, given, expected) in [
        (false, None, None),
        (true, None, Some("TERM=xterm")),
        (true, Some("dumb"), Some("TERM=dumb")),
    ] {
        let config = ContainerConfig {
            tty,
            env: given
                .map(|name| ("TERM".into(), name.into()))
                .into_iter()
                .collect(),
            ..ContainerConfig::default()
        };
        let spec = built(&config, &SandboxConfig::default(), &machine(ALL, false));
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.terminal(), Some(tty));
        let env = process.env().as_ref().unwrap();
        let found: Vec<_> = env
            .iter()
            .filter(|variable| variable.starts_with("TERM="))
            .collect();
        assert_eq!(found, Vec::from_iter(&expected.map(String::from)));
    }
}
