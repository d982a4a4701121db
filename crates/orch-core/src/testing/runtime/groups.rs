//! Cases about the control groups of pods.

use super::extras::killed_over_memory;
use super::rig::{Case, Rig};
use super::{Program, Step};
use crate::runtime::{AttachOptions, Resources, RuntimeError, SandboxConfig, SandboxState};

fn grouped(rig: &Rig<'_>, pod: &str, memory: u64) -> SandboxConfig {
    SandboxConfig {
        cgroup_parent: format!("conformance/pod{}", rig.pod_uid("one")),
        resources: Resources {
            cpu_shares: Some(256),
            memory_limit_bytes: Some(memory),
            ..Resources::default()
        },
        ..rig.sandbox_config(pod)
    }
}

pub(super) async fn containers_of_a_pod_are_held_to_what_it_may_use(rig: &mut Rig<'_>) -> Case {
    rig.needs("pod_groups", |has| has.pod_groups)?;
    rig.needs("attach", |has| has.attach)?;
    let config = grouped(rig, "web", 16 << 20);
    let sandbox = rig.runtime().run_sandbox(&config).await;
    let sandbox = sandbox.expect("running a sandbox with a group").id;
    // It has no limit of its own. Why it waits first: see `exceeding_memory_is_out_of_memory`.
    let program = Program::new().then(Step::Cat).then(Step::OutOfMemory);
    let mut config = rig.config("main", &program);
    (config.stdin, config.stdin_once) = (true, true);
    let id = rig.create(&sandbox, &config).await;
    rig.runtime().start_container(&id).await.expect("starting");
    let options = AttachOptions { stdin: true };
    drop(rig.runtime().attach(&id, &options).await.expect("attaching"));
    killed_over_memory(rig, &id).await;
    Ok(())
}

pub(super) async fn what_a_pod_may_use_changes_in_place(rig: &mut Rig<'_>) -> Case {
    rig.needs("pod_groups", |has| has.pod_groups)?;
    rig.needs("update_resources", |has| has.update_resources)?;
    rig.needs("attach", |has| has.attach)?;
    let runtime = rig.runtime();
    let memory = |bytes| Resources {
        memory_limit_bytes: Some(bytes),
        ..Resources::default()
    };
    let sandbox = runtime.run_sandbox(&grouped(rig, "web", 512 << 20)).await;
    let sandbox = sandbox.expect("running a sandbox with a group").id;
    let program = Program::new().then(Step::Cat).then(Step::OutOfMemory);
    let mut config = rig.config("main", &program);
    (config.stdin, config.stdin_once) = (true, true);
    let id = rig.create(&sandbox, &config).await;
    runtime.start_container(&id).await.expect("starting");
    let update = runtime.update_sandbox(&sandbox, &memory(16 << 20)).await;
    update.expect("lowering what the pod may use");
    let options = AttachOptions { stdin: true };
    drop(runtime.attach(&id, &options).await.expect("attaching"));
    killed_over_memory(rig, &id).await;
    let plain = rig.sandbox("plain").await;
    match runtime.update_sandbox(&plain, &memory(64 << 20)).await {
        Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "resources"),
        other => panic!("a sandbox without a group: {other:?}"),
    }
    Ok(())
}

pub(super) async fn a_group_is_there_as_long_as_a_sandbox_that_asks_for_it(rig: &mut Rig<'_>) -> Case {
    rig.needs("pod_groups", |has| has.pod_groups)?;
    let (first, second) = (
        grouped(rig, "web", 64 << 20),
        SandboxConfig {
            attempt: 1,
            ..grouped(rig, "web", 64 << 20)
        },
    );
    let runtime = rig.runtime();
    let first = runtime.run_sandbox(&first).await.expect("running a sandbox").id;
    runtime.stop_sandbox(&first).await.expect("stopping a sandbox");
    let sandbox = runtime.run_sandbox(&second).await.expect("running the next");
    assert_eq!(sandbox.state, SandboxState::Ready);
    runtime.remove_sandbox(&first).await.expect("removing the first");
    let config = rig.config("main", &Program::new().out("here\n"));
    let id = rig.create(&sandbox.id, &config).await;
    runtime.start_container(&id).await.expect("starting in the next");
    assert_eq!(rig.exit_code(&id).await, 0);
    runtime
        .remove_sandbox(&sandbox.id)
        .await
        .expect("removing the next");
    // And another time, from nothing.
    let again = runtime.run_sandbox(&grouped(rig, "web", 64 << 20)).await;
    assert_eq!(again.expect("running it again").state, SandboxState::Ready);
    Ok(())
}

pub(super) async fn pages_of_a_size_that_no_kernel_has_are_refused(rig: &mut Rig<'_>) -> Case {
    rig.needs("hugepages", |has| has.hugepages)?;
    let sandbox = rig.sandbox("web").await;
    let mut config = rig.config("main", &Program::new());
    config.resources.hugepages = [(3, 3)].into();
    match rig.runtime().create_container(&sandbox, &config).await {
        Err(RuntimeError::InvalidConfig { field, .. }) => assert_eq!(field, "resources.hugepages"),
        other => panic!("pages of three bytes: {other:?}"),
    }
    Ok(())
}
