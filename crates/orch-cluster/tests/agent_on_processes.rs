//! The node agent with real processes, a real store and real time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use orch_cluster::agent::{Agent, AgentConfig, ContainerAt};
use orch_cluster::kinds::kinds;
use orch_core::client::{Client, ClientBuilder, DeleteParams};
use orch_core::runtime::process::ProcessRuntime;
use orch_core::runtime::{ContainerFilter, LogOptions, Runtime, SandboxFilter};
use orch_core::store::{MemoryStore, Store};
use orch_store::RedbStore;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than anything here takes on a machine that is twenty times too busy.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    client: Client,
    runtime: Arc<ProcessRuntime>,
    agent: Agent,
}

impl World {
    async fn open(directory: &Path, store: Arc<dyn Store>) -> Self {
        let client = kinds().fold(Client::builder(store), ClientBuilder::kind).build();
        let runtime = Arc::new(ProcessRuntime::open(directory.join("runtime")).await.unwrap());
        let config = AgentConfig::new("n1").volumes_dir(directory.join("volumes"));
        let agent = Agent::start(client.clone(), runtime.clone(), config);
        agent.ready().await;
        Self {
            client,
            runtime,
            agent,
        }
    }

    async fn new() -> (TempDir, Self) {
        let directory = tempfile::tempdir().unwrap();
        let world = Self::open(directory.path(), Arc::new(MemoryStore::new())).await;
        (directory, world)
    }

