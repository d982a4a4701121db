//! What the cases of the suite work with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use super::{Harness, Program};
use crate::random::Random;
use crate::runtime::{
    Capabilities, Container, ContainerConfig, ContainerFilter, ContainerId, ContainerState, ExecRequest,
    LogChunk, LogOptions, LogStream, Runtime, SandboxConfig, SandboxFilter, SandboxId,
};

/// Why a case was not run: what it needs.
#[derive(Debug)]
pub(super) struct Skip(pub(super) &'static str);

pub(super) type Case = Result<(), Skip>;

/// Looking again although no hint came: hints may be lost.
const RELIST: Duration = Duration::from_millis(200);

/// A runtime under test, with the pods a case made in it.
pub(super) struct Rig<'h> {
    pub(super) harness: &'h dyn Harness,
    runtime: Option<Arc<dyn Runtime>>,
    /// Sets the pods of this case apart from all others.
    tag: String,
}

impl<'h> Rig<'h> {
    pub(super) async fn open(harness: &'h dyn Harness, case: &str) -> Self {
        let tag = format!("{case}-{}", Random::from_os().name_suffix(8));
        Self {
            harness,
            runtime: Some(harness.open().await),
            tag,
        }
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        self.runtime.as_ref().expect("open except within `reopen`")
    }

    /// Lets go of the runtime, waits, and opens it again.
    pub(super) async fn reopen_after(&mut self, pause: Duration) {
        self.runtime = None;
        tokio::time::sleep(pause).await;
        self.runtime = Some(self.harness.open().await);
    }

    /// Skips the case unless the runtime declares an ability.
    pub(super) fn needs(&self, what: &'static str, declared: impl Fn(&Capabilities) -> bool) -> Case {
        if declared(&self.runtime().capabilities()) {
            Ok(())
        } else {
            Err(Skip(what))
        }
    }

    pub(super) fn pod_uid(&self, pod: &str) -> String {
        format!("{}-{pod}", self.tag)
    }

    pub(super) fn sandbox_config(&self, pod: &str) -> SandboxConfig {
        self.harness.sandbox(SandboxConfig {
            name: pod.into(),
            namespace: "conformance".into(),
            uid: self.pod_uid(pod),
            hostname: pod.into(),
            labels: labels("pod"),
            annotations: labels("note of a pod"),
            ..SandboxConfig::default()
        })
    }

    pub(super) async fn sandbox(&self, pod: &str) -> SandboxId {
        let config = self.sandbox_config(pod);
        self.runtime()
            .run_sandbox(&config)
            .await
            .expect("running a sandbox")
            .id
    }

    pub(super) fn config(&self, name: &str, program: &Program) -> ContainerConfig {
        ContainerConfig {
            name: name.into(),
            image: self.harness.image(),
            command: self.harness.command(program),
            labels: labels("container"),
            annotations: labels("note of a container"),
            ..ContainerConfig::default()
        }
    }

    pub(super) async fn create(&self, sandbox: &SandboxId, config: &ContainerConfig) -> ContainerId {
        let created = self.runtime().create_container(sandbox, config).await;
        created.expect("creating a container")
    }

    /// Starts a configured container in a new sandbox.
    pub(super) async fn start(&self, pod: &str, config: &ContainerConfig) -> ContainerId {
        let sandbox = self.sandbox(pod).await;
        let id = self.create(&sandbox, config).await;
        self.runtime()
            .start_container(&id)
            .await
            .expect("starting a container");
        id
    }

    /// Starts a program in a container and sandbox of its own.
    #[allow(clippy::needless_pass_by_value, reason = "the callers make it on the spot")]
    pub(super) async fn run(&self, pod: &str, program: Program) -> ContainerId {
        self.start(pod, &self.config("main", &program)).await
    }

    /// Starts a program that says `ready` first, and returns once it has said so.
    pub(super) async fn run_ready(&self, pod: &str, program: impl FnOnce(Program) -> Program) -> ContainerId {
        // Traps stand before the word is out, as the steps before it come first.
        let id = self.run(pod, program(Program::new())).await;
        self.said(&id, "ready\n").await;
        id
    }

    /// Returns once the container's output contains a text.
    pub(super) async fn said(&self, id: &ContainerId, text: &str) {
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let mut logs = self.runtime().logs(id, &options).await.expect("following logs");
        let mut output = String::new();
        let reading = async {
            while let Some(chunk) = logs.next().await {
                output += &String::from_utf8_lossy(&chunk.expect("reading logs").data);
                if output.contains(text) {
                    return true;
                }
            }
            false
        };
        match tokio::time::timeout(self.harness.patience(), reading).await {
            Ok(true) => {}
            Ok(false) => panic!("container {id} ended and wrote {output:?} without {text:?}"),
            Err(_) => panic!("container {id} wrote {output:?} without {text:?}"),
        }
    }

