//! Cases about users of a sandbox's own.

use std::os::unix::fs::MetadataExt;

use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{LogOptions, Mount, RuntimeError, SandboxConfig};

fn owned(rig: &Rig<'_>, pod: &str) -> SandboxConfig {
    SandboxConfig {
        user_namespace: true,
        ..rig.sandbox_config(pod)
    }
}

/// What a program reads in its container's map of users.
async fn users(rig: &Rig<'_>, config: &SandboxConfig) -> Vec<u64> {
    let sandbox = rig.runtime().run_sandbox(config).await;
    let sandbox = sandbox.expect("running a sandbox with users of its own").id;
    let program = Program::new().then(Step::Read("/proc/self/uid_map".into()));
    let id = rig.create(&sandbox, &rig.config("main", &program)).await;
    rig.runtime().start_container(&id).await.expect("starting");
    assert_eq!(rig.exit_code(&id).await, 0);
    let text = rig.text(&id, &LogOptions::default()).await;
    let numbers = text.split_whitespace().map(str::parse);
    numbers
        .collect::<Result<_, _>>()
        .unwrap_or_else(|_| panic!("{text:?} is no map of users"))
}

pub(super) async fn each_sandbox_has_users_that_no_other_has(rig: &mut Rig<'_>) -> Case {
    rig.needs("user_namespaces", |has| has.user_namespaces)?;
    let mut firsts = Vec::new();
    for pod in ["one", "two"] {
        let map = users(rig, &owned(rig, pod)).await;
        let &[0, first, 65_536] = map.as_slice() else {
            panic!("0 to 65,535 are to be users of the machine in a row: {map:?}");
        };
        assert!(first >= 65_536, "those before {first} are the machine's own");
        firsts.push(first);
    }
    assert!(firsts[0].abs_diff(firsts[1]) >= 65_536, "{firsts:?}");
    Ok(())
}

pub(super) async fn what_a_sandbox_with_users_of_its_own_mounts_has_the_machines_owners(
    rig: &mut Rig<'_>,
) -> Case {
    rig.needs("user_namespaces", |has| has.user_namespaces)?;
    rig.needs("mounts", |has| has.mounts)?;
    let directory = rig.directory();
    let source = &directory.0;
    let sandbox = rig.runtime().run_sandbox(&owned(rig, "web")).await;
    let sandbox = sandbox.expect("running a sandbox with users of its own").id;
    let program = Program::new().then(Step::Write("/mnt/data/made".into(), "from inside\n".into()));
    let mut config = rig.config("main", &program);
    config.mounts = vec![Mount {
        source: source.clone(),
        target: "/mnt/data".into(),
        read_only: false,
    }];
    let id = rig.create(&sandbox, &config).await;
    rig.runtime().start_container(&id).await.expect("starting");
    assert_eq!(
        rig.exit_code(&id).await,
        0,
        "who owns the directory may write in it"
    );
    let owner = |path| {
        let found = std::fs::metadata(path).expect("what was made is there");
        (found.uid(), found.gid())
    };
    assert_eq!(owner(source.join("made")), owner(source.clone()));
    Ok(())
}

pub(super) async fn users_of_ones_own_go_with_neither_the_machines_network_nor_its_processes(
    rig: &mut Rig<'_>,
) -> Case {
    rig.needs("user_namespaces", |has| has.user_namespaces)?;
    for field in ["host_network", "host_pid"] {
        let config = SandboxConfig {
            host_network: field == "host_network",
            host_pid: field == "host_pid",
            ..owned(rig, "web")
        };
        match rig.runtime().run_sandbox(&config).await {
            Err(RuntimeError::InvalidConfig { field: refused, .. }) => assert_eq!(refused, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    Ok(())
}
