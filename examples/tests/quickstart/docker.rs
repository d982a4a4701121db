//! `quickstart` on a real Docker engine: what was lost while nobody looked is told.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{NO_ENGINE, Running, assert_said, run};

/// Made by `scripts/engine image`.
const IMAGE: &str = "orch-test/busybox:latest";

/// The engine's address, if there is one with the test's image.
fn engine() -> Option<String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let found = docker(&host, &["image", "inspect", "--format", "{{.Id}}", IMAGE]);
    if found.is_none() {
        assert!(
            std::env::var_os("ORCH_REQUIRE_ENGINE").is_none(),
            "no engine at {host} has {IMAGE}"
        );
        // Not by a macro, whose output the test harness keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no Docker engine with the image {IMAGE} answers; `scripts/engine up` brings one up"
        );
    }
    found.map(|_| host)
}

/// What the engine's own client says; none if it fails.
fn docker(host: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker")
        .args(["-H", host])
        .args(arguments)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(said)
}

fn web(directory: &Path) -> PathBuf {
    let text = format!(
        "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: main, image: {IMAGE}, imagePullPolicy: Never, command: [sleep, \"1000\"]}}]
"
    );
    let file = directory.join("web.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// What the engine runs for a data directory, which is gone when this is.
struct Ours {
    host: String,
    scope: String,
}

impl Ours {
    /// Before it runs anything.
    fn of(data: &Path, host: &str) -> Self {
        let output = run(data, &["--runtime", "docker"], NO_ENGINE);
        assert_said(&output, false, &[NO_ENGINE]);
        Self {
            host: host.to_owned(),
            scope: std::fs::read_to_string(data.join("scope")).unwrap(),
        }
    }

    /// The ids of its containers.
    fn containers(&self) -> Vec<String> {
        let label = format!("label=orch.scope={}", self.scope);
        let ids = docker(&self.host, &["ps", "-aq", "--no-trunc", "--filter", &label]);
        ids.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The id of its one sandbox: what is not in another's network.
    fn sandbox(&self) -> String {
        let ask = ["inspect", "--format", "{{.HostConfig.NetworkMode}}"];
        let network = |id: &String| docker(&self.host, &[&ask[..], &[id]].concat()).unwrap();
        let mut sandboxes = self.containers().into_iter();
        sandboxes
            .find(|id| !network(id).starts_with("container:"))
            .unwrap()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let left = self.containers();
        let remove: Vec<_> = ["rm", "-f"]
            .into_iter()
            .chain(left.iter().map(String::as_str))
            .collect();
        if !left.is_empty() {
            docker(&self.host, &remove);
        }
    }
}

/// Runs it until there are containers, and stops it.
fn keep(data: &Path, manifest: &str, host: &str) {
    let mut running = Running::start(data, &[manifest, "--keep"], host);
    running.until("going on until Ctrl-C");
    running.interrupt();
}

#[test]
fn a_sandbox_that_was_lost_between_two_runs_is_told() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = web(dir.path());
    let arguments = [manifest.to_str().unwrap(), "--keep"];
    let ours = Ours::of(&data, &host);
    keep(&data, arguments[0], &host);
    let containers = ours.containers();
    assert_eq!(containers.len(), 2, "a sandbox and its container");
    docker(&host, &["rm", "-f", &ours.sandbox()]).unwrap();

    let mut again = Running::start(&data, &arguments, &host);
    let said = again.until("going on until Ctrl-C");
    again.interrupt();
    for words in [
        "found 1 pod of an earlier run, which is not as it was:",
        "has lost its sandbox, and its containers with it; they are started again in another\n",
        "the manifest has not changed: all is left as it is now",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    // By then it has another, and the container of it.
    let row = super::pods(&said).remove(0).join(" ");
    assert!(row.ends_with(" 1/1 Running 1"), "{said}");
    let output = run(&data, &[arguments[0], "--clean"], &host);
    assert_said(&output, true, &["replicaset/web deleted"]);
    assert_eq!(ours.containers(), [""; 0]);
}

#[test]
fn a_sandbox_that_is_killed_is_told_at_once_though_its_container_takes_its_time() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = dir.path().join("np.yaml");
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: np}}\nspec:\n  terminationGracePeriodSeconds: 5\n  \
         containers: [{{name: main, image: {IMAGE}, imagePullPolicy: Never, command: [sleep, \"1000\"]}}]\n"
    );
    std::fs::write(&manifest, text).unwrap();
    let manifest = manifest.to_str().unwrap();
    let ours = Ours::of(&data, &host);
    let mut running = Running::start(&data, &[manifest, "--keep"], &host);
    running.until("going on until Ctrl-C");
    let began = std::time::Instant::now();
    docker(&host, &["kill", &ours.sandbox()]).unwrap();
    running.until("has lost its sandbox, and its containers with it; they are started again in another");
    let told = began.elapsed();
    let said = running.until("was started again (restart 1), is ready");
    assert!(!said.contains("ended with code"), "{said}");
    let back = began.elapsed();
    // It ignores that it is told to end, and so takes all its time.
    assert!(told.as_secs() < 3 && back.as_secs() >= 5, "{told:?}, {back:?}");
    running.interrupt();
    assert_said(
        &run(&data, &[manifest, "--clean"], &host),
        true,
        &["pod/np deleted"],
    );
}

#[test]
fn what_ships_with_it_rolls_and_ends_when_it_is_told_to() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = dir.path().join("web.yaml");
    let text =
        include_str!("../../quickstart/web.yaml").replace("image: busybox", &format!("image: {IMAGE}"));
    assert!(text.contains(IMAGE));
    std::fs::write(&manifest, text).unwrap();
    let _ours = Ours::of(&data, &host);
    let output = run(&data, &[manifest.to_str().unwrap(), "--runtime", "docker"], &host);
    let told = [
        "its log: serving \"Hello from orch, v2, web-",
        "its log: serving \"Hello from orch, v1, web-",
        "rolled back",
        "cleaned up",
    ];
    assert_said(&output, true, &told);
    let said = super::said(&output);
    assert!(!said.contains("Failed(code"), "{said}");
}

/// A Deployment that recreates its one pod, on a port of the machine.
fn recreated(version: &str, port: u16) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: one}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: one}}}}
  template:
    metadata: {{labels: {{app: one}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {IMAGE}
        imagePullPolicy: Never
        command: [sleep, \"1000\"]
        env: [{{name: VERSION, value: {version}}}]
        ports: [{{containerPort: 80, hostPort: {port}}}]
"
    )
}

#[test]
fn a_pod_that_is_recreated_finds_its_port_free() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let manifest = dir.path().join("one.yaml");
    let path = manifest.to_str().unwrap();
    let _ours = Ours::of(&data, &host);
    for version in ["v1", "v2", "v3"] {
        std::fs::write(&manifest, recreated(version, port)).unwrap();
        let mut running = Running::start(&data, &[path, "--keep", "--no-demo"], &host);
        let said = running.until("going on until Ctrl-C");
        running.interrupt();
        assert!(!said.contains("FailedCreatePodSandBox"), "{said}");
    }
    assert_said(
        &run(&data, &[path, "--clean"], &host),
        true,
        &["deployment/one deleted"],
    );
}

#[test]
fn containers_of_a_lost_state_are_named_and_removed_when_asked() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let manifest = web(dir.path());
    let manifest = manifest.to_str().unwrap();
    let ours = Ours::of(&data, &host);
    keep(&data, manifest, &host);
    std::fs::remove_file(data.join("state.redb")).unwrap();

    let output = run(&data, &[manifest], &host);
    let told = [
        "warning: the docker runtime still has 1 pod of an earlier run whose state is lost (web-",
        "cleaned up",
        "something of this --data still runs: --clean removes it",
    ];
    assert_said(&output, true, &told);
    assert_eq!(ours.containers().len(), 2);
    let output = run(&data, &[manifest, "--clean"], &host);
    let told = [
        "replicaset/web not found",
        "removing 1 pod of an earlier run whose state is lost (web-",
    ];
    assert_said(&output, true, &told);
    assert_eq!(ours.containers(), [""; 0]);
}