    pub(super) async fn get(&self, id: &ContainerId) -> Container {
        self.runtime().container(id).await.expect("getting a container")
    }

    /// The container once it has ended.
    pub(super) async fn ended(&self, id: &ContainerId) -> Container {
        self.until(id, "ended", |container| container.state.is_exited())
            .await
    }

    /// The container once it is as wanted.
    pub(super) async fn until(
        &self,
        id: &ContainerId,
        what: &str,
        is: impl Fn(&Container) -> bool,
    ) -> Container {
        let mut events = self.runtime().events().await;
        let looking = async {
            loop {
                let container = self.get(id).await;
                if is(&container) {
                    return container;
                }
                let hint = tokio::time::timeout(RELIST, events.next()).await;
                if let Ok(None) = hint {
                    events = self.runtime().events().await;
                }
            }
        };
        let found = tokio::time::timeout(self.harness.patience(), looking).await;
        match found {
            Ok(container) => container,
            Err(_) => panic!("container is not {what}: {:?}", self.get(id).await),
        }
    }

    pub(super) async fn exit_code(&self, id: &ContainerId) -> i32 {
        let container = self.ended(id).await;
        match container.state {
            ContainerState::Exited {
                exit_code: Some(code),
                ..
            } => code,
            state => panic!("no exit code: {state:?}"),
        }
    }

    /// What logs hold now, until the end if they are followed.
    pub(super) async fn chunks(&self, id: &ContainerId, options: &LogOptions) -> Vec<LogChunk> {
        let logs = self.runtime().logs(id, options).await.expect("reading logs");
        let reading = logs.map(|chunk| chunk.expect("reading logs")).collect();
        let read = tokio::time::timeout(self.harness.patience(), reading).await;
        read.expect("logs end when they should")
    }

    /// The same as text, both streams in the order they come.
    pub(super) async fn text(&self, id: &ContainerId, options: &LogOptions) -> String {
        joined(&self.chunks(id, options).await, None)
    }

    /// An empty directory of the machine to mount from.
    pub(super) fn directory(&self) -> TempDirectory {
        let name = format!("conformance-{}", Random::from_os().name_suffix(8));
        let path = self.harness.scratch().join(name);
        std::fs::create_dir_all(&path).expect("making a directory to mount");
        TempDirectory(path)
    }

    pub(super) fn exec(&self, program: &Program) -> ExecRequest {
        ExecRequest {
            command: self.harness.command(program),
            timeout: Some(self.harness.patience()),
            ..ExecRequest::default()
        }
    }

    /// Removes all that the case made; says what is left.
    pub(super) async fn clean_up(&self) -> Option<String> {
        let runtime = self.runtime.as_ref()?;
        let ours = match runtime.sandboxes(&SandboxFilter::default()).await {
            Ok(all) => all
                .into_iter()
                .filter(|sandbox| sandbox.uid.starts_with(&self.tag)),
            Err(error) => return Some(format!("listing sandboxes to clean up: {error}")),
        };
        for sandbox in ours {
            if let Err(error) = runtime.remove_sandbox(&sandbox.id).await {
                return Some(format!("removing sandbox {}: {error}", sandbox.id));
            }
        }
        let containers = runtime
            .containers(&ContainerFilter::default())
            .await
            .unwrap_or_default();
        let left = containers
            .iter()
            .find(|container| container.pod_uid.starts_with(&self.tag))?;
        Some(format!("container {} outlived its sandbox", left.id))
    }
}

fn labels(value: &str) -> BTreeMap<String, String> {
    let key = |key: &str| format!("conformance.example/{key}");
    BTreeMap::from([(key("of"), value.to_owned()), (key("empty"), String::new())])
}

/// The bytes of one stream, or both, as text.
/// A directory that is removed with what is in it, also when its case fails.
pub(super) struct TempDirectory(pub(super) PathBuf);

impl Drop for TempDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn joined(chunks: &[LogChunk], stream: Option<LogStream>) -> String {
    let wanted = chunks
        .iter()
        .filter(|chunk| stream.is_none_or(|stream| stream == chunk.stream));
    wanted.map(|chunk| String::from_utf8_lossy(&chunk.data)).collect()
}
