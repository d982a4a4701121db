//! orchd as its user runs it: a command line, and kubectl.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
#[cfg(feature = "oci")]
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program that `cargo test` has built beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/orchd")
}

fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Whether there is a program of this name; says so if not.
fn has(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    if !is_there {
        skipped(&format!("needs the program {name}"));
    }
    is_there
}

/// Where commands run: here, or in a network namespace, which a process holds.
struct Machine(Option<Child>);

impl Machine {
    #[cfg(feature = "oci")]
    async fn apart() -> Self {
        let holder = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && echo made && exec sleep 3600",
            ])
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .spawn();
        let mut holder = holder.unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("made"));
        Self(Some(holder))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = match &self.0 {
            None => Command::new(program),
            Some(holder) => {
                let mut there = Command::new("nsenter");
                there.arg(format!("--net=/proc/{}/ns/net", holder.id().unwrap()));
                there.arg(program);
                there
            }
        };
        command.kill_on_drop(true);
        command
    }

    fn orchd(&self, data: &Path, more: &[&str]) -> Command {
        let mut command = self.command(program());
        command.arg("--data").arg(data).args(more);
        command
    }
}

async fn output(mut command: Command) -> Output {
    let output = tokio::time::timeout(PATIENCE, command.output());
    output.await.expect("it ends").unwrap()
}

/// One that runs.
struct Orchd<'a> {
    machine: &'a Machine,
    child: Child,
    said: Vec<String>,
    lines: Lines<BufReader<ChildStdout>>,
    kubeconfig: PathBuf,
}

impl<'a> Orchd<'a> {
    async fn start(machine: &'a Machine, data: &Path, more: &[&str]) -> Self {
        let mut command = machine.orchd(data, more);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let kubeconfig = tokio::time::timeout(PATIENCE, async {
            loop {
                let Some(line) = lines.next_line().await.unwrap() else {
                    panic!("it ended, having said {said:?}");
                };
                if let Some(path) = line.strip_prefix("export KUBECONFIG=") {
                    return PathBuf::from(path);
                }
                said.push(line);
            }
        });
        let kubeconfig = kubeconfig.await.expect("it says where the kubeconfig is");
        Self {
            machine,
            child,
            said,
            lines,
            kubeconfig,
        }
    }

    fn assert_said_first(&self, wanted: &str) {
        assert!(self.said[0].starts_with(wanted), "{:?}", self.said);
    }

    async fn kubectl(&self, words: &str) -> String {
        self.kubectl_with(words, &[]).await
    }