    /// Creates the pod `web` with one container that runs `script`, and `more` fields of that container.
    async fn create(&self, script: &str, more: &str) {
        let script = serde_json::to_string(script).unwrap();
        let pod = format!(
            r#"{{"metadata": {{"name": "web", "namespace": "default"}},
                "spec": {{"nodeName": "n1", "terminationGracePeriodSeconds": 20, "containers": [
                    {{"name": "c", "image": "host", "command": ["sh", "-c", {script}] {more}}}]}}}}"#
        );
        let pod: Pod = serde_json::from_str(&pod).unwrap();
        self.client.api::<Pod>("default").create(&pod).await.unwrap();
    }

    async fn pod(&self) -> Option<Pod> {
        self.client.api::<Pod>("default").get_opt("web").await.unwrap()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let begun = Instant::now();
        loop {
            let pod = self.pod().await.expect("the pod exists");
            if wanted(&pod) {
                return pod;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}: {:#?}", pod.status);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Deletes the pod and waits until nothing of it is left. Returns how long that took.
    async fn delete(&self) -> Duration {
        let begun = Instant::now();
        self.client
            .api::<Pod>("default")
            .delete("web", &DeleteParams::default())
            .await
            .unwrap();
        while self.pod().await.is_some() {
            assert!(begun.elapsed() < PATIENCE, "the pod does not go");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(
            self.runtime
                .containers(&ContainerFilter::default())
                .await
                .unwrap()
                .is_empty()
        );
        assert!(
            self.runtime
                .sandboxes(&SandboxFilter::default())
                .await
                .unwrap()
                .is_empty()
        );
        begun.elapsed()
    }

    async fn logs(&self, previous: bool) -> String {
        let at = ContainerAt::new("default", "web");
        let mut chunks = self
            .agent
            .access()
            .logs(&at, previous, &LogOptions::default())
            .await
            .unwrap();
        let mut text = String::new();
        while let Some(chunk) = futures::StreamExt::next(&mut chunks).await {
            text.push_str(&String::from_utf8_lossy(&chunk.unwrap().data));
        }
        text
    }
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    container(pod).map_or(0, |container| container.restart_count)
}

#[tokio::test]
async fn a_crashing_program_backs_off_and_its_logs_are_kept() {
    let (_directory, world) = World::new().await;
    world.create("echo attempt; exit 3", "").await;
    let pod = world
        .until("backing off", |pod| {
            let state = container(pod).and_then(|container| container.state.as_ref());
            let waiting = state.and_then(|state| state.waiting.as_ref());
            waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
        })
        .await;
    assert_eq!(
        restarts(&pod),
        1,
        "the first restart is immediate, the second waits"
    );
    let last = container(&pod)
        .unwrap()
        .last_state
        .as_ref()
        .unwrap()
        .terminated
        .as_ref()
        .unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
    assert_eq!(
        (world.logs(false).await.as_str(), world.logs(true).await.as_str()),
        ("attempt\n", "attempt\n")
    );
    world.delete().await;
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_so_with_its_reason() {
    let (_directory, world) = World::new().await;
    world
        .create("true", r#", "workingDir": "/no/such/directory""#)
        .await;
    let last = |pod: &Pod| container(pod)?.last_state.as_ref()?.terminated.clone();
    let pod = world.until("failed", |pod| last(pod).is_some()).await;
    let last = last(&pod).unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (128, Some("StartError"))
    );
    let message = last.message.unwrap();
    assert!(message.contains("/no/such/directory"), "{message}");
    world.delete().await;
}

#[tokio::test]
async fn a_program_asked_to_end_ends_in_its_own_way() {
    let (directory, world) = World::new().await;
    let note = directory.path().join("note");
    let script = format!(
        "trap 'echo bye > {}; exit 0' TERM; while :; do sleep 0.05; done",
        note.display()
    );
    world.create(&script, "").await;
    world.until("ready", is_ready).await;
    // The shell needs a moment to set its trap.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let took = world.delete().await;
    assert_eq!(std::fs::read_to_string(note).unwrap(), "bye\n");
    assert!(
        took < Duration::from_secs(15),
        "it was not waited for to the end of its grace: {took:?}"
    );
}

/// A page that answers 503 until it is told that all is well.
async fn page() -> (u16, Arc<AtomicBool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let well = Arc::new(AtomicBool::new(false));
    let answer = well.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let status = if answer.load(Ordering::Relaxed) {
                "200 OK"
            } else {
                "503 Service Unavailable"
            };
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (port, well)
}

#[tokio::test]
async fn probes_by_http_and_by_command_gate_and_kill() {
    let (directory, world) = World::new().await;
    let (port, well) = page().await;
    let dead = directory.path().join("dead");
    let probes = format!(
        r#", "readinessProbe": {{"httpGet": {{"port": {port}, "path": "/healthz"}}, "periodSeconds": 1}},
            "startupProbe": {{"tcpSocket": {{"port": {port}}}, "periodSeconds": 1}},
            "livenessProbe": {{"exec": {{"command": ["sh", "-c", "test ! -e {}"]}}, "periodSeconds": 1,
                "failureThreshold": 1, "terminationGracePeriodSeconds": 1}}"#,
        dead.display()
    );
    world.create("sleep 1000", &probes).await;
    let started = |pod: &Pod| container(pod).is_some_and(|container| container.started == Some(true));
    let pod = world.until("started", started).await;
    assert!(!is_ready(&pod));
    well.store(true, Ordering::Relaxed);
    world.until("ready", is_ready).await;
    std::fs::write(&dead, "").unwrap();
    world.until("killed", |pod| restarts(pod) == 1).await;
    std::fs::remove_file(&dead).unwrap();
    world.until("ready again", is_ready).await;
    world.delete().await;
}

#[tokio::test]
async fn what_processes_cannot_have_is_refused_with_the_field() {
    let (_directory, world) = World::new().await;
    world
        .create(
            "sleep 1000",
            r#", "ports": [{"containerPort": 80, "hostPort": 8080}]"#,
        )
        .await;
    let waiting = |pod: &Pod| container(pod)?.state.as_ref()?.waiting.clone();
    let refused = |pod: &Pod| {
        waiting(pod).is_some_and(|waiting| waiting.reason.as_deref() == Some("CreateContainerConfigError"))
    };
    let pod = world.until("refused", refused).await;
    let message = waiting(&pod).unwrap().message.unwrap();
    assert!(message.contains("spec.containers[0].ports"), "{message}");
}

const DIRECTORY: &str = "ORCH_TEST_DIRECTORY";

/// Not a test by itself: the process that the next test kills.
#[test]
#[ignore = "run by another test, as a process of its own"]
fn embedding_process() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(directory.join("store")).unwrap();
        let world = World::open(directory, Arc::new(store)).await;
        let pid = directory.join("pid");
        // In a manifest a dollar is written twice.
        world
            .create(&format!("echo $$$$ > {}; exec sleep 1000", pid.display()), "")
            .await;
        world.until("ready", is_ready).await;
        std::fs::write(directory.join("ready"), "").unwrap();
        std::future::pending::<()>().await;
    });
}

fn embed(directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "embedding_process", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_killed_embedding_process_is_replaced_and_what_ran_runs_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = embed(directory.path());
    let begun = Instant::now();
    while !directory.path().join("ready").exists() {
        assert!(
            begun.elapsed() < PATIENCE,
            "the embedding process does not get its pod ready"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let pid = std::fs::read_to_string(directory.path().join("pid"))
        .unwrap()
        .trim()
        .to_owned();
    let lives = || Path::new("/proc").join(&pid).exists();
    assert!(lives(), "the program does not die with whoever started it");

    let store = RedbStore::open(directory.path().join("store")).unwrap();
    let world = World::open(directory.path(), Arc::new(store)).await;
    let before = world.pod().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.pod().await.unwrap(), before, "nothing had to be written");
    assert!(is_ready(&before) && lives());
    assert_eq!(
        world
            .runtime
            .containers(&ContainerFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );

    Command::new("kill").args(["-9", &pid]).status().unwrap();
    world
        .until("restarted", |pod| restarts(pod) == 1 && is_ready(pod))
        .await;
    world.delete().await;
}
