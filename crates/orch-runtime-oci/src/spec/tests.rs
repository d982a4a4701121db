use libcontainer::oci_spec::runtime::{Capability, Spec};
use orch_core::runtime::{Mount, SandboxId};

use super::*;
use crate::sandbox;

const ALL: u64 = (1 << 41) - 1;

fn machine(capabilities: u64, unified: bool) -> Machine {
    Machine {
        capabilities,
        any_device: unified,
        kernel: (6, 1),
        has_users: true,
    }
}

fn shared(sandbox: &SandboxConfig) -> Shared {
    let (all, id) = (Path::new("/var/lib/orch-oci/ns"), SandboxId("s".into()));
    Shared::new(all, &id, sandbox::kinds(sandbox, !sandbox.host_network), None)
}

fn places(shared: &Shared) -> Places<'_> {
    Places {
        rootfs: Path::new("/var/lib/orch-oci/containers/c/bundle/rootfs"),
        cgroup: "/orch/x/c",
        is_host: true,
        state: Path::new("/var/lib/orch-oci"),
        hosts: Path::new("/var/lib/orch-oci/sandboxes/s/hosts"),
        resolv_conf: Path::new("/var/lib/orch-oci/sandboxes/s/resolv.conf"),
        hostname: None,
        shm: Path::new("/var/lib/orch-oci/containers/c/bundle/shm"),
        shared,
    }
}

fn built(config: &ContainerConfig, sandbox: &SandboxConfig, machine: &Machine) -> Spec {
    let program = Program {
        args: vec!["true".into()],
        env: vec!["A=1".into()],
        cwd: "/srv".into(),
        identity: None,
    };
    let confinement = Confinement {
        capabilities: Capabilities::of(&config.security, machine).expect("capabilities that are there"),
        no_new_privileges: config.security.allow_privilege_escalation == Some(false),
        filtered: true,
    };
    let devices = [json!({"path": "/dev/disk", "type": "b", "major": 8, "minor": 0})];
    let shared = shared(sandbox);
    let spec = build(config, &program, sandbox, confinement, &devices, places(&shared));
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
    // Fourteen, and what loading a filter takes.
    assert_eq!(capabilities.bounding().as_ref().unwrap().len(), 15);
    assert_eq!(capabilities.bounding(), capabilities.permitted());
    assert_eq!(
        (capabilities.inheritable(), capabilities.ambient()),
        (&None, &None)
    );
    assert_eq!(spec.hostname(), &None);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.resources(), &None, "they are its shim's to set");
    assert_eq!(linux.cgroups_path().as_deref(), Some(Path::new("/orch/x/c")));
    assert!(
        spec.mounts()
            .as_ref()
            .unwrap()
            .iter()
            .any(|mount| mount.destination() == Path::new("/var/lib/orch-oci"))
    );
}

#[test]
fn the_library_reads_which_profile_is_meant() {
    let mut spec = json!({"ociVersion": "1.0.2", "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}}});
    put_under(&mut spec, "orch-default");
    let spec: Spec = serde_json::from_value(spec).expect("what the library reads");
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.apparmor_profile().as_deref(), Some("orch-default"));
}

#[test]
fn a_privileged_container_has_the_machines_devices_and_nothing_hidden_and_others_have_not() {
    for privileged in [false, true] {
        let mut config = ContainerConfig::default();
        config.security.privileged = privileged;
        let spec = built(&config, &SandboxConfig::default(), &machine(ALL, false));
        let linux = spec.linux().as_ref().unwrap();
        let count = linux.devices().as_ref().map(Vec::len);
        assert_eq!(count, privileged.then_some(1));
        assert_eq!(linux.masked_paths().is_none(), privileged);
        assert_eq!(linux.readonly_paths().is_none(), privileged);
        let mounts = spec.mounts().as_ref().unwrap();
        let sys = mounts
            .iter()
            .find(|mount| mount.destination() == Path::new("/sys"))
            .unwrap();
        let read_only = sys
            .options()
            .as_ref()
            .unwrap()
            .iter()
            .any(|option| option == "ro");
        assert_eq!(read_only, !privileged);
    }
}

#[test]
fn a_program_that_gives_up_privileges_needs_none_to_be_confined() {
    let mut config = ContainerConfig::default();
    config.security.allow_privilege_escalation = Some(false);
    config.security.read_only_root = true;
    let spec = built(&config, &SandboxConfig::default(), &machine(ALL, false));
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.no_new_privileges(), Some(true));
    let bounding = process
        .capabilities()
        .as_ref()
        .unwrap()
        .bounding()
        .clone()
        .unwrap();
    assert!(bounding.len() == 14 && !bounding.contains(&Capability::SysAdmin));
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
}