#[test]
fn containers_of_another_directory_that_was_in_this_place_are_named_and_never_touched() {
    let Some(host) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (data, moved) = (dir.path().join("data"), dir.path().join("moved"));
    let manifest = web(dir.path());
    let arguments = [manifest.to_str().unwrap(), "--keep"];
    let ours = Ours::of(&data, &host);
    keep(&data, arguments[0], &host);
    std::fs::rename(&data, &moved).unwrap();

    let mut alive = Running::start(&moved, &arguments, &host);
    let said = alive.until("going on until Ctrl-C");
    assert!(
        said.contains("found 1 pod of an earlier run, as it was"),
        "{said}"
    );
    let before = ours.containers();
    let command = format!(
        "docker rm -f $(docker ps -aq --filter label=orch.scope={})",
        ours.scope
    );
    for arguments in [&[arguments[0], "--clean"][..], &[arguments[0]]] {
        let output = run(&data, arguments, &host);
        let told = [
            "warning: the engine has 2 containers of another data directory",
            &command,
        ];
        assert_said(&output, true, &told);
        assert!(!said.contains("still runs"), "{said}");
    }
    assert_eq!(ours.containers(), before);
    assert_eq!(alive.interrupt().matches("container").count(), 0);
    // As who has lost it would.
    let output = Command::new("sh")
        .args(["-c", &command])
        .env("DOCKER_HOST", &host)
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(ours.containers(), [""; 0]);
}