    /// The same with words that have spaces within.
    async fn kubectl_with(&self, words: &str, more: &[&str]) -> String {
        let mut command = self.machine.command("kubectl");
        command.env("KUBECONFIG", &self.kubeconfig);
        command.env("HOME", self.kubeconfig.parent().unwrap());
        command.args(words.split(' ')).args(more);
        let output = output(command).await;
        assert!(output.status.success(), "{words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The only container of a pod, and how often it was started again.
    async fn container(&self, pod: &str) -> (Value, Value) {
        let pod = self.kubectl(&format!("get pod {pod} -o json")).await;
        let pod: Value = serde_json::from_str(&pod).unwrap();
        let status = &pod["status"]["containerStatuses"][0];
        (status["containerID"].clone(), status["restartCount"].clone())
    }

    async fn stop(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(told.success());
        let ended = tokio::time::timeout(PATIENCE, self.child.wait());
        assert!(ended.await.expect("it ends").unwrap().success());
        assert_eq!(self.lines.next_line().await.unwrap().as_deref(), Some(""));
        assert_eq!(self.lines.next_line().await.unwrap(), None, "it says no more");
    }
}

#[tokio::test]
async fn kubectl_finds_a_cluster_whose_pods_outlive_the_program() {
    outlives("process", &Machine(None)).await;
}

#[cfg(feature = "oci")]
#[tokio::test]
async fn so_do_containers_that_no_engine_holds() {
    if !can_run_containers() {
        return;
    }
    let machine = Machine::apart().await;
    outlives("oci", &machine).await;
    let mut links = machine.command("ip");
    links.args(["-o", "link", "show"]);
    let links = String::from_utf8(output(links).await.stdout).unwrap();
    assert_eq!(links.lines().count(), 1, "loopback alone is left: {links}");
}

/// Whether containers can be run here without an engine; says why not.
#[cfg(feature = "oci")]
fn can_run_containers() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    if !status.contains("\nUid:\t0\t0\t") {
        skipped("needs root");
        return false;
    }
    has("ip") && has("nft")
}

#[cfg(feature = "oci")]
#[tokio::test]
async fn a_pod_is_given_more_memory_while_it_runs() {
    if !can_run_containers() || !has("kubectl") {
        return;
    }
    let machine = Machine::apart().await;
    let dir = tempfile::tempdir().unwrap();
    let orchd = Orchd::start(&machine, &dir.path().join("data"), &["--runtime", "oci"]).await;
    let file = dir.path().join("pod.json");
    let path = file.display().to_string();
    let amounts =
        |memory: &str| json!({"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"memory": memory}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "c", "image": "host", "command": ["sleep", "86377"], "resources": amounts("64Mi")}]},
    });
    std::fs::write(&file, pod.to_string()).unwrap();
    orchd.kubectl(&format!("create -f {path}")).await;
    orchd
        .kubectl("wait pod web --for=condition=Ready --timeout=20s")
        .await;
    let before = orchd.container("web").await;
    for memory in ["128Mi", "48Mi"] {
        let pod = orchd.kubectl("get pod web -o json").await;
        let mut pod: Value = serde_json::from_str(&pod).unwrap();
        pod["spec"]["containers"][0]["resources"] = amounts(memory);
        std::fs::write(&file, pod.to_string()).unwrap();
        let resize = "/api/v1/namespaces/default/pods/web/resize";
        orchd.kubectl(&format!("replace --raw {resize} -f {path}")).await;
        let given = "{.status.containerStatuses[0].resources.limits.memory}";
        orchd
            .kubectl(&format!(
                "wait pod web --for=jsonpath={given}={memory} --timeout=20s"
            ))
            .await;
        let mebibytes: u64 = memory.trim_end_matches("Mi").parse().unwrap();
        assert_eq!(memory_limit("sleep\x0086377\0"), (mebibytes << 20).to_string());
    }
    assert_eq!(orchd.container("web").await, before, "it was not started again");
    orchd
        .kubectl("delete pod web --grace-period=1 --timeout=20s")
        .await;
    orchd.stop().await;
}

/// How much memory the kernel lets the process of this command line use, in either version of control groups.
#[cfg(feature = "oci")]
fn memory_limit(command: &str) -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut processes = processes.map(|process| process.path());
    let is_it = |process: &PathBuf| {
        std::fs::read_to_string(process.join("cmdline")).is_ok_and(|line| line == command)
    };
    let process = processes.find(is_it).expect("it runs");
    let groups = std::fs::read_to_string(process.join("cgroup")).unwrap();
    let of = |kind: &str| {
        groups
            .lines()
            .find_map(|line| line.split_once(kind).map(|(_, path)| path.to_owned()))
    };
    let file = match of(":memory:") {
        Some(path) => format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"),
        None => format!("/sys/fs/cgroup{}/memory.max", of("0::").unwrap()),
    };
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

async fn outlives(runtime: &str, machine: &Machine) {
    if !has("kubectl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let orchd = Orchd::start(machine, &data, &["--runtime", runtime]).await;
    orchd.assert_said_first(&format!("runtime: {runtime} (as asked for)"));
    let mode = std::fs::metadata(&orchd.kubeconfig).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let config = std::fs::read_to_string(&orchd.kubeconfig).unwrap();

    orchd
        .kubectl("wait node --all --for=condition=Ready --timeout=20s")
        .await;
    let nodes = orchd.kubectl("get nodes --no-headers").await;
    assert_eq!(nodes.lines().count(), 1, "{nodes}");
    let run = "run sleeper --image=host --command -- sh -c";
    let made = orchd.kubectl_with(run, &["echo hello; exec sleep 86399"]).await;
    assert_eq!(made, "pod/sleeper created\n");
    let ready = "wait pod sleeper --for=condition=Ready --timeout=20s";
    orchd.kubectl(ready).await;
    assert_eq!(orchd.kubectl("logs sleeper").await, "hello\n");
    let before = orchd.container("sleeper").await;
    assert!(before.0.is_string(), "{before:?}");
    orchd.stop().await;

    let orchd = Orchd::start(machine, &data, &[]).await;
    orchd.assert_said_first(&format!("runtime: {runtime} (as the last time)"));
    let again = std::fs::read_to_string(&orchd.kubeconfig).unwrap();
    assert_eq!(again, config, "who has it goes on");
    orchd.kubectl(ready).await;
    assert_eq!(orchd.container("sleeper").await, before);
    assert_eq!(orchd.kubectl("logs sleeper --tail=1").await, "hello\n");
    let deleted = orchd
        .kubectl("delete pod sleeper --grace-period=1 --timeout=20s")
        .await;
    assert!(deleted.starts_with("pod \"sleeper\" deleted"), "{deleted}");
    orchd.stop().await;
    assert!(
        !data.join("runtime").exists(),
        "the next may take another runtime"
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let machine = &Machine(None);
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    let refusal = async |data: &Path, more: &[&str]| {
        let refused = output(machine.orchd(data, more)).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        (refused.status.code(), said)
    };
    let (code, said) = refusal(&data, &["--runtime", "podman"]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("must be auto, docker, oci or process"), "{said}");
    assert!(!data.exists(), "nothing is made");

    let orchd = Orchd::start(machine, &data, &["--runtime", "process"]).await;
    let config: Value = serde_json::from_str(&std::fs::read_to_string(&orchd.kubeconfig).unwrap()).unwrap();
    let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let taken = server.trim_start_matches("https://");
    for (data, more, wanted) in [
        (&data, ["--runtime", "process"], "in use by process"),
        (&other, ["--listen", taken], "another program listens there"),
    ] {
        let (code, said) = refusal(data, &more).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{said}");
    }
    orchd.stop().await;

    std::fs::write(data.join("runtime"), "process").unwrap();
    let (code, said) = refusal(&data, &["--runtime", "docker"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("run on the process runtime, and would be left behind: take --runtime process"),
        "{said}"
    );
}