#[test]
fn a_container_joins_its_pods_namespaces_and_has_the_machines_where_that_was_asked_for() {
    let plain = SandboxConfig {
        hostname: "web".into(),
        ..SandboxConfig::default()
    };
    let (own_pid, ipc, uts) = (("pid", None), ("ipc", Some("ipc")), ("uts", Some("uts")));
    let net = ("net", Some("net"));
    for (sandbox, expected) in [
        (plain.clone(), vec![own_pid, ipc, uts, net]),
        (
            SandboxConfig {
                host_network: true,
                ..plain.clone()
            },
            vec![own_pid, ipc],
        ),
        (
            SandboxConfig {
                host_pid: true,
                ..plain.clone()
            },
            vec![ipc, uts, net],
        ),
        (
            SandboxConfig {
                user_namespace: true,
                ..plain
            },
            vec![own_pid, ("user", Some("user")), ipc, uts, net],
        ),
    ] {
        let spec = built(&ContainerConfig::default(), &sandbox, &machine(ALL, false));
        let namespaces = spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap();
        let found = namespaces
            .iter()
            .map(|namespace| (namespace.typ().to_string(), namespace.path().clone()));
        let own_mounts = ("mnt".to_owned(), None);
        let expected = expected.into_iter().map(|(kind, file)| {
            let file = file.map(|file| Path::new("/var/lib/orch-oci/ns/s").join(file));
            (kind.to_owned(), file)
        });
        let expected: Vec<_> = [own_mounts].into_iter().chain(expected).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(spec.hostname(), &None, "the pod's name is set once");
    }
}

#[test]
fn what_an_image_has_is_not_covered_by_what_covers_the_machines() {
    let targets = |is_host| {
        let shared = shared(&SandboxConfig::default());
        let places = Places {
            is_host,
            ..places(&shared)
        };
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
            "args",
        ),
        (mount("data", "/data"), "mounts"),
        (mount("/data", "/../data"), "mounts"),
        (mount("/data", "/"), "mounts"),
        (mount("/data", "/dev/."), "mounts"),
        (mount("/data", "//proc/"), "mounts"),
    ] {
        match check(&config) {
            Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn what_is_of_the_state_directory_follows_it_when_it_is_moved_and_stays_out_of_sight() {
    let (sandbox, program) = (
        SandboxConfig::default(),
        Program {
            args: vec!["true".into()],
            env: Vec::new(),
            cwd: "/".into(),
            identity: None,
        },
    );
    let config = ContainerConfig {
        mounts: vec![Mount {
            source: "/srv/data".into(),
            target: "/var/lib/orch-oci".into(),
            read_only: true,
        }],
        ..ContainerConfig::default()
    };
    let confinement = Confinement {
        capabilities: Capabilities::of(&config.security, &machine(ALL, false)).unwrap(),
        no_new_privileges: false,
        filtered: true,
    };
    let shared = shared(&sandbox);
    let (old, new) = (Path::new("/var/lib/orch-oci"), Path::new("/srv/orch"));
    let built_in = |state: &'static str| {
        let within = |rest: &str| Path::new(state).join(rest);
        let (hosts, resolv_conf) = (within("sandboxes/s/hosts"), within("sandboxes/s/resolv.conf"));
        let shm = within("containers/c/bundle/shm");
        let places = Places {
            state: Path::new(state),
            hosts: &hosts,
            resolv_conf: &resolv_conf,
            shm: &shm,
            ..places(&shared)
        };
        let spec = build(&config, &program, &sandbox, confinement, &[], places);
        spec["mounts"].as_array().unwrap().clone()
    };
    let (there, fresh) = (built_in("/srv/orch"), built_in("/tmp/orch"));
    let mut mounts = built_in("/var/lib/orch-oci");
    assert_ne!(mounts, there);
    follow(&mut mounts, true, (old, new));
    assert_eq!(mounts, there);
    // From where it is out of sight by itself, and to there.
    follow(&mut mounts, true, (new, Path::new("/tmp/orch")));
    assert_eq!(mounts, fresh);
    follow(&mut mounts, true, (Path::new("/tmp/orch"), new));
    assert_eq!(mounts, there);
}
