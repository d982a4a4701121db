//! Cases about configurations that no runtime can make something of, and limits that are none.

use super::Program;
use super::rig::{Case, Rig};
use crate::runtime::{
    ContainerConfig, ContainerFilter, ContainerId, Mount, Resources, RuntimeError, SandboxConfig,
    SandboxFilter, SandboxId,
};

pub(super) async fn a_sandbox_without_a_uid_is_refused(rig: &mut Rig<'_>) -> Case {
    let nobodys = SandboxConfig {
        uid: String::new(),
        ..rig.sandbox_config("web")
    };
    match rig.runtime().run_sandbox(&nobodys).await {
        Err(RuntimeError::InvalidConfig { field, reason }) => {
            assert!(field == "uid" && reason.contains("must not be empty"), "{reason}");
        }
        Err(error) => panic!("another error: {error}"),
        Ok(made) => {
            // Its uid does not say whose it is.
            let _ = rig.runtime().remove_sandbox(&made.id).await;
            panic!("it was made");
        }
    }
    let all = rig.runtime().sandboxes(&SandboxFilter::default()).await;
    let all = all.expect("listing");
    assert!(all.iter().all(|sandbox| !sandbox.uid.is_empty()), "{all:?}");
    Ok(())
}

/// Of this configuration, each with something that no container can have, and the field that it is in.
fn bad(config: &ContainerConfig, source: &std::path::Path) -> Vec<(ContainerConfig, &'static str)> {
    let with = |change: &dyn Fn(&mut ContainerConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        changed
    };
    let mount = |target: &str| Mount {
        source: source.to_owned(),
        target: target.into(),
        read_only: true,
    };
    vec![
        (with(&|config| config.name.clear()), "name"),
        (with(&|config| config.image.clear()), "image"),
        (
            with(&|config| config.security.run_as_user = Some(u32::MAX)),
            "security.run_as_user",
        ),
        (
            with(&|config| config.security.run_as_group = Some(u32::MAX)),
            "security.run_as_group",
        ),
        (
            with(&|config| config.security.supplemental_groups = vec![u32::MAX]),
            "security.supplemental_groups",
        ),
        (
            with(&|config| config.mounts = vec![mount("/data"), mount("/data/")]),
            "mounts",
        ),
    ]
}

pub(super) async fn what_no_container_can_be_is_refused_by_its_field(rig: &mut Rig<'_>) -> Case {
    let (sandbox, directory) = (rig.sandbox("web").await, rig.directory());
    let good = rig.config("main", &Program::new().wait());
    for (config, expected) in bad(&good, &directory.0) {
        match rig.runtime().create_container(&sandbox, &config).await {
            Err(RuntimeError::InvalidConfig { field, reason }) => {
                assert!(field == expected && reason.contains("must"), "{field}: {reason}");
            }
            Err(RuntimeError::InvalidImage { image, reason }) => {
                assert_eq!((image.as_str(), expected), ("", "image"), "{reason}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    // What it is to be in is not looked for.
    let (nowhere, nameless) = (SandboxId("nowhere".into()), &bad(&good, &directory.0)[0].0);
    match rig.runtime().create_container(&nowhere, nameless).await {
        Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "name"),
        other => panic!("without a sandbox: {other:?}"),
    }
    let filter = ContainerFilter {
        sandbox: Some(sandbox.clone()),
        ..ContainerFilter::default()
    };
    let left = rig.runtime().containers(&filter).await.expect("listing");
    assert!(left.is_empty(), "nothing of it is left: {left:?}");
    rig.create(&sandbox, &good).await;
    Ok(())
}

/// The limits of time, memory and processes that are in force.
async fn told(rig: &Rig<'_>, id: &ContainerId) -> (Option<u64>, Option<u64>, Option<u64>) {
    let now = rig.get(id).await.resources;
    (now.cpu_limit_millis, now.memory_limit_bytes, now.pids_limit)
}

pub(super) async fn what_means_no_limit_is_told_as_none(rig: &mut Rig<'_>) -> Case {
    rig.needs("resource_limits", |has| has.resource_limits)?;
    let all = |value: u64| Resources {
        cpu_limit_millis: Some(value),
        memory_limit_bytes: Some(value),
        pids_limit: Some(value),
        ..Resources::default()
    };
    let sandbox = rig.sandbox("web").await;
    for (name, value) in [("least", 0), ("most", u64::MAX)] {
        let mut config = rig.config(name, &Program::new().wait());
        config.resources = all(value);
        let id = rig.create(&sandbox, &config).await;
        assert_eq!(told(rig, &id).await, (None, None, None), "{value}");
    }
    let mut config = rig.config("main", &Program::new().out("ready\n").wait());
    config.resources = Resources {
        cpu_limit_millis: Some(1),
        memory_limit_bytes: Some(64 << 20),
        pids_limit: Some(50),
        ..Resources::default()
    };
    let id = rig.create(&sandbox, &config).await;
    let taken_for = (Some(10), Some(64 << 20), Some(50));
    assert_eq!(told(rig, &id).await, taken_for, "the kernel's least time");
    if rig.runtime().capabilities().update_resources {
        rig.runtime().start_container(&id).await.expect("starting");
        rig.said(&id, "ready\n").await;
        let update = rig.runtime().update_resources(&id, &all(0)).await;
        update.expect("taking limits away");
        assert_eq!(told(rig, &id).await, (None, None, None), "they are taken away");
    }
    Ok(())
}
