//! Pods with names, and what their containers share.

use std::fs;
use std::path::Path;

use orch_core::runtime::{
    ContainerConfig, ContainerId, Runtime, Sandbox, SandboxConfig, SandboxFilter, SandboxId, SandboxState,
};
use orch_runtime_oci::OciRuntime;
use rustix::process::Pid;

use super::{Oci, config, processes};

/// A pod of this name.
pub(crate) fn pod(uid: &str) -> SandboxConfig {
    SandboxConfig {
        name: uid.into(),
        uid: uid.into(),
        hostname: uid.into(),
        ..SandboxConfig::default()
    }
}

/// One with users of its own.
pub(crate) fn owned(uid: &str) -> SandboxConfig {
    SandboxConfig {
        user_namespace: true,
        ..pod(uid)
    }
}

pub(crate) async fn run(runtime: &OciRuntime, pod: &SandboxConfig) -> SandboxId {
    let sandbox = runtime.run_sandbox(pod).await.expect("running a sandbox");
    assert_eq!(sandbox.state, SandboxState::Ready);
    sandbox.id
}

/// A container of a pod, started.
pub(crate) async fn start(
    runtime: &OciRuntime,
    sandbox: &SandboxId,
    config: &ContainerConfig,
) -> ContainerId {
    let created = runtime.create_container(sandbox, config).await;
    let id = created.expect("creating a container");
    runtime.start_container(&id).await.expect("starting a container");
    id
}

/// One that runs until it is killed.
pub(crate) async fn idle(runtime: &OciRuntime, sandbox: &SandboxId, name: &str) -> ContainerId {
    start(runtime, sandbox, &config(name, "sleep 3600")).await
}

pub(crate) async fn seen(runtime: &OciRuntime, id: &SandboxId) -> Sandbox {
    let filter = SandboxFilter {
        id: Some(id.clone()),
        ..SandboxFilter::default()
    };
    let found = runtime.sandboxes(&filter).await.expect("listing sandboxes");
    found.first().expect("it is listed").clone()
}

/// Which namespace of a kind a container's first process is in.
pub(crate) fn namespace(oci: &Oci, id: &ContainerId, kind: &str) -> String {
    let (_, first) = processes(oci, id);
    let link = fs::read_link(format!("/proc/{}/ns/{kind}", first.as_raw_nonzero()));
    link.expect("it runs").to_string_lossy().into_owned()
}

pub(crate) fn own(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("one's own");
    link.to_string_lossy().into_owned()
}

/// The process that a pod's process namespace lives by: of all that are this test's, there is to be one.
pub(crate) fn first_of_pod(oci: &Oci) -> Option<Pid> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let is = |dir: &Path| {
        let has =
            |file: &str, text: &str| fs::read_to_string(dir.join(file)).is_ok_and(|all| all.contains(text));
        has("cmdline", "\0--pause\0") && has("cgroup", &format!("/{}/", oci.group()))
    };
    let found: Vec<_> = processes.filter(|entry| is(&entry.path())).collect();
    assert!(found.len() < 2, "{found:?}");
    let name = found.first()?.file_name();
    Pid::from_raw(name.to_str()?.parse().ok()?)
}
